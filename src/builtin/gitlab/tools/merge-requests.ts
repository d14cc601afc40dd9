import { TurnpikeError } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import { withoutSlashes } from '../client/slashes.ts';
import type { Found, ToolDeclaration, Work } from './declaration.ts';
import { listed } from './listing.ts';
import { flag, integer, integers, joined, must, own, text, texts, word } from './parameters.ts';
import type { Hint } from './produced.ts';
import { produced, sent } from './rest.ts';
import { pathOf, sentOf } from './routing.ts';
import { APPROVALS, COMMIT, DIFF, MERGE_REQUEST, MERGE_REQUEST_ITEM, PIPELINE } from './shapes.ts';

/** Where a merge request is, for hints. */
function at({ args, first }: Found): JsonObject {
  return { project_id: args.project_id ?? first.project_id, merge_request_iid: args.merge_request_iid ?? first.iid };
}

function afterReading(found: Found): readonly Hint[] {
  const where = at(found);
  if (where.merge_request_iid === undefined) return [];
  const { state, sha } = found.first;
  const merge: Hint[] =
    state === 'opened' && typeof sha === 'string'
      ? [{ tool: 'merge_merge_request', arguments: { ...where, sha }, why: 'merge it as it is now' }]
      : [];
  return [
    { tool: 'list_merge_request_diffs', arguments: where, why: 'its changes' },
    { tool: 'mr_discussions', arguments: where, why: 'what was said about it' },
    ...merge,
  ];
}

/** By its number, or the newest open one of a source branch (else the newest). */
async function getMergeRequest(work: Work) {
  const { args, api, signal } = work;
  if (args.merge_request_iid !== undefined) return produced(await sent(work));
  if (typeof args.source_branch !== 'string') throw new TurnpikeError('request/params', 'get_merge_request needs merge_request_iid or source_branch');
  const path = pathOf('P/merge_requests', args);
  const query = { source_branch: args.source_branch, order_by: 'created_at', sort: 'desc', per_page: 20 };
  const { items } = await api.list({ path, query: { ...query, state: 'all' }, signal });
  const found = items.find(({ state }) => state === 'opened') ?? items[0];
  if (typeof found?.iid !== 'number') throw new TurnpikeError('request/params', 'No merge request has this source branch');
  const whole = { ...args, merge_request_iid: found.iid };
  const { query: options } = sentOf(work.declaration, 'M', whole);
  const { body } = await api.request({ path: pathOf('M', whole), query: options, signal });
  return produced(isJsonObject(body) ? body : found);
}

/** `paths` are files, or folders with everything inside. */
function listDiffs(work: Work) {
  const { paths } = work.args;
  if (!Array.isArray(paths) || paths.length === 0) return listed(work);
  const wanted = paths.map((path) => withoutSlashes(String(path)));
  const isWanted = (path: unknown) => typeof path === 'string' && wanted.some((one) => path === one || path.startsWith(`${one}/`));
  return listed(work, ({ old_path, new_path }) => isWanted(old_path) || isWanted(new_path));
}

async function merge(work: Work) {
  const { args, api, signal, declaration } = work;
  const { body } = sentOf(declaration, 'M/merge', args);
  const answer = await api.request({ method: 'PUT', path: pathOf('M/merge', args), body, once: true, signal });
  return produced(isJsonObject(answer.body) ? answer.body : { status: answer.status });
}

const REST = { toolset: 'merge_requests' } as const;

export const MERGE_REQUESTS: readonly ToolDeclaration[] = [
  {
    name: 'list_merge_requests',
    title: 'List merge requests',
    description: 'Merge requests of a project, of a group, or across projects (scope).',
    ...{ ...REST, tier: 1, kind: 'R', routes: ['P/merge_requests', 'G/merge_requests', '/merge_requests'], list: true },
    ...{ shape: MERGE_REQUEST, projectOf: 'project_id' },
    params: {
      scope: word('created_by_me', 'assigned_to_me', 'reviews_for_me', 'all'),
      state: word('opened', 'closed', 'locked', 'merged', 'all'),
      author_username: text(),
      reviewer_username: text(),
      source_branch: text(),
      target_branch: text(),
      labels: joined(),
      search: text(),
      wip: word('yes', 'no'),
      updated_after: text('ISO 8601'),
    },
    hints: ({ first }) =>
      typeof first.iid === 'number'
        ? [{ tool: 'get_merge_request', arguments: { project_id: first.project_id, merge_request_iid: first.iid }, why: 'the first one in full' }]
        : [],
  },
  {
    name: 'get_merge_request',
    title: 'Get a merge request',
    description: 'One merge request by number or source branch, with its merge status.',
    ...{ ...REST, tier: 1, kind: 'R', routes: ['M', 'P/merge_requests'], shape: MERGE_REQUEST_ITEM },
    params: { source_branch: own(text()), include_diverged_commits_count: flag(), include_rebase_in_progress: flag() },
    run: getMergeRequest,
    hints: afterReading,
  },
  {
    name: 'create_merge_request',
    title: 'Create a merge request',
    description: 'Opens a merge request.',
    ...{ ...REST, tier: 1, kind: 'W', method: 'POST', routes: ['P/merge_requests'], shape: MERGE_REQUEST_ITEM, projects: ['target_project_id'] },
    params: {
      source_branch: must(text()),
      target_branch: must(text()),
      title: must(text()),
      description: text('Markdown'),
      assignee_ids: integers(),
      reviewer_ids: integers(),
      labels: joined(),
      remove_source_branch: flag(),
      squash: flag(),
      target_project_id: integer(),
    },
    hints: ({ first }) =>
      typeof first.iid === 'number'
        ? [{ tool: 'list_merge_request_diffs', arguments: { project_id: first.project_id, merge_request_iid: first.iid }, why: 'its changes' }]
        : [],
  },
  {
    name: 'update_merge_request',
    title: 'Update a merge request',
    description: 'Changes, closes or reopens a merge request; only what is given.',
    ...{ ...REST, tier: 1, kind: 'W', method: 'PUT', routes: ['M'], shape: MERGE_REQUEST_ITEM, idempotent: true },
    params: {
      title: text(),
      description: text('Markdown'),
      state_event: word('close', 'reopen'),
      add_labels: joined(),
      remove_labels: joined(),
      reviewer_ids: integers(),
      target_branch: text(),
    },
  },
  {
    name: 'merge_merge_request',
    title: 'Merge a merge request',
    description: 'Merges a merge request if its head is still sha.',
    ...{ ...REST, tier: 1, kind: 'D', method: 'PUT', routes: ['M/merge'], shape: MERGE_REQUEST_ITEM, run: merge },
    params: {
      sha: must(text('head that was reviewed')),
      squash: flag(),
      should_remove_source_branch: flag(),
      auto_merge: flag('when the pipeline succeeds'),
      merge_commit_message: text(),
    },
    effect: ({ merge_request_iid, project_id }) => `Merge !${String(merge_request_iid)} of project ${String(project_id)}?`,
    hints: (found) => [{ tool: 'get_merge_request', arguments: at(found), why: 'its state now' }],
  },
  {
    name: 'approve_merge_request',
    title: 'Approve a merge request',
    description: 'Approves a merge request; with sha only if that is its head.',
    ...{ ...REST, tier: 1, kind: 'W', method: 'POST', routes: ['M/approve'], shape: APPROVALS, idempotent: true },
    params: { sha: text() },
  },
  {
    name: 'unapprove_merge_request',
    title: 'Take back an approval',
    description: "Takes back the caller's approval of a merge request.",
    ...{ ...REST, tier: 2, kind: 'W', method: 'POST', routes: ['M/unapprove'], shape: APPROVALS, idempotent: true },
  },
  {
    name: 'get_merge_request_approval_state',
    title: 'Get approval rules',
    description: 'Approval rules of a merge request and who approved.',
    ...{ ...REST, tier: 2, kind: 'R', routes: ['M/approval_state'] },
    shape: {
      approval_rules_overwritten: true,
      rules: {
        id: true,
        name: true,
        rule_type: true,
        approvals_required: true,
        approved: true,
        approved_by: { username: true },
        eligible_approvers: { username: true },
      },
    },
  },
  {
    name: 'list_merge_request_diffs',
    title: 'List changes of a merge request',
    description: 'Diffs of a merge request, file by file; paths narrows to files or folders.',
    ...{ ...REST, tier: 1, kind: 'R', routes: ['M/diffs'], list: true, shape: DIFF, run: listDiffs },
    params: { unidiff: flag(), paths: own(texts()) },
    goOn: { say: 'read the file with get_file_contents', tool: 'get_file_contents' },
    hints: (found) => [{ tool: 'mr_discussions', arguments: at({ ...found, first: {} }), why: 'what was said about them' }],
  },
  {
    name: 'list_merge_request_commits',
    title: 'List commits of a merge request',
    description: 'Commits of a merge request.',
    ...{ ...REST, tier: 2, kind: 'R', routes: ['M/commits'], list: true, shape: COMMIT },
  },
  {
    name: 'list_merge_request_pipelines',
    title: 'List pipelines of a merge request',
    description: 'Pipelines of a merge request, newest first.',
    ...{ ...REST, tier: 2, kind: 'R', routes: ['M/pipelines'], list: true, shape: PIPELINE },
  },
];
