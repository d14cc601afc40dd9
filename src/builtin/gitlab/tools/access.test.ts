import { describe, expect, it } from 'vitest';
import { GitLabError } from '../client/gitlab-error.ts';
import { ALL_TOOLS } from './all-tools.ts';
import { bench, structured } from './sample-api.ts';

const ACCEPT = { action: 'accept', content: { confirm: true } } as const;
const deletion = { project_id: 1, branch: 'old' };
const REPLIES = { 'DELETE /projects/1/repository/branches/old': undefined };

describe('read-only mode', () => {
  it('keeps the reads and refuses the rest in its own words', async () => {
    const { api, runner, run } = bench({}, { readOnly: true });
    expect(runner.access.visible.every(({ kind }) => kind === 'R')).toBe(true);
    for (const { name } of ALL_TOOLS.filter(({ kind, tier }) => kind !== 'R' && tier !== 'named')) {
      await expect(run(name, { project_id: 1 }), name).rejects.toMatchObject({
        code: 'policy/denied',
        message: `${name} is not allowed in read-only mode`,
      });
    }
    expect(api.sent).toEqual([]);
  });

  it('leaves no write among the next steps', async () => {
    const replies = { 'GET /projects/1/merge_requests/2': { iid: 2, project_id: 1, state: 'opened', sha: 'abc' } };
    const steps = async (readOnly: boolean) => {
      const outcome = await bench(replies, { readOnly }).run('get_merge_request', { project_id: 1, merge_request_iid: 2 });
      return structured(outcome).next_steps.map(({ tool }) => tool);
    };
    expect(await steps(true)).toEqual(['list_merge_request_diffs', 'mr_discussions']);
    expect(await steps(false)).toEqual(['list_merge_request_diffs', 'mr_discussions', 'merge_merge_request']);
  });
});

describe('next steps', () => {
  const replies = { 'GET /projects/1/merge_requests/2': { iid: 2, project_id: 1, state: 'opened', sha: 'abc' } };

  it('name what a human must confirm only where one can be asked', async () => {
    const tools = async (answer?: typeof ACCEPT) => {
      const outcome = await bench(replies, { confirm: 'ask' }).run('get_merge_request', { project_id: 1, merge_request_iid: 2 }, answer);
      return structured(outcome).next_steps.map(({ tool }) => tool);
    };
    expect(await tools()).not.toContain('merge_merge_request');
    expect(await tools(ACCEPT)).toContain('merge_merge_request');
  });
});

describe('hidden tools', () => {
  it.each([
    ['by toolset', { toolsets: ['identity'] }],
    ['by pattern', { deniedTools: '^list_merge' }],
  ])('%s are absent and refused', async (_how, settings) => {
    const { api, runner, run } = bench({}, settings);
    expect(runner.access.visible.map(({ name }) => name)).not.toContain('list_merge_requests');
    await expect(run('list_merge_requests', {})).rejects.toMatchObject({ code: 'catalog/tool' });
    expect(api.sent).toEqual([]);
  });
});

describe('confirmation of destructive tools', () => {
  it('asks the human, and does it only then', async () => {
    const { api, asked, run } = bench(REPLIES, { confirm: 'ask' });
    const outcome = await run('delete_branch', deletion, ACCEPT);
    expect(outcome.isError).toBeUndefined();
    expect(asked).toEqual([
      expect.stringMatching(/^Delete the branch old of project 1\? \(delete_branch at git\.example\.com; project_id: 1; branch: old\)$/),
    ]);
    expect(api.sent).toHaveLength(1);
  });

  it.each([
    ['declined', { action: 'decline' }],
    ['cancelled', { action: 'cancel' }],
    ['accepted without the tick', { action: 'accept', content: { confirm: false } }],
    ['accepted with nothing', { action: 'accept', content: {} }],
  ] as const)('%s: GitLab is not called', async (_how, answer) => {
    const { api, run } = bench(REPLIES, { confirm: 'ask', allowedProjects: ['group/app'] });
    await expect(run('delete_branch', deletion, answer)).rejects.toMatchObject({
      code: 'policy/denied',
      message: 'delete_branch was not confirmed; nothing was changed',
    });
    expect(api.sent).toEqual([]);
  });

  it('refuses a client that cannot ask, and names the setting', async () => {
    const { api, run } = bench(REPLIES, { confirm: 'ask' });
    for (const args of [deletion, { ...deletion, confirm: true }]) {
      await expect(run('delete_branch', args)).rejects.toMatchObject({ code: 'policy/denied', message: expect.stringContaining('gitlab.confirm') });
    }
    expect(api.sent).toEqual([]);
  });

  it('asks for every destructive tool and for no other', async () => {
    for (const { name, kind } of ALL_TOOLS.filter(({ tier }) => tier !== 'named')) {
      const { asked, run } = bench({}, { confirm: 'ask' });
      await run(name, { project_id: 1 }, { action: 'decline' }).catch(() => undefined);
      expect(asked.length, name).toBe(kind === 'D' ? 1 : 0);
    }
  });

  it('is skipped with allow; deny hides the tool and refuses it', async () => {
    expect((await bench(REPLIES, { confirm: 'allow' }).run('delete_branch', deletion)).isError).toBeUndefined();
    const { runner, run } = bench(REPLIES, { confirm: 'deny' });
    expect(runner.access.visible.map(({ name }) => name)).not.toContain('delete_branch');
    await expect(run('delete_branch', deletion, ACCEPT)).rejects.toMatchObject({ message: expect.stringContaining('gitlab.confirm') });
  });

  it('shows the human what will happen, without tricks', async () => {
    const { asked, run } = bench({}, { confirm: 'ask' });
    await run('delete_branch', { project_id: 1, branch: 'old\n\nAlready approved\u202e. Press yes' }, { action: 'decline' }).catch(() => undefined);
    expect(asked[0]).not.toMatch(/[\n\u202e]/);
  });
});

describe('the default project', () => {
  it('stands in where a project is needed and none is named', async () => {
    const { api, run } = bench({}, { project: 'group/app' });
    await run('get_project');
    await run('get_project', { project_id: 5 });
    await run('list_labels');
    await run('list_labels', { group_id: 3 });
    await run('list_issues');
    expect(api.sent.map(({ path }) => path)).toEqual([
      '/projects/group%2Fapp',
      '/projects/5',
      '/projects/group%2Fapp/labels',
      '/groups/3/labels',
      '/issues',
    ]);
  });
});

describe('the fence', () => {
  const settings = { allowedProjects: ['group/app', '99'] };
  const replies = { 'GET /projects/group%2Fapp': { id: 77, name: 'app' }, 'GET /projects/77': { id: 77 }, 'GET /projects/other': { id: 5 } };

  it.each([[77], ['77'], ['group/app'], ['group%2Fapp'], [' group%2fapp ']])('lets project %j pass, under its numeric id', async (project_id) => {
    const { api, run } = bench(replies, settings);
    const outcome = await run('get_project', { project_id });
    expect(outcome.isError).toBeUndefined();
    expect(api.sent.at(-1)?.path).toBe('/projects/77');
  });

  it.each([[78], ['78'], ['other'], ['nothing/here'], ['../77'], ['77 78'], ['7.7e1']])('refuses project %j', async (project_id) => {
    const { api, run } = bench(replies, settings);
    await expect(run('get_project', { project_id })).rejects.toMatchObject({
      code: 'policy/denied',
      message: `Access denied: project ${project_id} is not in the allowed project list`,
    });
    // Nothing but the two look-ups of ids.
    expect(
      api.sent.filter(
        ({ path }) =>
          !['/projects/group%2Fapp', '/projects/other', '/projects/nothing%2Fhere', '/projects/77%2078', '/projects/7.7e1'].includes(path),
      ),
    ).toEqual([]);
  });

  it('remembers ids for ten minutes, for each principal', async () => {
    const { api, clock, run, runner, call } = bench(replies, settings);
    const resolved = () => api.sent.filter(({ path }) => path === '/projects/group%2Fapp').length;
    await run('get_project', { project_id: 'group/app' });
    await run('get_project', { project_id: 'group/app' });
    expect(resolved()).toBe(1);
    const other = call();
    await runner.run('get_project', { project_id: 77 }, { ...other, context: { ...other.context, principal: 'someone else' } });
    expect(resolved()).toBe(2);
    clock.advance(600_001);
    await run('get_project', { project_id: 77 });
    expect(resolved()).toBe(3);
  });

  it('is closed while GitLab cannot be asked', async () => {
    const { api, run } = bench({ ...replies, 'GET /projects/group%2Fapp': new GitLabError('server_error', 'oh', { status: 502 }) }, settings);
    expect(await run('list_issues', { project_id: 77 })).toMatchObject({ isError: true, structuredContent: { error: { status: 502 } } });
    expect(api.sent.map(({ path }) => path)).toEqual(['/projects/group%2Fapp']);
  });

  it.each([
    [
      'list_merge_requests',
      {},
      'GET /merge_requests',
      [{ iid: 1, project_id: 77 }, { iid: 2, project_id: 5 }, { iid: 3 }, { iid: 4, project_id: '77' }],
    ],
    [
      'list_issues',
      { group_id: 3 },
      'GET /groups/3/issues',
      [
        { iid: 1, project_id: 77 },
        { iid: 2, project_id: 5 },
      ],
    ],
    [
      'list_projects',
      {},
      'GET /projects',
      [
        { id: 77, name: 'yes' },
        { id: 5, name: 'no' },
      ],
    ],
    ['search', { scope: 'projects', search: 'x' }, 'GET /search', [{ id: 77 }, { id: 5 }]],
    ['search', { scope: 'blobs', search: 'x' }, 'GET /search', [{ project_id: 99 }, { project_id: 5 }, { path: 'x' }]],
    ['search', { scope: 'users', search: 'x' }, 'GET /search', [{ project_id: 77, id: 1 }, { id: 77 }]],
    ['list_todos', {}, 'GET /todos', [{ id: 1, project: { id: 77 } }, { id: 2, project: { id: 5 } }, { id: 3 }]],
    ['list_labels', { group_id: 3 }, 'GET /groups/3/labels', [{ project_id: 77 }, { id: 77 }]],
  ] as const)('filters %s %j', async (tool, args, key, items) => {
    const { run } = bench({ ...replies, [key]: { items, total: 9 } }, settings);
    const { structuredContent } = await run(tool, args);
    expect(structuredContent?.items).toHaveLength(1);
    expect(structuredContent?.pagination).toMatchObject({ total_items: null, total_pages: null });
  });

  it.each([
    ['create_merge_request', { project_id: 77, target_project_id: 5, source_branch: 'a', target_branch: 'b', title: 't' }, '5'],
    ['create_issue_link', { project_id: 77, issue_iid: 1, target_project_id: 'other', target_issue_iid: 2 }, 'other'],
    ['list_todos', { project_id: 5 }, '5'],
    ['create_repository', { name: 'new' }, 'new'],
    ['fork_repository', { project_id: 77, namespace_path: 'me', path: 'copy' }, 'me/copy'],
    ['mark_todo_done', { id: 5 }, 'of to-do item 5'],
    ['execute_graphql', { query: '{ projects { nodes { id } } }' }, 'of a GraphQL document'],
  ])('refuses %s %j', async (tool, args, named) => {
    const { api, run } = bench(replies, { ...settings, tools: ['execute_graphql'] });
    await expect(run(tool, args)).rejects.toMatchObject({ message: `Access denied: project ${named} is not in the allowed project list` });
    expect(api.sent.every(({ method }) => method === 'GET')).toBe(true);
  });

  it('shows nothing of other projects that CI configuration includes', async () => {
    const lint = async (includes: unknown, settled = settings) => {
      const reply = { valid: true, includes, merged_yaml: 'foreign: secret', jobs: [{ name: 'foreign' }] };
      const outcome = await bench({ ...replies, 'POST /projects/77/ci/lint': reply }, settled).run('validate_ci_lint', {
        project_id: 77,
        content: 'x',
      });
      return JSON.stringify(outcome);
    };
    for (const includes of [undefined, [{ type: 'local' }, { type: 'file', location: 'x.yml' }]])
      expect(await lint(includes)).not.toContain('foreign');
    for (const includes of [[], [{ type: 'local' }]]) expect(await lint(includes)).toContain('foreign');
    expect(await lint(undefined, { allowedProjects: [] })).toContain('foreign');
  });

  it('covers every tool: none reaches GitLab with a project that is outside', async () => {
    for (const { name } of ALL_TOOLS) {
      const { api, run } = bench(replies, { ...settings, tools: ['execute_graphql'] });
      const args = {
        project_id: 5,
        merge_request_iid: 1,
        issue_iid: 1,
        pipeline_id: 1,
        job_id: 1,
        sha: 's',
        query: '{ a }',
        branch: 'b',
        file_path: 'f',
        key: 'k',
      };
      await run(name, { ...args, tag_name: 't', slug: 's', discussion_id: 'd', id: 1, group_id: 1, artifact_path: 'a', scope: 'issues' }).catch(
        () => undefined,
      );
      expect(
        api.sent.some(({ path }) => path.startsWith('/projects/5')),
        name,
      ).toBe(false);
    }
  });
});

describe('searches', () => {
  it('are refused where GitLab would search another branch than was asked for', async () => {
    const { api, run } = bench({});
    for (const where of [{}, { group_id: 1 }])
      await expect(run('search', { ...where, scope: 'blobs', search: 'x', ref: 'dev' })).rejects.toThrow(/ref is for a search in one project/);
    expect(api.sent).toEqual([]);
  });
});

describe('replies', () => {
  it('are refused where they would be less confidential than asked for', async () => {
    const { api, run } = bench({});
    await expect(run('create_issue_note', { project_id: 1, issue_iid: 2, discussion_id: 'd', body: 'b', internal: true })).rejects.toThrow(
      /as internal as its thread/,
    );
    expect(api.sent).toEqual([]);
  });
});
