import { TurnpikeError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import type { BuiltinCall, BuiltinResource, BuiltinTemplate, Completer } from '../../server/server.ts';
import { completers, type Noun } from '../completions/completions.ts';
import type { GitLabContext } from '../tools/gitlab-call.ts';
import { found } from '../tools/internal-run.ts';
import type { Runner } from '../tools/runner.ts';

type Variables = Readonly<Record<string, string>>;

/** A template, and the tool that reads it. */
interface Declared {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Behind `gitlab://{instance}`. */
  readonly path: string;
  readonly tool: string;
  readonly args: (variables: Variables) => JsonObject;
  readonly complete: Readonly<Record<string, Noun>>;
}

const PROJECT = '/project/{id}';

const USER: Declared = {
  ...{ name: 'user', title: 'User', description: 'The user whose credential is used', path: '/user', tool: 'whoami' },
  args: () => ({}),
  complete: {},
};

const TEMPLATES: readonly Declared[] = [
  {
    name: 'project',
    title: 'Project',
    description: 'A project',
    path: PROJECT,
    tool: 'get_project',
    args: ({ id = '' }) => ({ project_id: id }),
    complete: { id: 'project' },
  },
  {
    ...{
      name: 'tree',
      title: 'Files',
      description: 'Files and folders at the top of a ref',
      path: `${PROJECT}/tree/{ref}`,
      tool: 'get_repository_tree',
    },
    args: ({ id = '', ref = '' }) => ({ project_id: id, ref, per_page: 100 }),
    complete: { id: 'project', ref: 'ref' },
  },
  {
    ...{ name: 'file', title: 'File', description: 'Text of a file', path: `${PROJECT}/file/{ref}/{+path}`, tool: 'get_file_contents' },
    args: ({ id = '', ref = '', path = '' }) => ({ project_id: id, ref, file_path: path }),
    complete: { id: 'project', ref: 'ref' },
  },
  {
    ...{ name: 'issue', title: 'Issue', description: 'An issue with its description', path: `${PROJECT}/issue/{iid}`, tool: 'get_issue' },
    args: ({ id = '', iid }) => ({ project_id: id, issue_iid: number(iid) }),
    complete: { id: 'project', iid: 'issue' },
  },
  {
    ...{ name: 'mr', title: 'Merge request', description: 'A merge request', path: `${PROJECT}/mr/{iid}`, tool: 'get_merge_request' },
    args: ({ id = '', iid }) => ({ project_id: id, merge_request_iid: number(iid) }),
    complete: { id: 'project', iid: 'merge_request' },
  },
  {
    ...{ name: 'mr-diff', title: 'Changes of a merge request', description: 'Diffs of a merge request', path: `${PROJECT}/mr/{iid}/diff` },
    tool: 'list_merge_request_diffs',
    args: ({ id = '', iid }) => ({ project_id: id, merge_request_iid: number(iid), per_page: 100 }),
    complete: { id: 'project', iid: 'merge_request' },
  },
  {
    ...{ name: 'pipeline', title: 'Pipeline', description: 'A pipeline', path: `${PROJECT}/pipeline/{pipeline}`, tool: 'get_pipeline' },
    args: ({ id = '', pipeline }) => ({ project_id: id, pipeline_id: number(pipeline) }),
    complete: { id: 'project', pipeline: 'pipeline' },
  },
  {
    ...{ name: 'job-log', title: 'Job log', description: 'The end of a job log', path: `${PROJECT}/job/{job}/log`, tool: 'get_pipeline_job_output' },
    args: ({ id = '', job }) => ({ project_id: id, job_id: number(job), limit: 2_000 }),
    complete: { id: 'project', job: 'job' },
  },
  {
    ...{ name: 'release', title: 'Release', description: 'A release', path: `${PROJECT}/release/{tag}`, tool: 'get_release' },
    args: ({ id = '', tag = '' }) => ({ project_id: id, tag_name: tag }),
    complete: { id: 'project', tag: 'tag' },
  },
  {
    ...{ name: 'wiki', title: 'Wiki page', description: 'A wiki page', path: `${PROJECT}/wiki/{slug}`, tool: 'get_wiki_page' },
    args: ({ id = '', slug = '' }) => ({ project_id: id, slug }),
    complete: { id: 'project' },
  },
];

const MIME = 'text/markdown';

/** How an instance is named in URIs: host and, behind `%2F`, its relative root. */
export function instanceName(apiUrl: string): string {
  const { host, pathname } = new URL(apiUrl);
  return `${host}${pathname.replace(/\/api\/v4$/, '')}`.replaceAll('/', '%2F');
}

/**
 * `gitlab://{instance}/user`, where there is only one instance; where callers choose theirs it is a template.
 * @param apiUrl of the instance where there is only one
 */
export function resourcesOf(runner: Runner, apiUrl: string | undefined): readonly BuiltinResource<GitLabContext>[] {
  if (apiUrl === undefined || runner.access.refusal('whoami') !== undefined) return [];
  const { name, title, description } = USER;
  return [{ ...{ name, title, description, mimeType: MIME }, uri: `gitlab://${instanceName(apiUrl)}${USER.path}`, read: reader(runner, USER, {}) }];
}

/**
 * Templates of what the visible tools read; what a tool refuses, its template refuses.
 * @param apiUrl of the instance where there is only one; undefined where callers choose
 */
export function templatesOf(runner: Runner, apiUrl: string | undefined): readonly BuiltinTemplate<GitLabContext>[] {
  const nouns = completers(runner);
  const instance = apiUrl === undefined ? undefined : instanceName(apiUrl);
  const offered = instance === undefined ? [USER, ...TEMPLATES] : TEMPLATES;
  return offered
    .filter(({ tool }) => runner.access.refusal(tool) === undefined)
    .map((declared) => ({
      ...{ name: declared.name, title: declared.title, description: declared.description, mimeType: MIME },
      uriTemplate: `gitlab://${instance ?? '{instance}'}${declared.path}`,
      complete: { ...completersOf(declared, nouns), ...(instance === undefined ? { instance: ownInstance } : {}) },
      read: (uri, variables, call) => reader(runner, declared, variables)(uri, call),
    }));
}

function reader(runner: Runner, { tool, args }: Declared, variables: Variables) {
  return async (uri: string, call: BuiltinCall<GitLabContext>) => {
    const own = instanceName(call.context.api.apiUrl);
    // The variable arrives decoded; a caller reads at its own instance only.
    if (variables.instance !== undefined && variables.instance !== decodeURIComponent(own)) throw new TurnpikeError('catalog/resource');
    const { text } = await found(runner, tool, args(variables), call);
    return { contents: [{ uri, mimeType: MIME, text }] };
  };
}

const ownInstance: Completer<GitLabContext> = async (typed, { context }) => {
  const name = instanceName(context.api.apiUrl);
  return name.startsWith(typed) ? [name] : [];
};

function completersOf({ complete }: Declared, nouns: ReturnType<typeof completers>): Record<string, Completer<GitLabContext>> {
  return Object.fromEntries(Object.entries(complete).map(([variable, noun]) => [variable, nouns[noun]]));
}

/** Ids are numbers; anything else names nothing. */
function number(text: string | undefined): number {
  if (text === undefined || !/^\d{1,15}$/.test(text)) throw new TurnpikeError('catalog/resource');
  return Number(text);
}
