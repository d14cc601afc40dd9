import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import type { Found, ToolDeclaration, Work } from './declaration.ts';
import { flag, must, objects, text, texts, word } from './parameters.ts';
import type { Hint } from './produced.ts';
import { produced, readObject, sent } from './rest.ts';
import { JOB, PIPELINE, PIPELINE_ITEM } from './shapes.ts';

const VARIABLE = { key: must(text()), value: must(text()), variable_type: word('env_var', 'file') };

/** By its number, else the newest of a branch. */
async function getPipeline(work: Work) {
  if (work.args.pipeline_id !== undefined) return produced(await sent(work));
  try {
    return produced(await readObject(work, 'P/pipelines/latest', work.args.ref === undefined ? {} : { ref: String(work.args.ref) }));
  } catch (error) {
    // GitLab says so where the newest commit has no pipeline, to those who may read them as well.
    if (!(error instanceof GitLabError) || error.status !== 403) throw error;
    const hint = 'list_pipelines shows those of older commits.';
    throw new GitLabError('forbidden', 'The newest commit of this ref has no pipeline, or you may not read pipelines', { status: 403, hint });
  }
}

function afterPipeline({ args, first }: Found): readonly Hint[] {
  if (typeof first.id !== 'number') return [];
  const at = { project_id: args.project_id ?? first.project_id, pipeline_id: first.id };
  const wait: Hint[] = isRunning(first.status) ? [{ tool: 'wait_for_pipeline', arguments: at, why: 'wait for its end' }] : [];
  const jobs = first.status === 'failed' ? { ...at, scope: ['failed'] } : at;
  return [...wait, { tool: 'list_pipeline_jobs', arguments: jobs, why: first.status === 'failed' ? 'the jobs that failed' : 'its jobs' }];
}

function isRunning(status: unknown): boolean {
  return ['created', 'waiting_for_resource', 'preparing', 'pending', 'running', 'scheduled', 'canceling'].includes(String(status));
}

const SOURCES = ['push', 'web', 'trigger', 'schedule', 'api', 'external', 'pipeline', 'chat', 'webide', 'merge_request_event', 'parent_pipeline'];

export const PIPELINES: readonly ToolDeclaration[] = [
  {
    name: 'list_pipelines',
    title: 'List pipelines',
    description: 'Pipelines of a project, newest first.',
    ...{ toolset: 'ci', tier: 1, kind: 'R', routes: ['P/pipelines'], list: true, shape: PIPELINE, keyset: ['id'] },
    params: {
      ref: text(),
      status: word('created', 'pending', 'running', 'success', 'failed', 'canceled', 'skipped', 'manual', 'scheduled'),
      source: word(...SOURCES),
      sha: text(),
      username: text(),
      updated_after: text('ISO 8601'),
    },
    hints: afterPipeline,
  },
  {
    name: 'get_pipeline',
    title: 'Get a pipeline',
    description: 'One pipeline by id, else the newest of ref (default branch).',
    ...{ toolset: 'ci', tier: 1, kind: 'R', routes: ['P/pipelines/{pipeline_id}', 'P/pipelines/latest'], shape: PIPELINE_ITEM, run: getPipeline },
    params: { ref: { ...text(), to: 'own' } },
    hints: afterPipeline,
  },
  {
    name: 'create_pipeline',
    title: 'Run a pipeline',
    description: 'Starts a pipeline on a branch or tag.',
    ...{ toolset: 'ci', tier: 1, kind: 'W', method: 'POST', routes: ['P/pipeline'], shape: PIPELINE_ITEM },
    params: { ref: must(text()), variables: objects(VARIABLE), inputs: { schema: { type: 'object' } } },
    hints: afterPipeline,
  },
  {
    name: 'retry_pipeline',
    title: 'Retry a pipeline',
    description: 'Runs the failed and canceled jobs of a pipeline again.',
    ...{ toolset: 'ci', tier: 1, kind: 'W', method: 'POST', routes: ['P/pipelines/{pipeline_id}/retry'], shape: PIPELINE_ITEM },
    hints: afterPipeline,
  },
  {
    name: 'cancel_pipeline',
    title: 'Cancel a pipeline',
    description: 'Cancels the jobs of a pipeline.',
    ...{ toolset: 'ci', tier: 1, kind: 'D', method: 'POST', routes: ['P/pipelines/{pipeline_id}/cancel'], shape: PIPELINE_ITEM, idempotent: true },
    effect: ({ pipeline_id, project_id }) => `Cancel pipeline ${String(pipeline_id)} of project ${String(project_id)}?`,
  },
  {
    name: 'list_pipeline_jobs',
    title: 'List jobs of a pipeline',
    description: 'Jobs of a pipeline, of some states (scope).',
    ...{ toolset: 'ci', tier: 1, kind: 'R', routes: ['P/pipelines/{pipeline_id}/jobs'], list: true, shape: JOB },
    params: { scope: texts('such as failed, running'), include_retried: flag() },
    hints: ({ args, first }) =>
      typeof first.id === 'number'
        ? [{ tool: 'get_pipeline_job_output', arguments: { project_id: args.project_id, job_id: first.id }, why: 'log of the first job' }]
        : [],
  },
  {
    name: 'list_environments',
    title: 'List environments',
    description: 'Environments of a project.',
    ...{ toolset: 'ci', tier: 2, kind: 'R', routes: ['P/environments'], list: true },
    params: { name: text(), search: text(), states: word('available', 'stopping', 'stopped') },
    shape: {
      id: true,
      name: true,
      slug: true,
      description: true,
      external_url: true,
      state: true,
      tier: true,
      created_at: true,
      updated_at: true,
      auto_stop_at: true,
    },
  },
  {
    name: 'list_deployments',
    title: 'List deployments',
    description: 'Deployments of a project.',
    ...{ toolset: 'ci', tier: 2, kind: 'R', routes: ['P/deployments'], list: true },
    params: {
      environment: text(),
      status: word('created', 'running', 'success', 'failed', 'canceled', 'blocked'),
      order_by: word('id', 'iid', 'created_at', 'updated_at', 'finished_at', 'ref'),
      sort: word('asc', 'desc'),
    },
    shape: {
      ...{ id: true, iid: true, ref: true, sha: true, status: true, created_at: true, updated_at: true },
      user: { username: true },
      environment: { id: true, name: true, external_url: true },
      deployable: { id: true, name: true, status: true, web_url: true },
    },
  },
  {
    name: 'validate_ci_lint',
    title: 'Validate CI configuration',
    description: 'Checks the given .gitlab-ci.yml content, or the committed file.',
    ...{ toolset: 'ci', tier: 1, kind: 'R', method: 'POST', routes: ['P/ci/lint'], run: lint },
    params: { content: text(), ref: text(), dry_run: flag(), include_jobs: flag() },
    shape: {
      valid: true,
      errors: true,
      warnings: true,
      jobs: true,
      includes: { type: true, location: true, extra: true },
      merged_yaml: true,
      note: true,
    },
    goOn: { say: 'leave include_jobs out, or read included files with get_file_contents', tool: 'get_file_contents' },
  },
];

async function lint(work: Work) {
  const { content, ref, dry_run, include_jobs } = work.args;
  if (content !== undefined) return produced(withinFence(work, await sent(work)));
  const simulated = dry_run === true ? { dry_run: true, ...(ref === undefined ? {} : { dry_run_ref: String(ref) }) } : {};
  const query = {
    ...simulated,
    ...(ref === undefined ? {} : { content_ref: String(ref) }),
    ...(include_jobs === undefined ? {} : { include_jobs: include_jobs === true }),
  };
  return produced(withinFence(work, await readObject(work, 'P/ci/lint', query)));
}

/** GitLab merges files of other projects into the result, with all the rights of the caller: not where there is a fence. */
function withinFence({ settings }: Work, answer: JsonObject): JsonObject {
  const { includes } = answer;
  const isLocal = Array.isArray(includes) && includes.every((one) => isJsonObject(one) && one.type === 'local');
  if (settings.allowedProjects.length === 0 || isLocal) return answer;
  const { merged_yaml: _, jobs: __, includes: ___, ...rest } = answer;
  return { ...rest, note: 'What other files say is left out: only some projects may be read here.' };
}
