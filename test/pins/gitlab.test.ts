import { describe, expect, it } from 'vitest';
import { ALL_TOOLS } from '../../src/builtin/gitlab/tools/all-tools.ts';
import { TOOLSETS } from '../../src/builtin/gitlab/tools/declaration.ts';
import { VARIABLES, type Variable } from '../../src/cli/gitlab/variables.ts';
import { gitlabBlock } from '../../src/config/sections/gitlab.ts';
import { METRICS } from '../../src/telemetry/metric-table.ts';

const MS: [number, number] = [1_000, 86_400_000];

/** Variable → its kind or range. Secrets have no flag: other users of a machine see the flags of a process. */
const PINNED: Readonly<Record<string, string | readonly (number | string)[]>> = {
  STREAMABLE_HTTP: 'boolean',
  HOST: 'text',
  PORT: [0, 65_535],
  REMOTE_AUTHORIZATION: 'boolean',
  ENABLE_DYNAMIC_API_URL: 'boolean',
  GITLAB_API_URL: 'text',
  GITLAB_ALLOWED_HOSTS: 'text',
  GITLAB_ALLOW_PRIVATE_HOSTS: 'text',
  GITLAB_POOL_MAX_SIZE: [1, 10_000],
  GITLAB_POOL_IDLE_TIMEOUT: MS,
  GITLAB_POOL_CLEANUP_INTERVAL: MS,
  GITLAB_SERVER_POOL_MAX_SIZE: [1, 1_000_000],
  MAX_SESSIONS: [1, 10_000],
  MAX_REQUESTS_PER_MINUTE: [1, 1_000],
  SESSION_TIMEOUT_SECONDS: [1, 86_400],
  NODE_TLS_REJECT_UNAUTHORIZED: ['0', '1'],
  GITLAB_CA_CERT_PATH: 'text',
  GITLAB_PERSONAL_ACCESS_TOKEN: 'secret',
  GITLAB_JOB_TOKEN: 'secret',
  STREAMABLE_HTTP_AUTH_TOKEN: 'secret',
  GITLAB_READ_ONLY_MODE: 'boolean',
  GITLAB_MASKING_ENABLED: 'boolean',
  GITLAB_TOOLSETS: 'text',
  GITLAB_TOOLS: 'text',
  GITLAB_DENIED_TOOLS_REGEX: 'text',
  GITLAB_PROJECT_ID: 'text',
  GITLAB_ALLOWED_PROJECT_IDS: 'text',
  GITLAB_CONFIRM: ['ask', 'allow', 'deny'],
  GITLAB_ALLOW_REVEAL: 'boolean',
  GITLAB_MAX_RESULT_BYTES: [1_000, 10_000_000],
  LOG_LEVEL: ['debug', 'info', 'warn', 'error'],
};

describe('GitLab: a change here needs a changeset', () => {
  it('variables of `turnpike gitlab`', () => {
    const formOf = (kind: Variable['kind']) => (typeof kind !== 'object' ? kind : 'from' in kind ? [kind.from, kind.to] : kind.choices);
    expect(Object.fromEntries(VARIABLES.map(({ name, kind }) => [name, formOf(kind)]))).toEqual(PINNED);
  });

  it('settings of the block `gitlab` and their defaults', () => {
    expect(gitlabBlock.parse({})).toEqual({
      dynamicUrl: { enabled: false, allowedHosts: [], allowPrivateHosts: [] },
      pool: { maxSize: 100, idleTimeout: 300_000, cleanupInterval: 60_000 },
      readOnly: false,
      masking: true,
      toolsets: ['default'],
      tools: [],
      allowedProjects: [],
      confirm: 'ask',
      allowReveal: false,
      maxResultBytes: 100_000,
    });
    const { shape } = gitlabBlock.unwrap();
    expect(Object.keys(shape).filter((key) => !(key in gitlabBlock.parse({})))).toEqual(['url', 'deniedTools', 'project', 'maxRequestsPerMinute']);
  });

  it('names of metrics', () => {
    const names = Object.values(METRICS).map(({ name, labels }) => `${name}{${labels.join()}}`);
    expect(names.filter((name) => /^turnpike_(?:gitlab_|pool_(?:hits|misses|evictions|size|max_size))/.test(name)).toSorted()).toMatchInlineSnapshot(`
      [
        "turnpike_gitlab_requests_total{instance,method,status}",
        "turnpike_gitlab_revalidations_failed_total{}",
        "turnpike_gitlab_revalidations_skipped_total{}",
        "turnpike_gitlab_revalidations_succeeded_total{}",
        "turnpike_gitlab_url_denied_total{reason}",
        "turnpike_pool_evictions_total{pool}",
        "turnpike_pool_hits_total{pool}",
        "turnpike_pool_max_size{pool}",
        "turnpike_pool_misses_total{pool}",
        "turnpike_pool_size{pool}",
      ]
    `);
  });

  it('toolsets, and how many tools they have by default and in all', () => {
    expect(TOOLSETS).toEqual([
      ...['identity', 'groups', 'projects', 'repository', 'issues', 'merge_requests', 'ci', 'variables', 'planning', 'releases', 'wiki', 'search'],
    ]);
    expect([ALL_TOOLS.filter(({ tier }) => tier === 1).length, ALL_TOOLS.filter(({ tier }) => tier !== 'named').length, ALL_TOOLS.length]).toEqual([
      62, 85, 86,
    ]);
  });

  it('names of tools', () => {
    expect(ALL_TOOLS.map(({ name }) => name).toSorted()).toMatchInlineSnapshot(`
      [
        "approve_merge_request",
        "cancel_pipeline",
        "create_branch",
        "create_issue",
        "create_issue_link",
        "create_issue_note",
        "create_label",
        "create_merge_request",
        "create_merge_request_discussion_note",
        "create_merge_request_note",
        "create_merge_request_thread",
        "create_milestone",
        "create_or_update_file",
        "create_pipeline",
        "create_project_variable",
        "create_release",
        "create_repository",
        "create_tag",
        "create_wiki_page",
        "delete_branch",
        "delete_project_variable",
        "execute_graphql",
        "fork_repository",
        "get_branch_diffs",
        "get_commit",
        "get_commit_diff",
        "get_file_blame",
        "get_file_contents",
        "get_group",
        "get_issue",
        "get_job_artifact_file",
        "get_merge_request",
        "get_merge_request_approval_state",
        "get_pipeline",
        "get_pipeline_job",
        "get_pipeline_job_output",
        "get_project",
        "get_project_variable",
        "get_release",
        "get_repository_tree",
        "get_users",
        "get_wiki_page",
        "health_check",
        "list_branches",
        "list_commits",
        "list_deployments",
        "list_environments",
        "list_group_members",
        "list_group_projects",
        "list_groups",
        "list_issue_discussions",
        "list_issues",
        "list_labels",
        "list_merge_request_commits",
        "list_merge_request_diffs",
        "list_merge_request_pipelines",
        "list_merge_requests",
        "list_milestones",
        "list_pipeline_jobs",
        "list_pipelines",
        "list_project_members",
        "list_project_variables",
        "list_projects",
        "list_releases",
        "list_tags",
        "list_todos",
        "list_wiki_pages",
        "mark_todo_done",
        "merge_merge_request",
        "mr_discussions",
        "play_pipeline_job",
        "push_files",
        "resolve_merge_request_thread",
        "retry_pipeline",
        "retry_pipeline_job",
        "search",
        "unapprove_merge_request",
        "update_issue",
        "update_merge_request",
        "update_project",
        "update_project_variable",
        "update_wiki_page",
        "validate_ci_lint",
        "wait_for_job",
        "wait_for_pipeline",
        "whoami",
      ]
    `);
  });
});
