import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sample, Someone } from '../../../../test/fixtures/gitlab/sample.ts';
import { ALL_TOOLS } from './all-tools.ts';
import { ok, SampleGitLab } from './sample-gitlab.ts';

describe('tools at a GitLab', () => {
  let rig: SampleGitLab;
  let sample: Sample;
  const as = (someone: Someone) => rig.as(someone);
  beforeAll(async () => {
    rig = await SampleGitLab.start();
    sample = rig.sample;
  });
  afterAll(() => rig[Symbol.asyncDispose]());
  const p = { project_id: 'team/app' };

  it('people, groups, projects', async () => {
    const dora = as(sample.developer);
    expect((await ok(dora('whoami'))).item).toMatchObject({ username: 'dora' });
    expect((await ok(dora('health_check'))).item).toMatchObject({ status: 'ok', api_url: rig.gitlab.apiUrl });
    expect((await ok(dora('get_users', { username: 'mike', active: true }))).items).toMatchObject([{ username: 'mike' }]);
    const todos = await ok(dora('list_todos', { state: 'pending', type: 'Issue' }));
    expect(todos.next_steps).toMatchObject([{ tool: 'mark_todo_done' }]);
    expect((await ok(dora('mark_todo_done', { id: todos.items[0]?.id }))).item).toMatchObject({ state: 'done' });
    await ok(dora('list_groups', { search: 'team', top_level_only: true, min_access_level: 10 }));
    expect((await ok(dora('get_group', { group_id: 'team' }))).item).not.toHaveProperty('projects');
    expect((await ok(dora('list_group_projects', { group_id: 'team', include_subgroups: true, order_by: 'name' }))).items).toHaveLength(1);
    expect((await ok(dora('list_group_members', { group_id: 'team' }))).items.length).toBeGreaterThan(3);
    expect((await ok(dora('list_projects', { membership: true, visibility: 'private' }))).items).toMatchObject([{ path_with_namespace: 'team/app' }]);
    expect((await ok(dora('get_project', { ...p, statistics: true, license: true }))).item).toMatchObject({ default_branch: 'main' });
    expect((await ok(dora('list_project_members', { ...p, query: 'rita' }))).items).toMatchObject([{ username: 'rita' }]);
    const olivia = as(sample.owner);
    await ok(olivia('create_repository', { name: 'new', visibility: 'private', initialize_with_readme: true, default_branch: 'main' }));
    await ok(olivia('update_project', { ...p, description: 'changed', topics: ['a'], squash_option: 'default_on' }));
    await ok(olivia('fork_repository', { ...p, namespace_path: 'olivia', path: 'copy', name: 'copy' }));
  });

  it('files, branches, commits, tags', async () => {
    const dora = as(sample.developer);
    expect((await ok(dora('get_repository_tree', { ...p, path: 'src', ref: 'main', recursive: true }))).items).toMatchObject([
      { path: 'src/add.ts' },
      { path: 'src/main.ts' },
    ]);
    const file = (await ok(dora('get_file_contents', { ...p, file_path: 'docs/guide/first steps.md' }))).item;
    expect(file).toMatchObject({ content: '# First steps', complete: true, last_commit_id: expect.stringMatching(/^[0-9a-f]{40}$/) });
    const write = { ...p, file_path: 'notes/a b.md', branch: 'main', commit_message: 'Note', content: 'one\n' };
    expect((await ok(as(sample.maintainer)('create_or_update_file', write))).item).toMatchObject({ action: 'created' });
    expect((await ok(as(sample.maintainer)('create_or_update_file', { ...write, content: 'two\n' }))).item).toMatchObject({ action: 'updated' });
    const stale = await as(sample.maintainer)('create_or_update_file', { ...write, content: 'three\n', last_commit_id: file.last_commit_id });
    expect(stale).toMatchObject({ isError: true });
    expect((await ok(dora('get_file_contents', { ...p, file_path: 'notes/a b.md' }))).item.content).toBe('two');
    await ok(dora('create_branch', { ...p, branch: 'topic/y', ref: 'main' }));
    const pushed = await ok(
      dora('push_files', { ...p, branch: 'topic/y', commit_message: 'Push', actions: [{ action: 'create', file_path: 'x', content: 'y' }] }),
    );
    expect((await ok(dora('list_branches', { ...p, search: 'topic' }))).items).toMatchObject([{ name: 'topic/y' }]);
    expect((await ok(dora('get_branch_diffs', { ...p, from: 'main', to: 'topic/y', straight: false }))).item).toMatchObject({
      diffs: [{ new_path: 'x' }],
    });
    await ok(dora('list_commits', { ...p, ref_name: 'main', with_stats: true, path: 'README.md', since: '2000-01-01T00:00:00Z' }));
    await ok(dora('get_commit', { ...p, sha: pushed.item.id, stats: true }));
    expect((await ok(dora('get_commit_diff', { ...p, sha: pushed.item.id }))).items).toMatchObject([{ new_path: 'x', new_file: true }]);
    expect(
      (await ok(dora('get_file_blame', { ...p, file_path: 'README.md', ref: 'main', range_start: 1, range_end: 2 }))).items.length,
    ).toBeGreaterThan(0);
    expect((await ok(dora('list_tags', { ...p, order_by: 'name', sort: 'asc', search: 'v1' }))).items).toMatchObject([{ name: 'v1.0.0' }]);
    await ok(dora('create_tag', { ...p, tag_name: 'v1.1.0', ref: 'main', message: 'm' }));
    await ok(dora('delete_branch', { ...p, branch: 'topic/y' }));
  });

  it('issues', async () => {
    const dora = as(sample.developer);
    const i = { ...p, issue_iid: sample.issue.iid };
    expect(
      (await ok(dora('list_issues', { ...p, labels: ['bug'], assignee_username: ['dora'], state: 'opened', milestone: 'None' }))).items,
    ).toHaveLength(1);
    expect((await ok(dora('list_issues', { scope: 'all', order_by: 'updated_at', created_after: '2000-01-01T00:00:00Z' }))).items).toHaveLength(1);
    await ok(dora('list_issues', { group_id: 'team', search: 'subtract', author_username: 'rita' }));
    expect((await ok(dora('get_issue', i))).item).toMatchObject({ title: 'It does not subtract', labels: ['bug'] });
    const made = await ok(
      dora('create_issue', {
        ...p,
        title: 'New',
        description: 'd',
        labels: ['bug', 'x y'],
        confidential: true,
        due_date: '2030-01-01',
        issue_type: 'issue',
      }),
    );
    expect(made.item).toMatchObject({ labels: ['bug', 'x y'], confidential: true });
    await ok(dora('update_issue', { ...i, add_labels: ['later'], remove_labels: ['bug'], state_event: 'close', due_date: '2030-02-02' }));
    await ok(dora('create_issue_note', { ...i, body: 'A note', internal: true }));
    const [thread] = (await ok(dora('list_issue_discussions', i))).items.filter(({ notes }) => JSON.stringify(notes).includes('A note'));
    await ok(dora('create_issue_note', { ...i, body: 'A reply', discussion_id: thread?.id }));
    await ok(dora('create_issue_link', { ...i, target_project_id: 'team/app', target_issue_iid: made.item.iid, link_type: 'relates_to' }));
  });

  it('merge requests', async () => {
    const [dora, mike] = [as(sample.developer), as(sample.maintainer)];
    const m = { ...p, merge_request_iid: sample.mergeRequest.iid };
    await ok(dora('list_merge_requests', { ...p, state: 'opened', wip: 'no', source_branch: 'feature', author_username: 'dora' }));
    await ok(dora('list_merge_requests', { scope: 'all', updated_after: '2000-01-01T00:00:00Z' }));
    await ok(dora('list_merge_requests', { group_id: 'team', target_branch: 'main' }));
    const found = (await ok(dora('get_merge_request', { ...p, source_branch: 'feature', include_diverged_commits_count: true }))).item;
    expect(found).toMatchObject({ iid: m.merge_request_iid, diverged_commits_count: expect.any(Number) });
    await ok(dora('get_merge_request', { ...m, include_rebase_in_progress: true }));
    await ok(dora('update_merge_request', { ...m, title: 'Subtract', add_labels: ['ui'], description: 'd' }));
    expect((await ok(dora('list_merge_request_diffs', { ...m, paths: ['src/sub.ts'] }))).items).toMatchObject([
      { new_path: 'src/sub.ts', collapsed: false, too_large: false },
    ]);
    await ok(dora('list_merge_request_commits', m));
    await ok(dora('list_merge_request_pipelines', m));
    await ok(dora('get_merge_request_approval_state', m));
    await ok(mike('create_merge_request_note', { ...m, body: 'A note', internal: false }));
    for (const line of [1, 2, 4]) await ok(mike('create_merge_request_thread', { ...m, body: 'Why?', file: 'src/main.ts', line }));
    const thread = (await ok(mike('create_merge_request_thread', { ...m, body: 'And this?', file: 'src/sub.ts', line: 1 }))).item;
    await ok(dora('create_merge_request_discussion_note', { ...m, discussion_id: thread.id, body: 'Because' }));
    await ok(dora('resolve_merge_request_thread', { ...m, discussion_id: thread.id, resolved: true }));
    expect((await ok(dora('mr_discussions', { ...m, resolved: true }))).items).toMatchObject([{ id: thread.id }]);
    expect((await ok(dora('mr_discussions', { ...m, resolved: false }))).items).toHaveLength(3);
    await ok(mike('approve_merge_request', { ...m, sha: found.sha }));
    await ok(mike('unapprove_merge_request', m));
    expect(await mike('merge_merge_request', { ...m, sha: '0'.repeat(40) })).toMatchObject({
      isError: true,
      structuredContent: { error: { status: 409 } },
    });
    expect((await ok(mike('merge_merge_request', { ...m, sha: found.sha, squash: false, should_remove_source_branch: true }))).item).toMatchObject({
      state: 'merged',
    });
    expect(await mike('merge_merge_request', { ...m, sha: found.sha })).toMatchObject({
      isError: true,
      structuredContent: { error: { status: 405 } },
    });
    await ok(dora('create_branch', { ...p, branch: 'more', ref: 'main' }));
    await ok(dora('push_files', { ...p, branch: 'more', commit_message: 'More', actions: [{ action: 'create', file_path: 'more', content: 'x' }] }));
    await ok(
      dora('create_merge_request', {
        ...p,
        source_branch: 'more',
        target_branch: 'main',
        title: 'More',
        labels: ['ui'],
        remove_source_branch: true,
        squash: true,
        assignee_ids: [],
      }),
    );
  });

  it('pipelines and jobs', async () => {
    const dora = as(sample.developer);
    const pipeline = { ...p, pipeline_id: sample.pipeline.id };
    expect((await ok(dora('list_pipelines', { ...p, ref: 'main', status: 'failed' }))).items).toHaveLength(1);
    expect((await ok(dora('get_pipeline', pipeline))).next_steps).toMatchObject([{ tool: 'list_pipeline_jobs', arguments: { scope: ['failed'] } }]);
    expect(await dora('get_pipeline', { ...p, ref: 'main' })).toMatchObject({
      isError: true,
      structuredContent: { error: { hint: 'list_pipelines shows those of older commits.' } },
    });
    const jobs = (await ok(dora('list_pipeline_jobs', { ...pipeline, scope: ['failed', 'success', 'manual'], include_retried: true }))).items;
    const job = (name: string) => ({ ...p, job_id: jobs.find((one) => one.name === name)?.id });
    await ok(dora('get_pipeline_job', job('unit')));
    expect((await ok(dora('get_pipeline_job_output', job('unit')))).item).toMatchObject({ content: 'make test\n1 failed' });
    expect((await ok(dora('get_job_artifact_file', { ...job('compile'), artifact_path: 'out/app.txt' }))).item).toMatchObject({ content: 'built' });
    expect((await ok(dora('wait_for_pipeline', { ...pipeline, timeout: 1 }))).item).toMatchObject({ status: 'failed', finished: true });
    expect((await ok(dora('wait_for_job', { ...job('unit'), timeout: 1 }))).item).toMatchObject({ status: 'failed', finished: true });
    await ok(dora('play_pipeline_job', { ...job('release'), job_variables_attributes: [{ key: 'a', value: 'b' }] }));
    await ok(dora('retry_pipeline_job', job('unit')));
    const made = (
      await ok(
        dora('create_pipeline', { ...p, ref: 'main', variables: [{ key: 'A', value: 'b', variable_type: 'env_var' }], inputs: { 'a-key': true } }),
      )
    ).item;
    await ok(dora('get_pipeline', p));
    await ok(dora('cancel_pipeline', { ...p, pipeline_id: made.id }));
    await ok(dora('retry_pipeline', { ...p, pipeline_id: made.id }));
    expect(
      (await ok(dora('validate_ci_lint', { ...p, content: 'a: {script: x}', include_jobs: true, dry_run: true, ref: 'main' }))).item,
    ).toHaveProperty('valid');
    expect((await ok(dora('validate_ci_lint', { ...p, ref: 'main', include_jobs: true, dry_run: true }))).item).toMatchObject({ valid: true });
    await ok(dora('list_environments', { ...p, states: 'available', name: 'production' }));
    await ok(dora('list_deployments', { ...p, environment: 'production', status: 'success', order_by: 'updated_at', sort: 'desc' }));
  });

  it('variables', async () => {
    const mike = as(sample.maintainer);
    expect(JSON.stringify(await ok(mike('list_project_variables', { ...p, detail: 'full' })))).not.toMatch(/masked-value|fast/);
    expect((await ok(mike('get_project_variable', { ...p, key: 'MODE', reveal: true }))).item).toMatchObject({ value: 'fast' });
    expect((await ok(mike('get_project_variable', { ...p, key: 'DEPLOY_KEY', reveal: true }))).item).not.toHaveProperty('value');
    const made = await ok(
      mike('create_project_variable', {
        ...p,
        key: 'NEW',
        value: 'some-value-1',
        masked: true,
        hidden: true,
        environment_scope: 'prod',
        variable_type: 'env_var',
      }),
    );
    expect(made.item).toMatchObject({ hidden: true });
    await ok(mike('update_project_variable', { ...p, key: 'NEW', value: 'some-value-2', filter_scope: 'prod', protected: true }));
    await ok(mike('delete_project_variable', { ...p, key: 'NEW', environment_scope: 'prod' }));
  });

  it('labels, milestones, releases, wiki, search, GraphQL', async () => {
    const mike = as(sample.maintainer);
    await ok(mike('list_labels', { ...p, with_counts: true, search: 'bug', include_ancestor_groups: true }));
    expect((await ok(mike('list_labels', { group_id: 'team' }))).items).toMatchObject([{ name: 'team' }]);
    await ok(mike('create_label', { ...p, name: 'new', color: '#ff0000', priority: 1 }));
    await ok(mike('list_milestones', { ...p, state: 'active', iids: [1] }));
    await ok(mike('list_milestones', { group_id: 'team', search: 'x' }));
    await ok(mike('create_milestone', { ...p, title: 'M', start_date: '2030-01-01', due_date: '2030-02-01' }));
    await ok(mike('list_releases', { ...p, order_by: 'released_at', sort: 'desc', include_html_description: true }));
    await ok(mike('get_release', { ...p, tag_name: 'v1.0.0' }));
    const links = [{ name: 'n', url: 'https://example.test/n', link_type: 'other' }];
    await ok(
      mike('create_release', {
        ...p,
        tag_name: 'v2',
        ref: 'main',
        name: 'Two',
        description: 'd',
        milestones: ['M'],
        assets: { links },
        tag_message: 't',
      }),
    );
    await ok(mike('list_wiki_pages', { ...p, with_content: true }));
    expect((await ok(mike('get_wiki_page', { ...p, slug: 'guide/setup' }))).item).toMatchObject({ content: 'How to' });
    await ok(mike('create_wiki_page', { ...p, title: 'more', content: 'c', format: 'markdown' }));
    await ok(mike('update_wiki_page', { ...p, slug: 'more', content: 'd' }));
    for (const scope of ['issues', 'merge_requests', 'milestones', 'users', 'blobs', 'commits', 'wiki_blobs', 'notes'])
      await ok(mike('search', { ...p, scope, search: 'subtract' }));
    await ok(mike('search', { scope: 'projects', search: 'app' }));
    await ok(mike('search', { group_id: 'team', scope: 'issues', search: 'subtract', state: 'opened' }));
    const { item } = await ok(mike('execute_graphql', { query: 'query { currentUser { username } }' }));
    expect(item).toEqual({ data: { currentUser: { username: 'mike' } } });
  });

  it('called every tool', () => {
    expect(ALL_TOOLS.map(({ name }) => name).filter((name) => !rig.called.has(name))).toEqual([]);
  });
});
