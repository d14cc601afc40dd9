import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Sample, type Someone, sampleIssue } from '../../../../test/fixtures/gitlab/sample.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import { structured } from './sample-api.ts';
import { ok, SampleGitLab } from './sample-gitlab.ts';

describe('callers, long lists, large files at a GitLab', () => {
  let rig: SampleGitLab;
  let sample: Sample;
  const as = (someone: Someone) => rig.as(someone);
  const p = { project_id: 'team/app' };
  beforeAll(async () => {
    rig = await SampleGitLab.start();
    sample = rig.sample;
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  it('keeps callers apart and shows nobody a token', async () => {
    const everyone = [sample.owner, sample.developer, sample.guest, sample.stranger];
    const runs = Array.from({ length: 40 }, (_, at) => everyone[at % everyone.length] ?? sample.owner);
    const outcomes = await Promise.all(runs.map((one) => as(one)('whoami')));
    expect(outcomes.map((one) => structured(one).item.username)).toEqual(runs.map(({ user }) => user.username));
    expect(await as(sample.stranger)('get_project', p)).toMatchObject({ isError: true, structuredContent: { error: { status: 404 } } });
    const note = await ok(as(sample.developer)('create_issue_note', { ...p, issue_iid: 1, body: `my token is ${sample.developer.token.value}` }));
    expect(JSON.stringify(note)).not.toContain(sample.developer.token.value);
    expect(rig.gitlab.log.foreign()).toEqual([]);
  });

  it('goes through 250 issues by keyset', async () => {
    const project = rig.gitlab.world.addProject(sample.group, 'many', { creator: sample.owner.user });
    for (let at = 0; at < 250; at++) sampleIssue(rig.gitlab, project, sample.owner.user, `issue ${at}`);
    const olivia = as(sample.owner);
    const iids: unknown[] = [];
    let args: JsonObject | undefined = { project_id: project.id, per_page: 500 };
    for (let round = 0; round < 10 && args !== undefined; round++) {
      const { items, next_steps } = await ok(olivia('list_issues', args));
      iids.push(...items.map(({ iid }) => iid));
      args = next_steps.find(({ tool }) => tool === 'list_issues')?.arguments;
    }
    expect(new Set(iids).size).toBe(250);
    expect(iids).toHaveLength(250);
  });

  it('reads a window of a file of 300 MB', async () => {
    const line = Buffer.from(`${'x'.repeat(99)}\n`.repeat(1_000));
    sample.project.repository.commit({
      ...{ branch: 'main', message: 'Large', author: { name: 'a', email: 'a@example.test' }, at: rig.gitlab.world.now() },
      changes: [
        { path: 'large.txt', content: { size: 300_000_000, chunk: line } },
        { path: 'medium.txt', content: { size: 40_000_000, chunk: line } },
      ],
    });
    const before = process.memoryUsage.rss();
    const dora = as(sample.developer);
    const { item, next_steps } = await ok(dora('get_file_contents', { ...p, file_path: 'medium.txt', start_line: 300_000, end_line: 300_200 }));
    expect(item).toMatchObject({ size: 40_000_000, start_line: 300_000, end_line: 300_200, complete: false });
    expect(next_steps).toBeUndefined();
    const past = await ok(dora('get_file_contents', { ...p, file_path: 'large.txt', start_line: 2_000_000 }));
    expect(past.item.note).toMatch(/longer than what may be read/);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
  });

  it('stays inside the fence', async () => {
    const olivia = rig.as(sample.owner, { allowedProjects: ['team/app'] });
    for (const project_id of [sample.project.id, 'team/app', 'team%2Fapp', 'TEAM/App']) await ok(olivia('get_project', { project_id }));
    await expect(olivia('get_project', { project_id: 'team/many' })).rejects.toThrow(
      'Access denied: project team/many is not in the allowed project list',
    );
    const { items } = await ok(olivia('list_merge_requests', { scope: 'all', state: 'all' }));
    expect(items.length).toBeGreaterThan(0);
    expect(items.every(({ project_id }) => project_id === sample.project.id)).toBe(true);
  });
});
