import type { JsonObject } from '../../../core/mcp.ts';
import type { Completer, CompletionCall } from '../../server/server.ts';
import type { GitLabContext } from '../tools/gitlab-call.ts';
import { found, silentCall } from '../tools/internal-run.ts';
import type { Runner } from '../tools/runner.ts';

/** What can be completed (gitlab.md 4, "Completions"). */
export const NOUNS = ['project', 'group', 'ref', 'tag', 'label', 'milestone', 'user', 'issue', 'merge_request', 'pipeline', 'job'] as const;
export type Noun = (typeof NOUNS)[number];

/** Arguments of tools, and what completes them: a client may ask for these with any prompt, also where that has no such argument. */
export const ARGUMENTS: Readonly<Record<string, Noun>> = {
  project_id: 'project',
  group_id: 'group',
  ref: 'ref',
  tag_name: 'tag',
  label: 'label',
  milestone: 'milestone',
  username: 'user',
  issue_iid: 'issue',
  merge_request_iid: 'merge_request',
  pipeline_id: 'pipeline',
  job_id: 'job',
};

/** Most values that are offered. */
const MAX_VALUES = 20;

type Call = CompletionCall<GitLabContext>;
/** Items of a tool, with the caller's rights and through the same rules as a call. */
type Items = (tool: string, args: JsonObject, call: Call) => Promise<readonly JsonObject[]>;

/** A completer for each noun. What a caller may not list is not completed. */
export function completers(runner: Runner): Readonly<Record<Noun, Completer<GitLabContext>>> {
  const items: Items = async (tool, args, { context, signal }) => (await found(runner, tool, args, silentCall(context, signal))).items;
  const item = async (tool: string, args: JsonObject, { context, signal }: Call) =>
    (await found(runner, tool, args, silentCall(context, signal))).item;
  const inProject = (tool: string, field: string, search: boolean): Completer<GitLabContext> => {
    return async (typed, call) => {
      const place = projectOf(call);
      if (place === undefined) return [];
      const wanted = search && typed !== '' ? { search: typed } : {};
      return values(await items(tool, { ...place, ...wanted, per_page: 100 }, call), field, typed);
    };
  };
  const numbered = (tool: string, args: JsonObject): Completer<GitLabContext> => {
    return async (typed, call) => {
      const place = projectOf(call);
      if (place === undefined) return [];
      const isNumber = /^\d*$/.test(typed);
      const listed = await items(tool, { ...place, ...args, ...(isNumber ? {} : { search: typed }), per_page: 100 }, call);
      return values(listed, 'iid', isNumber ? typed : '');
    };
  };
  const branches = inProject('list_branches', 'name', true);
  const tags = inProject('list_tags', 'name', true);
  return {
    project: async (typed, call) => {
      const name = typed.slice(typed.lastIndexOf('/') + 1);
      const listed = await items('list_projects', { membership: true, ...(name === '' ? {} : { search: name }), per_page: 100 }, call);
      return values(listed, 'path_with_namespace', typed);
    },
    group: async (typed, call) => {
      const name = typed.slice(typed.lastIndexOf('/') + 1);
      return values(await items('list_groups', { ...(name === '' ? {} : { search: name }), per_page: 100 }, call), 'full_path', typed);
    },
    ref: async (typed, call) => {
      const settled = await Promise.allSettled([branches(typed, call), tags(typed, call)]);
      return settled.flatMap((one) => (one.status === 'fulfilled' ? one.value : [])).slice(0, MAX_VALUES);
    },
    tag: tags,
    label: inProject('list_labels', 'name', true),
    milestone: inProject('list_milestones', 'title', true),
    user: async (typed, call) => {
      if (typed === '') return [];
      return values(await items('get_users', { search: typed, per_page: MAX_VALUES }, call), 'username', '');
    },
    issue: numbered('list_issues', { state: 'all' }),
    merge_request: numbered('list_merge_requests', { state: 'all' }),
    pipeline: inProject('list_pipelines', 'id', false),
    job: async (typed, call) => {
      const place = projectOf(call);
      if (place === undefined) return [];
      const known = Number(call.known.pipeline_id ?? call.known.pipeline);
      const pipeline = Number.isSafeInteger(known) ? known : (await item('get_pipeline', place, call)).id;
      return values(await items('list_pipeline_jobs', { ...place, pipeline_id: pipeline, per_page: 100 }, call), 'id', typed);
    },
  };
}

/** The project that was filled in: `id` in templates, `project_id` in prompts. */
function projectOf({ known }: Call): JsonObject | undefined {
  const project = known.project_id ?? known.id;
  return project === undefined || project === '' ? undefined : { project_id: project };
}

/** Values of a field that hold what was typed, those that begin with it first. */
function values(items: readonly JsonObject[], field: string, typed: string): readonly string[] {
  const wanted = typed.toLowerCase();
  const all = [...new Set(items.map((item) => item[field]).filter((value) => value !== undefined && value !== null))].map(String);
  const holding = all.filter((value) => value.toLowerCase().includes(wanted));
  const [begin, rest] = [
    holding.filter((value) => value.toLowerCase().startsWith(wanted)),
    holding.filter((value) => !value.toLowerCase().startsWith(wanted)),
  ];
  return [...begin, ...rest].slice(0, MAX_VALUES);
}
