import { describe, expect, it } from 'vitest';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import { compileSchema } from '../../server/schema.ts';
import { ALL_TOOLS } from './all-tools.ts';
import { bench } from './sample-api.ts';
import { inputSchemaOf, outputSchemaOf } from './schemas.ts';

/** Tool, arguments, what goes to GitLab last: method and path, query, body. */
type Row = readonly [tool: string, args: JsonObject, key: string, query?: JsonObject, body?: JsonObject];

const P = '/projects/group%2Fapp';
const p = { project_id: 'group/app' };
const I = `${P}/issues/5`;
const i = { ...p, issue_iid: 5 };
const M = `${P}/merge_requests/7`;
const m = { ...p, merge_request_iid: 7 };
const page = { per_page: 20 };
const keyset = { per_page: 20 };

const ROWS: readonly Row[] = [
  ['whoami', {}, 'GET /user'],
  ['health_check', {}, 'GET /personal_access_tokens/self'],
  ['get_users', { username: 'ann', active: true }, 'GET /users', { username: 'ann', active: true, ...page }],
  ['list_todos', { state: 'done', type: 'Issue', project_id: 3 }, 'GET /todos', { state: 'done', type: 'Issue', project_id: 3, ...page }],
  ['mark_todo_done', { id: 9 }, 'POST /todos/9/mark_as_done', {}, {}],
  [
    'list_groups',
    { search: 'a', owned: true, top_level_only: true, min_access_level: 30 },
    'GET /groups',
    { search: 'a', owned: true, top_level_only: true, min_access_level: 30, ...page },
  ],
  ['get_group', { group_id: 'a/b' }, 'GET /groups/a%2Fb', { with_projects: false }],
  [
    'list_group_projects',
    { group_id: 'a%2Fb', include_subgroups: true, order_by: 'name' },
    'GET /groups/a%2Fb/projects',
    { include_subgroups: true, order_by: 'name', ...page },
  ],
  ['list_group_members', { group_id: 4, query: 'x' }, 'GET /groups/4/members/all', { query: 'x', ...page }],
  [
    'list_projects',
    { membership: true, visibility: 'private' },
    'GET /projects',
    { membership: true, visibility: 'private', order_by: 'id', ...keyset },
  ],
  ['get_project', { ...p, statistics: true, license: true }, `GET ${P}`, { statistics: true, license: true }],
  [
    'create_repository',
    { name: 'n', namespace_id: 2, initialize_with_readme: true },
    'POST /projects',
    {},
    { name: 'n', namespace_id: 2, initialize_with_readme: true },
  ],
  ['update_project', { ...p, description: 'd', topics: ['a', 'b'] }, `PUT ${P}`, {}, { description: 'd', topics: ['a', 'b'] }],
  ['fork_repository', { ...p, namespace_path: 'me' }, `POST ${P}/fork`, {}, { namespace_path: 'me' }],
  ['list_project_members', { ...p, query: 'x' }, `GET ${P}/members/all`, { query: 'x', ...page }],
  [
    'get_repository_tree',
    { ...p, path: 'src', ref: 'main', recursive: true },
    `GET ${P}/repository/tree`,
    { path: 'src', ref: 'main', recursive: true, ...keyset },
  ],
  ['get_file_contents', { ...p, file_path: 'src/a b.ts', ref: 'feature/x' }, `GET ${P}/repository/files/src%2Fa%20b.ts/raw`, { ref: 'feature/x' }],
  ['get_file_contents', { ...p, file_path: 'a' }, `GET ${P}/repository/files/a/raw`, { ref: 'HEAD' }],
  [
    'create_or_update_file',
    { ...p, file_path: 'src/a.ts', branch: 'b', commit_message: 'c', content: 'x', last_commit_id: 'abc' },
    `PUT ${P}/repository/files/src%2Fa.ts`,
    {},
    { branch: 'b', commit_message: 'c', content: 'x', last_commit_id: 'abc' },
  ],
  [
    'push_files',
    { ...p, branch: 'b', commit_message: 'c', actions: [{ action: 'create', file_path: 'x', content: 'y' }], force: true },
    `POST ${P}/repository/commits`,
    {},
    { branch: 'b', commit_message: 'c', actions: [{ action: 'create', file_path: 'x', content: 'y' }], force: true },
  ],
  [
    'get_file_blame',
    { ...p, file_path: 'x', ref: 'main', range_start: 1, range_end: 2 },
    `GET ${P}/repository/files/x/blame`,
    { ref: 'main', 'range[start]': 1, 'range[end]': 2 },
  ],
  ['get_branch_diffs', { ...p, from: 'a', to: 'b', straight: true }, `GET ${P}/repository/compare`, { from: 'a', to: 'b', straight: true }],
  ['list_branches', { ...p, search: 'x', regex: 'y' }, `GET ${P}/repository/branches`, { search: 'x', regex: 'y', ...page }],
  ['create_branch', { ...p, branch: 'b', ref: 'main' }, `POST ${P}/repository/branches`, {}, { branch: 'b', ref: 'main' }],
  ['delete_branch', { ...p, branch: 'feature/x' }, `DELETE ${P}/repository/branches/feature%2Fx`],
  [
    'list_commits',
    { ...p, ref_name: 'a', path: 'b', all: true, with_stats: true },
    `GET ${P}/repository/commits`,
    { ref_name: 'a', path: 'b', all: true, with_stats: true, ...page },
  ],
  ['get_commit', { ...p, sha: 'abc', stats: false }, `GET ${P}/repository/commits/abc`, { stats: false }],
  ['get_commit_diff', { ...p, sha: 'abc', unidiff: true }, `GET ${P}/repository/commits/abc/diff`, { unidiff: true, ...page }],
  ['list_tags', { ...p, order_by: 'version', sort: 'asc' }, `GET ${P}/repository/tags`, { order_by: 'version', sort: 'asc', ...page }],
  ['create_tag', { ...p, tag_name: 'v1', ref: 'main' }, `POST ${P}/repository/tags`, {}, { tag_name: 'v1', ref: 'main' }],
  [
    'list_issues',
    { ...p, labels: ['a', 'b'], assignee_username: ['ann'] },
    `GET ${P}/issues`,
    { labels: 'a,b', assignee_username: ['ann'], order_by: 'created_at', ...keyset },
  ],
  ['list_issues', { group_id: 4, state: 'opened' }, 'GET /groups/4/issues', { state: 'opened', order_by: 'created_at', ...keyset }],
  ['list_issues', { scope: 'all', order_by: 'updated_at' }, 'GET /issues', { scope: 'all', order_by: 'updated_at', ...keyset }],
  ['get_issue', i, `GET ${I}`],
  [
    'create_issue',
    { ...p, title: 't', labels: ['a', 'b'], confidential: true },
    `POST ${P}/issues`,
    {},
    { title: 't', labels: 'a,b', confidential: true },
  ],
  ['update_issue', { ...i, state_event: 'close', add_labels: ['a'] }, `PUT ${I}`, {}, { state_event: 'close', add_labels: 'a' }],
  ['list_issue_discussions', i, `GET ${I}/discussions`, page],
  ['create_issue_note', { ...i, body: 'b', internal: true }, `POST ${I}/notes`, {}, { body: 'b', internal: true }],
  ['create_issue_note', { ...i, body: 'b', discussion_id: 'd1' }, `POST ${I}/discussions/d1/notes`, {}, { body: 'b' }],
  [
    'create_issue_link',
    { ...i, target_project_id: 3, target_issue_iid: 4, link_type: 'blocks' },
    `POST ${I}/links`,
    {},
    { target_project_id: 3, target_issue_iid: 4, link_type: 'blocks' },
  ],
  ['list_merge_requests', { ...p, state: 'opened', wip: 'no' }, `GET ${P}/merge_requests`, { state: 'opened', wip: 'no', ...page }],
  ['list_merge_requests', { group_id: 4 }, 'GET /groups/4/merge_requests', page],
  ['list_merge_requests', { scope: 'all', labels: ['x'] }, 'GET /merge_requests', { scope: 'all', labels: 'x', ...page }],
  ['get_merge_request', { ...m, include_rebase_in_progress: true }, `GET ${M}`, { include_rebase_in_progress: true }],
  [
    'create_merge_request',
    { ...p, source_branch: 'a', target_branch: 'b', title: 't', reviewer_ids: [1] },
    `POST ${P}/merge_requests`,
    {},
    { source_branch: 'a', target_branch: 'b', title: 't', reviewer_ids: [1] },
  ],
  ['update_merge_request', { ...m, remove_labels: ['a'], target_branch: 'x' }, `PUT ${M}`, {}, { remove_labels: 'a', target_branch: 'x' }],
  ['merge_merge_request', { ...m, sha: 'abc', squash: true, auto_merge: true }, `PUT ${M}/merge`, {}, { sha: 'abc', squash: true, auto_merge: true }],
  ['approve_merge_request', { ...m, sha: 'abc' }, `POST ${M}/approve`, {}, { sha: 'abc' }],
  ['unapprove_merge_request', m, `POST ${M}/unapprove`, {}, {}],
  ['get_merge_request_approval_state', m, `GET ${M}/approval_state`],
  ['list_merge_request_diffs', { ...m, unidiff: true }, `GET ${M}/diffs`, { unidiff: true, ...page }],
  ['list_merge_request_commits', m, `GET ${M}/commits`, page],
  ['list_merge_request_pipelines', m, `GET ${M}/pipelines`, page],
  ['mr_discussions', m, `GET ${M}/discussions`, page],
  ['create_merge_request_note', { ...m, body: 'b', internal: false }, `POST ${M}/notes`, {}, { body: 'b', internal: false }],
  ['create_merge_request_thread', { ...m, body: 'b' }, `POST ${M}/discussions`, {}, { body: 'b' }],
  ['create_merge_request_discussion_note', { ...m, discussion_id: 'd', body: 'b' }, `POST ${M}/discussions/d/notes`, {}, { body: 'b' }],
  ['resolve_merge_request_thread', { ...m, discussion_id: 'd', resolved: true }, `PUT ${M}/discussions/d`, {}, { resolved: true }],
  ['list_pipelines', { ...p, ref: 'main', status: 'failed' }, `GET ${P}/pipelines`, { ref: 'main', status: 'failed', order_by: 'id', ...keyset }],
  ['get_pipeline', { ...p, pipeline_id: 3 }, `GET ${P}/pipelines/3`],
  ['get_pipeline', { ...p, ref: 'main' }, `GET ${P}/pipelines/latest`, { ref: 'main' }],
  [
    'create_pipeline',
    { ...p, ref: 'main', variables: [{ key: 'A', value: '1' }], inputs: { 'some-key': [1], someKey: true } },
    `POST ${P}/pipeline`,
    {},
    { ref: 'main', variables: [{ key: 'A', value: '1' }], inputs: { 'some-key': [1], someKey: true } },
  ],
  ['retry_pipeline', { ...p, pipeline_id: 3 }, `POST ${P}/pipelines/3/retry`, {}, {}],
  ['cancel_pipeline', { ...p, pipeline_id: 3 }, `POST ${P}/pipelines/3/cancel`, {}, {}],
  [
    'list_pipeline_jobs',
    { ...p, pipeline_id: 3, scope: ['failed'], include_retried: true },
    `GET ${P}/pipelines/3/jobs`,
    { scope: ['failed'], include_retried: true, ...page },
  ],
  ['get_pipeline_job', { ...p, job_id: 8 }, `GET ${P}/jobs/8`],
  ['get_pipeline_job_output', { ...p, job_id: 8 }, `GET ${P}/jobs/8/trace`],
  [
    'play_pipeline_job',
    { ...p, job_id: 8, job_variables_attributes: [{ key: 'a', value: 'b' }] },
    `POST ${P}/jobs/8/play`,
    {},
    { job_variables_attributes: [{ key: 'a', value: 'b' }] },
  ],
  ['retry_pipeline_job', { ...p, job_id: 8 }, `POST ${P}/jobs/8/retry`, {}, {}],
  ['get_job_artifact_file', { ...p, job_id: 8, artifact_path: 'dir/a b.txt' }, `GET ${P}/jobs/8/artifacts/dir/a%20b.txt`],
  ['validate_ci_lint', { ...p, content: 'x: y', include_jobs: true }, `POST ${P}/ci/lint`, {}, { content: 'x: y', include_jobs: true }],
  ['validate_ci_lint', { ...p, ref: 'main', dry_run: true }, `GET ${P}/ci/lint`, { content_ref: 'main', dry_run: true, dry_run_ref: 'main' }],
  ['list_environments', { ...p, states: 'stopped' }, `GET ${P}/environments`, { states: 'stopped', ...page }],
  [
    'list_deployments',
    { ...p, environment: 'prod', status: 'success', order_by: 'updated_at' },
    `GET ${P}/deployments`,
    { environment: 'prod', status: 'success', order_by: 'updated_at', ...page },
  ],
  ['wait_for_pipeline', { ...p, pipeline_id: 3 }, `GET ${P}/pipelines/3`],
  ['wait_for_job', { ...p, job_id: 8 }, `GET ${P}/jobs/8`],
  ['list_project_variables', p, `GET ${P}/variables`, page],
  ['get_project_variable', { ...p, key: 'K', environment_scope: 'prod' }, `GET ${P}/variables/K`, { 'filter[environment_scope]': 'prod' }],
  [
    'create_project_variable',
    { ...p, key: 'K', value: 'secret', hidden: true },
    `POST ${P}/variables`,
    {},
    { key: 'K', value: 'secret', masked_and_hidden: true },
  ],
  [
    'update_project_variable',
    { ...p, key: 'K', value: 'v', filter_scope: '*' },
    `PUT ${P}/variables/K`,
    { 'filter[environment_scope]': '*' },
    { value: 'v' },
  ],
  ['delete_project_variable', { ...p, key: 'K', environment_scope: '*' }, `DELETE ${P}/variables/K`, { 'filter[environment_scope]': '*' }],
  ['list_labels', { ...p, search: 'x', with_counts: true }, `GET ${P}/labels`, { search: 'x', with_counts: true, ...page }],
  ['list_labels', { group_id: 'g', include_ancestor_groups: false }, 'GET /groups/g/labels', { include_ancestor_groups: false, ...page }],
  ['create_label', { ...p, name: 'n', color: '#fff' }, `POST ${P}/labels`, {}, { name: 'n', color: '#fff' }],
  ['list_milestones', { ...p, state: 'active', iids: [1, 2] }, `GET ${P}/milestones`, { state: 'active', iids: [1, 2], ...page }],
  ['list_milestones', { group_id: 4 }, 'GET /groups/4/milestones', page],
  ['create_milestone', { ...p, title: 't', due_date: '2026-01-01' }, `POST ${P}/milestones`, {}, { title: 't', due_date: '2026-01-01' }],
  ['list_releases', { ...p, order_by: 'created_at', sort: 'asc' }, `GET ${P}/releases`, { order_by: 'created_at', sort: 'asc', ...page }],
  ['get_release', { ...p, tag_name: 'v1/2' }, `GET ${P}/releases/v1%2F2`],
  [
    'create_release',
    { ...p, tag_name: 'v1', assets: { links: [{ name: 'n', url: 'u' }] } },
    `POST ${P}/releases`,
    {},
    { tag_name: 'v1', assets: { links: [{ name: 'n', url: 'u' }] } },
  ],
  ['list_wiki_pages', { ...p, with_content: true }, `GET ${P}/wikis`, { with_content: true }],
  ['get_wiki_page', { ...p, slug: 'dir/page', render_html: true }, `GET ${P}/wikis/dir%2Fpage`, { render_html: true }],
  ['create_wiki_page', { ...p, title: 't', content: 'c' }, `POST ${P}/wikis`, {}, { title: 't', content: 'c' }],
  ['update_wiki_page', { ...p, slug: 's', content: 'c' }, `PUT ${P}/wikis/s`, {}, { content: 'c' }],
  ['search', { ...p, scope: 'blobs', search: 'x', ref: 'main' }, `GET ${P}/search`, { scope: 'blobs', search: 'x', ref: 'main', ...page }],
  ['search', { group_id: 4, scope: 'issues', search: 'x' }, 'GET /groups/4/search', { scope: 'issues', search: 'x', ...page }],
  ['search', { scope: 'projects', search: 'x' }, 'GET /search', { scope: 'projects', search: 'x', ...page }],
  [
    'execute_graphql',
    { query: '{ currentUser { id } }', variables: { a: 1 } },
    'POST /graphql',
    {},
    { query: '{ currentUser { id } }', variables: { a: 1 } },
  ],
];

const TEXT = new Set(['get_file_contents', 'get_pipeline_job_output', 'get_job_artifact_file']);
const replyTo = (tool: string) => {
  if (TEXT.has(tool)) return 'first line\nsecond line\n';
  const isList = ALL_TOOLS.find(({ name }) => name === tool)?.list === true;
  return isList
    ? [{ id: 1, iid: 2, name: 'one', unheard_of: true, value: 'variable-value' }]
    : { id: 1, iid: 2, status: 'success', masked: true, value: 'variable-value' };
};

const CASES = ROWS.map(([tool, args, key, query = {}, body]) => ({ tool, args, key, query, body }));

describe('every tool', () => {
  it.each(CASES)('$tool $args sends $key', async ({ tool, args, key, query, body }) => {
    const { api, run } = bench({ [key]: replyTo(tool), 'GET /version': { version: '18.0.0' } }, { tools: ['execute_graphql'] });
    const outcome = await run(tool, args);
    const declaration = ALL_TOOLS.find(({ name }) => name === tool);
    if (declaration !== undefined) expect(compileSchema(inputSchemaOf(declaration, false))(args)).toEqual([]);
    expect(outcome.isError, JSON.stringify(outcome)).toBeUndefined();
    const sent = api.sent.at(-1);
    expect({ key: `${sent?.method} ${sent?.path}`, query: sent?.query, body: sent?.body }).toEqual({ key, query, body });
  });

  it.each(CASES)('$tool $args answers in its shape', async ({ tool, args, key }) => {
    const { run } = bench({ [key]: replyTo(tool), 'GET /version': { version: '18.0.0' } }, { tools: ['execute_graphql'] });
    const { structuredContent = {}, content } = await run(tool, args);
    const declaration = ALL_TOOLS.find(({ name }) => name === tool);
    if (declaration === undefined) throw new Error(tool);
    expect(compileSchema(outputSchemaOf(declaration))(structuredContent)).toEqual([]);
    expect(content).toHaveLength(1);
    expect(JSON.stringify(structuredContent)).not.toContain('variable-value');
    if (declaration.list === true) {
      const fields = ['has_more', 'next_cursor', 'next_page', 'page', 'per_page', 'prev_page', 'total_items', 'total_pages'];
      expect(Object.keys(structuredContent.pagination as JsonObject).toSorted()).toEqual(fields);
      expect(structuredContent.items).toHaveLength(1);
      expect(JSON.stringify(structuredContent.items)).not.toContain('unheard_of');
      expect(Array.isArray(structuredContent.next_steps)).toBe(true);
    } else expect(isJsonObject(structuredContent.item)).toBe(true);
  });

  it('is in the table', () => {
    const tested = new Set(ROWS.map(([tool]) => tool));
    expect(ALL_TOOLS.map(({ name }) => name).filter((name) => !tested.has(name))).toEqual([]);
  });

  it.each(CASES)('$tool $args tells what GitLab refused', async ({ tool, args }) => {
    const { run } = bench({}, { tools: ['execute_graphql'] });
    const outcome = await run(tool, args).catch((error: unknown) => error);
    expect(outcome).toMatchObject({ isError: true, structuredContent: { error: { status: 404, code: 'not_found', retry_after_seconds: null } } });
  });

  it.each(CASES.filter(({ args }) => args.project_id === p.project_id))(
    '$tool $args refuses a path that leaves its place',
    async ({ tool, args }) => {
      const { api, run } = bench({});
      const outcome = await run(tool, { ...args, project_id: '../user' });
      expect(outcome).toMatchObject({ isError: true, structuredContent: { error: { code: 'invalid_request' } } });
      expect(api.sent).toEqual([]);
    },
  );
});
