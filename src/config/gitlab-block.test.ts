import { expect, it } from 'vitest';
import { gitlabBlock } from './sections/gitlab.ts';

it('projects are ids or paths, and an id needs no quotes', () => {
  expect(gitlabBlock.parse({ project: 77, allowedProjects: [77, 'group/app', '78'] })).toMatchObject({
    project: '77',
    allowedProjects: ['77', 'group/app', '78'],
  });
  expect(gitlabBlock.parse({ allowedProjects: '77, group/app' })).toMatchObject({ allowedProjects: ['77', 'group/app'] });
  for (const allowedProjects of [[7.5], [true], [[77]], [''], [77, '77'], 77]) expect(gitlabBlock.safeParse({ allowedProjects }).success).toBe(false);
  for (const project of [7.5, true, '', null]) expect(gitlabBlock.safeParse({ project }).success).toBe(false);
});
