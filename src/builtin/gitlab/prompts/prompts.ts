import { TurnpikeError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import type { BuiltinCall, BuiltinPrompt, PromptArgument } from '../../server/server.ts';
import { ARGUMENTS, completers, type Noun } from '../completions/completions.ts';
import type { GitLabContext } from '../tools/gitlab-call.ts';
import { found } from '../tools/internal-run.ts';
import type { Runner } from '../tools/runner.ts';

type Args = Readonly<Record<string, string>>;
/** Reads with a tool; `share` is its part of what the prompt may be long. */
type Read = (tool: string, args: JsonObject) => ReturnType<typeof found>;

interface Declared {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly arguments: readonly (PromptArgument & { readonly noun?: Noun })[];
  /** All must be visible, or the prompt is not. */
  readonly tools: readonly string[];
  /** Results that share the size of the prompt. */
  readonly parts: number;
  readonly instruction: (args: Args) => string;
  /** Texts that follow the instruction. */
  readonly texts: (args: Args, read: Read) => Promise<readonly string[]>;
}

const PROJECT: PromptArgument & { readonly noun: Noun } = {
  name: 'project_id',
  description: 'Id or group/path of the project',
  required: true,
  noun: 'project',
};
/** Jobs of a failed pipeline whose logs are shown. */
const LOGS = 3;

const PROMPTS: readonly Declared[] = [
  {
    name: 'review_merge_request',
    title: 'Review a merge request',
    description: 'Reviews the changes of a merge request',
    arguments: [PROJECT, { name: 'merge_request_iid', description: 'Number of the merge request', required: true, noun: 'merge_request' }],
    tools: ['get_merge_request', 'list_merge_request_diffs', 'mr_discussions'],
    parts: 3,
    instruction: ({ merge_request_iid, project_id }) =>
      `Review merge request !${merge_request_iid} of ${project_id}. Look for mistakes, security problems, missing tests and unclear code. Name file and line of each finding, most serious first. Say what is discussed already instead of repeating it. Do not change anything.`,
    texts: async (args, read) => {
      const at = { project_id: args.project_id, merge_request_iid: number(args.merge_request_iid) };
      return all([read('get_merge_request', at), read('list_merge_request_diffs', { ...at, per_page: 100 }), read('mr_discussions', at)]);
    },
  },
  {
    name: 'triage_pipeline_failure',
    title: 'Triage a pipeline failure',
    description: 'Finds out why a pipeline failed',
    arguments: [PROJECT, { name: 'pipeline_id', description: 'Id of the pipeline', required: true, noun: 'pipeline' }],
    tools: ['get_pipeline', 'list_pipeline_jobs', 'get_pipeline_job_output'],
    parts: 2 + LOGS,
    instruction: ({ pipeline_id, project_id }) =>
      `Pipeline ${pipeline_id} of ${project_id} failed. Say for each failed job what went wrong, whether it is the code, the test, the configuration or the surroundings, and what to do next. Quote the decisive lines of the log.`,
    texts: async (args, read) => {
      const at = { project_id: args.project_id, pipeline_id: number(args.pipeline_id) };
      const [pipeline, jobs] = await Promise.all([read('get_pipeline', at), read('list_pipeline_jobs', { ...at, scope: ['failed'] })]);
      const ids = jobs.items.map(({ id }) => id).slice(0, LOGS);
      const logs = await all(ids.map((id) => read('get_pipeline_job_output', { project_id: args.project_id, job_id: id, limit: 150 })));
      return [pipeline.text, jobs.text, ...logs];
    },
  },
  {
    name: 'summarize_issue',
    title: 'Summarize an issue',
    description: 'Summarizes an issue and its discussion',
    arguments: [PROJECT, { name: 'issue_iid', description: 'Number of the issue', required: true, noun: 'issue' }],
    tools: ['get_issue', 'list_issue_discussions'],
    parts: 2,
    instruction: ({ issue_iid, project_id }) =>
      `Summarize issue #${issue_iid} of ${project_id}: the problem, what was decided and by whom, what is open, and the next step.`,
    texts: async (args, read) => {
      const at = { project_id: args.project_id, issue_iid: number(args.issue_iid) };
      return all([read('get_issue', at), read('list_issue_discussions', { ...at, per_page: 100 })]);
    },
  },
  {
    name: 'draft_release_notes',
    title: 'Draft release notes',
    description: 'Drafts release notes from the commits between two refs',
    arguments: [
      PROJECT,
      { name: 'from', description: 'Tag, branch or commit of the last release', required: true, noun: 'ref' },
      { name: 'to', description: 'Tag, branch or commit of the new release', required: true, noun: 'ref' },
    ],
    tools: ['list_commits'],
    parts: 1,
    instruction: ({ from, to, project_id }) =>
      `Draft release notes of ${project_id} for what changed from ${from} to ${to}. Group by added, changed, fixed and removed; name breaking changes first; leave out what users do not notice.`,
    texts: (args, read) => all([read('list_commits', { project_id: args.project_id, ref_name: `${args.from}..${args.to}`, per_page: 100 })]),
  },
  {
    name: 'explain_ci_config',
    title: 'Explain the CI configuration',
    description: 'Explains the CI/CD configuration of a project',
    arguments: [PROJECT, { name: 'ref', description: 'Branch or tag; the default branch if it is left out', required: false, noun: 'ref' }],
    tools: ['get_file_contents', 'validate_ci_lint'],
    parts: 2,
    instruction: ({ project_id }) =>
      `Explain the CI/CD configuration of ${project_id}: its stages, what each job does and when it runs, where things come from, and what is wrong or could be simpler.`,
    texts: async (args, read) => {
      const { project_id, ref = '' } = args;
      const at = { project_id, ...(ref === '' ? {} : { ref }) };
      return all([read('get_file_contents', { ...at, file_path: '.gitlab-ci.yml' }), read('validate_ci_lint', at)]);
    },
  },
];

/** Prompts whose tools are all visible: what a tool refuses, a prompt does not show. */
export function promptsOf(runner: Runner): readonly BuiltinPrompt<GitLabContext>[] {
  const nouns = completers(runner);
  return PROMPTS.filter(({ tools }) => tools.every((tool) => runner.access.refusal(tool) === undefined)).map((declared) => ({
    ...{ name: declared.name, title: declared.title, description: declared.description },
    arguments: declared.arguments.map(({ noun: _, ...argument }) => argument),
    complete: {
      ...Object.fromEntries(Object.entries(ARGUMENTS).map(([name, noun]) => [name, nouns[noun]])),
      ...Object.fromEntries(declared.arguments.flatMap(({ name, noun }) => (noun === undefined ? [] : [[name, nouns[noun]]]))),
    },
    async get(args: Args, call: BuiltinCall<GitLabContext>) {
      const share = Math.floor(runner.settings.maxResultBytes / declared.parts);
      const texts = await declared.texts(args, (tool, toolArgs) => found(runner, tool, toolArgs, call, share).catch(asOfPrompt));
      return { description: declared.description, messages: [declared.instruction(args), ...texts].map(message) };
    },
  }));
}

/** A prompt is asked by arguments, not by a URI. */
function asOfPrompt(error: unknown): never {
  if (!(error instanceof TurnpikeError) || error.code !== 'catalog/resource') throw error;
  throw new TurnpikeError('request/params', 'GitLab does not find what the arguments name, or the token may not see it');
}

function message(text: string): JsonObject {
  return { role: 'user', content: { type: 'text', text } };
}

async function all(reads: readonly ReturnType<Read>[]): Promise<readonly string[]> {
  return (await Promise.all(reads)).map(({ text }) => text);
}

function number(text: string | undefined): number {
  if (text === undefined || !/^\d{1,15}$/.test(text))
    throw new TurnpikeError('request/params', 'Numbers of issues, merge requests and pipelines are digits');
  return Number(text);
}
