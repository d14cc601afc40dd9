import { describe, expect, it } from 'vitest';
import { compileUri } from './uri-match.ts';

describe('templates of resources', () => {
  it.each<[string, string, Record<string, string> | undefined]>([
    ['g://{host}/project/{id}', 'g://gitlab.com/project/group%2Fapp', { host: 'gitlab.com', id: 'group/app' }],
    ['g://{host}/project/{id}', 'g://gitlab.com/project/', undefined],
    ['g://{host}/project/{id}', 'g://gitlab.com/project/a/b', undefined],
    ['g://{host}/project/{id}', 'g://gitlab.com/project/a?b', undefined],
    ['g://{host}/project/{id}', 'G://gitlab.com/project/a', undefined],
    ['g://{h}/file/{ref}/{+path}', 'g://x/file/main/src/a%20b.ts', { h: 'x', ref: 'main', path: 'src/a b.ts' }],
    ['g://{h}/file/{ref}/{+path}', 'g://x/file/main/%E0', undefined],
    ['g://{+id}/tree/{ref}', 'g://a/tree/b/tree/c', { id: 'a/tree/b', ref: 'c' }],
    ['g://a.b/{x}', 'g://aXb/1', undefined],
  ])('%s on %s', (template, uri, expected) => {
    expect(compileUri(template).match(uri)).toEqual(expected);
  });

  it.each(['g://{a}{b}', 'g://{+a}/{+b}', 'g://{a', 'g://a}', 'g://{a,b}', 'g://{a}/{a}', 'g://{/a}', 'g://{}'])('%s is refused', (template) => {
    expect(() => compileUri(template)).toThrow(TypeError);
  });

  it('takes no time over hostile URIs', () => {
    const matcher = compileUri('g://{+a}/tree/{b}/x');
    const started = performance.now();
    expect(matcher.match(`g://${'a/tree/'.repeat(1_160)}`)).toBeUndefined();
    expect(matcher.match(`g://${'a'.repeat(9_000)}/tree/b/x`)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(200);
  });
});
