import { describe, expect, it } from 'vitest';
import type { ToolOutcome } from '../../server/server.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import { bench, type Sent, structured, textOf } from './sample-api.ts';

const P = 'GET /projects/1/issues';
const issues = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => ({ iid: from + at, project_id: 1, title: `issue ${from + at}` }));
const iids = (outcome: ToolOutcome) => structured(outcome).items.map(({ iid }) => iid);
const cursorOf = (outcome: ToolOutcome) => structured(outcome).pagination.next_cursor;

/** 250 issues by keyset, at most 100 in a page. */
const paged = (sent: Sent) => {
  const start = Number(sent.query.after ?? 0);
  const end = Math.min(250, start + Number(sent.query.per_page));
  return { items: issues(start, end), ...(end < 250 && { next: { after: end, per_page: sent.query.per_page, pagination: 'keyset' } }) };
};

describe('lists', () => {
  it('go on with cursors to the end: 250 issues at 100', async () => {
    const { api, run } = bench({ [P]: paged });
    const args = { project_id: 1, per_page: 500 };
    const first = await run('list_issues', args);
    expect(api.sent[0]).toMatchObject({ keyset: true, query: { per_page: 100, order_by: 'created_at' } });
    const second = await run('list_issues', { ...args, cursor: cursorOf(first) });
    const third = await run('list_issues', { ...args, cursor: cursorOf(second) });
    expect([...iids(first), ...iids(second), ...iids(third)]).toEqual(Array.from({ length: 250 }, (_, at) => at));
    expect(third.structuredContent?.pagination).toMatchObject({ has_more: false, next_cursor: null });
    expect(api.sent.every(({ query }) => query.per_page === 100)).toBe(true);
  });

  it.each([
    [0, 1],
    [-5, 1],
    [7, 7],
    [500, 100],
    [undefined, 20],
  ])('bring per_page %s to %s', async (asked, sent) => {
    const { api, run } = bench({ [P]: [] });
    await run('list_issues', { project_id: 1, ...(asked !== undefined && { per_page: asked }) });
    expect(api.sent[0]?.query.per_page).toBe(sent);
  });

  it('name the next call where there is more', async () => {
    const { run } = bench({ [P]: paged });
    const outcome = await run('list_issues', { project_id: 1 });
    const [step] = structured(outcome).next_steps;
    expect(step).toEqual({ tool: 'list_issues', arguments: { project_id: 1, cursor: cursorOf(outcome) }, why: 'the next items' });
  });

  it('refuse a cursor of other arguments, another tool, and one of nobody', async () => {
    const { api, run } = bench({ [P]: paged, 'GET /projects/2/issues': paged, 'GET /projects/1/labels': paged });
    const cursor = cursorOf(await run('list_issues', { project_id: 1 }));
    const before = api.sent.length;
    for (const [tool, args] of [
      ['list_issues', { project_id: 2, cursor }],
      ['list_issues', { project_id: 1, state: 'closed', cursor }],
      ['list_labels', { project_id: 1, cursor }],
      ['list_issues', { project_id: 1, cursor: 'made up' }],
    ] as const) {
      await expect(run(tool, args)).rejects.toMatchObject({ code: 'request/params' });
    }
    expect(api.sent).toHaveLength(before);
  });

  it('fall back to offsets where an instance has no keyset for the list', async () => {
    const reply = (sent: Sent) => {
      if (sent.keyset) throw new GitLabError('method_not_allowed', 'no keyset', { status: 405 });
      return { items: issues(0, 1), next: { page: 2, per_page: 20 } };
    };
    const { api, run } = bench({ [P]: reply });
    const first = await run('list_issues', { project_id: 1 });
    expect(iids(first)).toEqual([0]);
    await run('list_issues', { project_id: 1, cursor: cursorOf(first) });
    expect(api.sent.map(({ keyset, query }) => [keyset, query.page])).toEqual([
      [true, undefined],
      [false, undefined],
      [false, 2],
    ]);
  });

  it('have cursors that hold what the arguments do not say, however long those are', async () => {
    const search = 'x'.repeat(50_000);
    const next = { search, scope: 'all', order_by: 'created_at', pagination: 'keyset', per_page: '20', cursor: 'abc' };
    const { api, run } = bench({ 'GET /issues': { items: issues(0, 1), next } });
    const first = await run('list_issues', { search, scope: 'all' });
    expect(String(cursorOf(first)).length).toBeLessThan(300);
    // Who sent arguments of this length has them.
    expect(structured(first).next_steps.map(({ tool }) => tool)).toEqual(['get_issue']);
    await run('list_issues', { search, scope: 'all', cursor: cursorOf(first) });
    expect(api.sent[1]?.query).toEqual({ ...next, per_page: 20, pagination: undefined });
  });

  it('have no next page where an instance names one that nobody can carry', async () => {
    const { run } = bench({ [P]: { items: issues(0, 1), next: { cursor: 'x'.repeat(3_000) } } });
    expect(structured(await run('list_issues', { project_id: 1 })).pagination).toMatchObject({ has_more: false, next_cursor: null });
  });

  it('are cut at whole items and go on exactly there', async () => {
    const long = issues(0, 100).map((issue) => ({ ...issue, title: `${issue.iid} ${'x'.repeat(1_500)}` }));
    const { run } = bench({ [P]: long });
    const args = { project_id: 1, per_page: 100 };
    const seen: unknown[] = [];
    let cursor: unknown;
    for (let round = 0; round < 10 && cursor !== null; round++) {
      const outcome = await run('list_issues', cursor === undefined ? args : { ...args, cursor });
      expect(Buffer.byteLength(JSON.stringify(outcome))).toBeLessThanOrEqual(100_000);
      if (round === 0) {
        expect(outcome.structuredContent?.truncated).toMatchObject({ cut: [{ field: 'items', of: 100, unit: 'items' }] });
        expect(textOf(outcome)).toContain('To go on: call list_issues again');
      }
      seen.push(...iids(outcome));
      cursor = cursorOf(outcome);
    }
    expect(seen).toEqual(Array.from({ length: 100 }, (_, at) => at));
  });

  it('show known fields, all of them with detail full, and what is missing or null bothers nobody', async () => {
    const odd = { iid: 1, title: null, author: 'a text', labels: null, milestone: { iid: 2, surprise: 1 }, new_field: { deep: true } };
    const { run } = bench({ [P]: [odd] });
    const brief = await run('list_issues', { project_id: 1 });
    expect(brief.structuredContent?.items).toEqual([{ iid: 1, author: 'a text', milestone: { iid: 2 } }]);
    const full = await run('list_issues', { project_id: 1, detail: 'full' });
    expect(full.structuredContent?.items).toEqual([odd]);
  });

  it('read on where a filter of ours leaves little of a page, within bounds', async () => {
    const page = (sent: Sent) => {
      const at = Number(sent.query.page ?? 1);
      return {
        items: [
          { new_path: `src/${at}.ts`, old_path: `src/${at}.ts` },
          { new_path: 'src.ts', old_path: 'srcs/a.ts' },
        ],
        next: { page: at + 1, per_page: 20 },
      };
    };
    const { api, run } = bench({ 'GET /projects/1/merge_requests/2/diffs': page });
    const outcome = await run('list_merge_request_diffs', { project_id: 1, merge_request_iid: 2, paths: ['src/'] });
    expect(structured(outcome).items.map(({ new_path }) => new_path)).toEqual([1, 2, 3, 4, 5].map((at) => `src/${at}.ts`));
    expect(api.sent).toHaveLength(5);
    expect(cursorOf(outcome)).not.toBeNull();
  });

  it('narrow diffs to hostile paths in no more time than to others', async () => {
    const { run } = bench({ 'GET /projects/1/merge_requests/2/diffs': { items: [{ new_path: 'a', old_path: 'a' }] } });
    const start = performance.now();
    const outcome = await run('list_merge_request_diffs', { project_id: 1, merge_request_iid: 2, paths: [`${'/'.repeat(200_000)}a`] });
    expect(structured(outcome).items).toEqual([]);
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  it('narrow discussions to threads that are resolved, or are not', async () => {
    const thread = (id: string, ...resolved: (boolean | undefined)[]) => ({
      id,
      notes: resolved.map((one) => ({ resolvable: one !== undefined, resolved: one })),
    });
    const { run } = bench({
      'GET /projects/1/merge_requests/2/discussions': [thread('open', true, false), thread('done', true, true), thread('talk', undefined)],
    });
    const ids = async (resolved: boolean) =>
      structured(await run('mr_discussions', { project_id: 1, merge_request_iid: 2, resolved })).items.map(({ id }) => id);
    expect([await ids(false), await ids(true)]).toEqual([['open'], ['done']]);
  });
});
