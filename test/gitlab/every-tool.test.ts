import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GitLabClient } from '../../src/builtin/gitlab/client/gitlab-client.ts';
import { OneInstance } from '../../src/builtin/gitlab/client/one-instance.ts';
import { ALL_TOOLS } from '../../src/builtin/gitlab/tools/all-tools.ts';
import type { GitLabCall } from '../../src/builtin/gitlab/tools/gitlab-call.ts';
import { Runner } from '../../src/builtin/gitlab/tools/runner.ts';
import { openSealing } from '../../src/builtin/gitlab/tools/sample-api.ts';
import { DEFAULT_SETTINGS } from '../../src/builtin/gitlab/tools/settings.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { JsonObject } from '../../src/core/mcp.ts';
import { Secret } from '../../src/core/secret.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { fillSample, type Sample, sampleIssue } from '../fixtures/gitlab/sample.ts';

/** Every tool through the real client, over TLS and under a relative root, against the double of GitLab. */
let gitlab: GitLabDouble;
let sample: Sample;
let instances: OneInstance;
let call: GitLabCall;
let runner: Runner;
const tested = new Set<string>();

beforeAll(async () => {
  gitlab = await GitLabDouble.start({ root: '/gitlab' });
  sample = fillSample(gitlab);
  const token = new Secret(sample.maintainer.token.value);
  instances = new OneInstance(gitlab.apiUrl, { ...(gitlab.caFile !== undefined && { caCertPath: gitlab.caFile }) });
  const api = new GitLabClient({ apiUrl: gitlab.apiUrl, credential: { kind: 'private-token', token }, instances, clock: systemClock, version: '1' });
  const settings = { ...DEFAULT_SETTINGS, toolsets: ['all'], tools: ['execute_graphql'], confirm: 'allow' as const, allowReveal: true };
  runner = new Runner(ALL_TOOLS, { settings, sealing: openSealing, clock: systemClock });
  call = {
    context: { api, principal: 'mike', secrets: [token] },
    signal: new AbortController().signal,
    canElicit: false,
    progress: () => undefined,
    ask: () => {
      throw new Error('asked a client that cannot answer');
    },
  };
});
afterAll(async () => {
  await instances?.close();
  await gitlab?.[Symbol.asyncDispose]();
});

const p = { project_id: 'team/app' };
const m = { ...p, merge_request_iid: 1 };
const i = { ...p, issue_iid: 1 };

async function run(name: string, args: JsonObject = {}): Promise<any> {
  tested.add(name);
  const { isError, structuredContent } = await runner.run(name, args, call);
  expect({ name, args, isError, ...(isError && { structuredContent }) }).toEqual({ name, args, isError: undefined });
  return structuredContent;
}

/** All items of a list, page after page. */
async function all(name: string, args: JsonObject): Promise<{ readonly items: number; readonly pages: number }> {
  let items = 0;
  let pages = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await run(name, { ...args, ...(cursor !== undefined && { cursor }) });
    items += page.items.length;
    pages++;
    cursor = page.pagination.next_cursor ?? undefined;
    if (cursor === undefined || pages > 20) return { items, pages };
  }
}

describe('every tool against the double of GitLab', () => {
  it('identity, groups, projects', async () => {
    expect((await run('whoami')).item).toMatchObject({ username: 'mike' });
    await run('health_check');
    await run('get_users', { search: 'o' });
    await run('list_groups');
    for (const name of ['get_group', 'list_group_projects', 'list_group_members']) await run(name, { group_id: 'team' });
    await run('get_project', { ...p, statistics: true, license: true });
    await run('create_repository', { name: 'New Thing', initialize_with_readme: true, visibility: 'private' });
    await run('list_project_members', p);
    await run('update_project', { ...p, description: 'd' });
    await run('fork_repository', { ...p, namespace_path: 'mike', path: 'f' });
    expect((await all('list_projects', { per_page: 1 })).items).toBe(3);
  });

  it('repository', async () => {
    expect((await all('get_repository_tree', { ...p, recursive: true, per_page: 4 })).items).toBe(9);
    expect((await run('get_file_contents', { ...p, file_path: 'docs/guide/first steps.md' })).item.content).toBe('# First steps');
    for (const file_path of ['README.md', 'fresh.md'])
      await run('create_or_update_file', { ...p, file_path, branch: 'main', commit_message: 'm', content: 'c' });
    await run('push_files', { ...p, branch: 'main', commit_message: 'm', actions: [{ action: 'create', file_path: 'q.txt', content: 'q' }] });
    await run('get_file_blame', { ...p, file_path: 'src/main.ts', ref: 'main' });
    await run('get_branch_diffs', { ...p, from: 'main', to: 'feature' });
    await run('list_branches', p);
    await run('create_branch', { ...p, branch: 'a/b', ref: 'main' });
    await run('delete_branch', { ...p, branch: 'a/b' });
    const sha = (await run('list_commits', { ...p, with_stats: true })).items[0].id;
    for (const name of ['get_commit', 'get_commit_diff']) await run(name, { ...p, sha });
    await run('list_tags', p);
    await run('create_tag', { ...p, tag_name: 't1', ref: 'main' });
  });

  it('issues and todos', async () => {
    for (let n = 0; n < 249; n++) sampleIssue(gitlab, sample.project, sample.owner.user, `n ${n}`);
    expect(await all('list_issues', { ...p, per_page: 100 })).toEqual({ items: 250, pages: 3 });
    await run('list_issues', { scope: 'all' });
    await run('list_issues', { group_id: 'team' });
    await run('get_issue', i);
    await run('create_issue', { ...p, title: 't', labels: ['x'] });
    await run('update_issue', { ...i, add_labels: ['z'], state_event: 'close' });
    await run('create_issue_note', { ...i, body: 'b' });
    const threads = await run('list_issue_discussions', i);
    await run('create_issue_note', { ...i, body: 'b', discussion_id: threads.items.at(-1).id });
    await run('create_issue_link', { ...i, target_project_id: 'team/app', target_issue_iid: 2 });
    const { world } = gitlab;
    world.todos.push({
      id: 77,
      user: sample.maintainer.user,
      author: sample.reporter.user,
      action: 'assigned',
      target: sample.issue,
      state: 'pending',
      createdAt: world.now(),
    });
    expect((await run('list_todos')).items).toHaveLength(1);
    await run('mark_todo_done', { id: 77 });
  });

  it('merge requests', async () => {
    await run('list_merge_requests', p);
    await run('list_merge_requests', { scope: 'all' });
    await run('list_merge_requests', { group_id: 'team' });
    await run('get_merge_request', { ...p, source_branch: 'feature' });
    await run('update_merge_request', { ...m, title: 'x' });
    for (const name of ['list_merge_request_diffs', 'list_merge_request_commits', 'list_merge_request_pipelines']) await run(name, m);
    for (const name of ['get_merge_request_approval_state', 'approve_merge_request', 'unapprove_merge_request']) await run(name, m);
    await run('create_merge_request_note', { ...m, body: 'n' });
    for (const line of [1, 2]) await run('create_merge_request_thread', { ...m, body: 'h', file: 'src/main.ts', line });
    const discussion_id = (await run('mr_discussions', m)).items.at(-1).id;
    await run('create_merge_request_discussion_note', { ...m, discussion_id, body: 'x' });
    await run('resolve_merge_request_thread', { ...m, discussion_id, resolved: true });
    await run('merge_merge_request', { ...m, sha: (await run('get_merge_request', m)).item.sha });
    await run('create_branch', { ...p, branch: 'n', ref: 'main' });
    await run('push_files', { ...p, branch: 'n', commit_message: 'm', actions: [{ action: 'create', file_path: 'n.txt', content: 'q' }] });
    await run('create_merge_request', { ...p, source_branch: 'n', target_branch: 'main', title: 'N' });
  });

  it('pipelines and jobs', async () => {
    const { pipeline } = sample;
    const [compile, , release] = pipeline.jobs;
    const j = { ...p, job_id: compile!.id };
    await run('list_pipelines', p);
    await run('get_pipeline', { ...p, pipeline_id: pipeline.id });
    const made = (await run('create_pipeline', { ...p, ref: 'main', variables: [{ key: 'a', value: 'b' }] })).item;
    await run('get_pipeline', { ...p, ref: 'main' });
    await run('retry_pipeline', { ...p, pipeline_id: pipeline.id });
    await run('list_pipeline_jobs', { ...p, pipeline_id: pipeline.id, scope: ['failed', 'pending'] });
    await run('get_pipeline_job', j);
    compile!.trace = { lines: 200_000, line: (n) => `line ${n}` };
    expect((await run('get_pipeline_job_output', { ...j, offset: -2 })).item.content).toBe('line 199998\nline 199999');
    await run('retry_pipeline_job', j);
    await run('play_pipeline_job', { ...p, job_id: release!.id });
    await run('get_job_artifact_file', { ...j, artifact_path: 'out/app.txt' });
    await run('cancel_pipeline', { ...p, pipeline_id: made.id });
    await run('wait_for_pipeline', { ...p, pipeline_id: made.id, interval: 5, timeout: 10 });
    await run('wait_for_job', { ...j, interval: 5, timeout: 10 });
    await run('validate_ci_lint', p);
    await run('validate_ci_lint', { ...p, content: 'a: {script: x}' });
    for (const name of ['list_environments', 'list_deployments']) await run(name, p);
  });

  it('variables, planning, releases, wiki, search, GraphQL', async () => {
    await run('list_project_variables', p);
    await run('get_project_variable', { ...p, key: 'MODE', reveal: true });
    await run('create_project_variable', { ...p, key: 'N', value: 'abcdefgh1', masked: true, hidden: true });
    await run('update_project_variable', { ...p, key: 'N', value: 'v23456789' });
    await run('delete_project_variable', { ...p, key: 'N' });
    for (const where of [p, { group_id: 'team' }]) for (const name of ['list_labels', 'list_milestones']) await run(name, where);
    await run('create_label', { ...p, name: 'l', color: '#fff' });
    await run('create_milestone', { ...p, title: 'z' });
    await run('list_releases', p);
    await run('get_release', { ...p, tag_name: 'v1.0.0' });
    await run('create_release', { ...p, tag_name: 'v2', ref: 'main' });
    await run('list_wiki_pages', p);
    await run('get_wiki_page', { ...p, slug: 'guide/setup' });
    await run('create_wiki_page', { ...p, title: 'a/b', content: 'c' });
    await run('update_wiki_page', { ...p, slug: 'a/b', content: 'd' });
    await run('search', { ...p, scope: 'blobs', search: 'add' });
    await run('search', { scope: 'projects', search: 'app' });
    await run('search', { group_id: 'team', scope: 'issues', search: 'subtract' });
    await run('execute_graphql', { query: '{ currentUser { username } }' });
  });

  it('has run each of them, with the right token only', () => {
    expect(ALL_TOOLS.map((tool) => tool.name).filter((name) => !tested.has(name))).toEqual([]);
    expect(gitlab.log.entries.filter((seen) => !seen.brought(sample.maintainer.token.value))).toEqual([]);
    expect(gitlab.log.entries.every((seen) => seen.header === 'authorization')).toBe(true);
  });
});
