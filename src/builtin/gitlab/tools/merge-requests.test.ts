import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GitLabError } from '../client/gitlab-error.ts';
import { positionsOf } from './diff-positions.ts';
import { bench } from './sample-api.ts';

const M = '/projects/1/merge_requests/2';
const mr = { project_id: 1, merge_request_iid: 2 };

describe('get_merge_request', () => {
  it('finds the open one of a source branch', async () => {
    const found = [
      { iid: 9, state: 'merged' },
      { iid: 7, state: 'opened' },
    ];
    const { api, run } = bench({
      'GET /projects/1/merge_requests': found,
      'GET /projects/1/merge_requests/7': { iid: 7, state: 'opened', sha: 'abc' },
    });
    const outcome = await run('get_merge_request', { project_id: 1, source_branch: 'feature/x', include_diverged_commits_count: true });
    expect(api.sent).toMatchObject([
      { query: { source_branch: 'feature/x', state: 'all' } },
      { path: '/projects/1/merge_requests/7', query: { include_diverged_commits_count: true } },
    ]);
    expect(outcome.structuredContent).toMatchObject({
      item: { iid: 7 },
      next_steps: [{ arguments: { project_id: 1, merge_request_iid: 7 } }, {}, { tool: 'merge_merge_request', arguments: { sha: 'abc' } }],
    });
  });

  it('says what is missing', async () => {
    await expect(bench().run('get_merge_request', { project_id: 1 })).rejects.toThrow(/merge_request_iid or source_branch/);
    await expect(bench({ 'GET /projects/1/merge_requests': [] }).run('get_merge_request', { project_id: 1, source_branch: 'x' })).rejects.toThrow(
      /No merge request/,
    );
  });
});

describe('merge_merge_request', () => {
  it('is sent once, never again', async () => {
    const { api, run } = bench({ [`PUT ${M}/merge`]: { iid: 2, state: 'merged' } });
    await run('merge_merge_request', { ...mr, sha: 'abc' });
    expect(api.sent).toMatchObject([{ once: true, body: { sha: 'abc' } }]);
  });

  it('tells that the head moved', async () => {
    const moved = new GitLabError('conflict', 'SHA does not match HEAD of source branch', { status: 409, hint: 'Read it again.' });
    const { run } = bench({ [`PUT ${M}/merge`]: moved });
    expect(await run('merge_merge_request', { ...mr, sha: 'abc' })).toMatchObject({
      isError: true,
      structuredContent: { error: { status: 409, hint: 'Read it again.' } },
    });
  });
});

describe('create_merge_request_thread', () => {
  const diff = '@@ -1,3 +1,4 @@\n a\n-b\n+B\n+c\n d\n';
  const replies = {
    [`GET ${M}`]: { diff_refs: { base_sha: 'b', start_sha: 's', head_sha: 'h' } },
    [`GET ${M}/diffs`]: [
      { old_path: 'other', new_path: 'other', diff: '' },
      { old_path: 'old.ts', new_path: 'new.ts', diff },
    ],
    [`POST ${M}/discussions`]: { id: 'd', notes: [] },
  };
  const refs = { base_sha: 'b', start_sha: 's', head_sha: 'h', position_type: 'text', old_path: 'old.ts', new_path: 'new.ts' };

  it.each([
    ['an unchanged line', 1, { old_line: 1, new_line: 1 }],
    ['an added line', 2, { new_line: 2 }],
    ['an unchanged line behind a change', 4, { old_line: 3, new_line: 4 }],
    ['a line behind the last hunk', 10, { old_line: 9, new_line: 10 }],
  ])('computes the position of %s', async (_what, line, lines) => {
    const { api, run } = bench(replies);
    await run('create_merge_request_thread', { ...mr, body: 'text', file: 'new.ts', line });
    expect(api.sent.at(-1)?.body).toEqual({ body: 'text', position: { ...refs, ...lines } });
  });

  it('passes a position on as it is', async () => {
    const { api, run } = bench(replies);
    await run('create_merge_request_thread', { ...mr, body: 'text', position: { ...refs, new_line: 3 } });
    expect(api.sent).toMatchObject([{ method: 'POST', body: { position: { ...refs, new_line: 3 } } }]);
  });

  it('writes nothing where it cannot', async () => {
    for (const args of [{ file: 'new.ts' }, { line: 3 }, { file: 'absent.ts', line: 1 }]) {
      const { api, run } = bench(replies);
      await expect(run('create_merge_request_thread', { ...mr, body: 'text', ...args })).rejects.toMatchObject({ code: 'request/params' });
      expect(api.sent.some(({ method }) => method === 'POST')).toBe(false);
    }
  });
});

describe('positionsOf', () => {
  it('knows deleted files, collapsed diffs, several hunks and empty sides', () => {
    expect(positionsOf('@@ -1,2 +0,0 @@\n-a\n-b\n', 2, true)).toEqual({ old_line: 2 });
    expect(positionsOf('', 5, false)).toEqual({ new_line: 5 });
    expect(positionsOf('@@ -0,0 +1,2 @@\n+a\n+b\n', 2, false)).toEqual({ new_line: 2 });
    const hunks = '@@ -2,2 +2,1 @@\n-x\n y\n@@ -10,1 +9,2 @@\n z\n+w\n\\ No newline at end of file';
    expect(positionsOf(hunks, 1, false)).toEqual({ old_line: 1, new_line: 1 });
    expect(positionsOf(hunks, 5, false)).toEqual({ old_line: 6, new_line: 5 });
    expect(positionsOf(hunks, 9, false)).toEqual({ old_line: 10, new_line: 9 });
    expect(positionsOf(hunks, 20, false)).toEqual({ old_line: 20, new_line: 20 });
  });

  it('agrees with the files that the diff was made of', () => {
    const edit = fc.constantFrom('keep', 'add', 'remove');
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 30 }), (edits) => {
        const text = edits.map((one) => ({ keep: ' x', add: '+x', remove: '-x' })[one]).join('\n');
        const count = (...kinds: string[]) => edits.filter((one) => kinds.includes(one)).length;
        const header = `@@ -${count('keep', 'remove') ? 1 : 0},${count('keep', 'remove')} +${count('keep', 'add') ? 1 : 0},${count('keep', 'add')} @@`;
        let [old, young] = [0, 0];
        for (const one of edits) {
          if (one !== 'add') old++;
          if (one !== 'remove') young++;
          if (one === 'remove') continue;
          expect(positionsOf(`${header}\n${text}`, young, false)).toEqual(one === 'add' ? { new_line: young } : { old_line: old, new_line: young });
        }
      }),
      { numRuns: 200 },
    );
  });
});
