import { sleep } from '../../../core/clock.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import type { ToolDeclaration, Work } from './declaration.ts';
import { clamp } from './listing.ts';
import { integer, own } from './parameters.ts';
import { produced, sent } from './rest.ts';
import { JOB_ITEM, PIPELINE_ITEM } from './shapes.ts';

/** States at which waiting ends (gitlab.md 4). */
const ENDS: ReadonlySet<unknown> = new Set(['success', 'failed', 'canceled', 'skipped', 'manual']);
/** Seconds: least, most, default. */
const INTERVAL = [5, 60, 10] as const;
const TIMEOUT = [1, 3_600, 300] as const;

/** Asks until the pipeline or job ends, or time is up; cancelling acts at once, in a request as well as between two. */
async function wait(work: Work) {
  const { args, clock, signal, call } = work;
  const interval = clamp(args.interval, ...INTERVAL) * 1_000;
  const timeout = clamp(args.timeout, ...TIMEOUT) * 1_000;
  const start = clock.monotonic();
  let last: JsonObject | undefined;
  for (;;) {
    signal.throwIfAborted();
    last = (await polled(work)) ?? last;
    const waited = clock.monotonic() - start;
    const left = timeout - waited;
    call.progress(Math.round(waited / 1_000), timeout / 1_000, `status: ${String(last?.status ?? 'unknown')}`);
    const seconds = Math.round(waited / 1_000);
    if (ENDS.has(last?.status)) return produced({ ...last, finished: true, waited_seconds: seconds });
    if (left <= 0) {
      // GitLab never answered: that is an error, not a state.
      if (last === undefined) return produced(await sent(work));
      return produced({ ...last, finished: false, waited_seconds: seconds });
    }
    await sleep(clock, Math.min(interval, left), signal);
  }
}

/** The state now; undefined when GitLab cannot say it at the moment, which a later poll may change. */
async function polled(work: Work): Promise<JsonObject | undefined> {
  try {
    return await sent(work);
  } catch (error) {
    if (!(error instanceof GitLabError) || work.signal.aborted) throw error;
    const isPassing = error.status === 429 || (error.status ?? 0) >= 500 || error.code === 'timeout' || error.code === 'unreachable';
    if (!isPassing) throw error;
    return undefined;
  }
}

const PARAMS = {
  interval: own(integer('seconds, 5-60, default 10')),
  timeout: own(integer('seconds, 1-3600, default 300')),
};

export const WAITING: readonly ToolDeclaration[] = [
  {
    name: 'wait_for_pipeline',
    title: 'Wait for a pipeline',
    description: 'Waits until a pipeline ends, or timeout; gives its last status.',
    ...{ toolset: 'ci', tier: 1, kind: 'R', routes: ['P/pipelines/{pipeline_id}'], run: wait, params: PARAMS },
    shape: { finished: true, waited_seconds: true, ...PIPELINE_ITEM },
    hints: ({ args, first }) => {
      const at = { project_id: args.project_id, pipeline_id: args.pipeline_id };
      if (first.finished !== true) return [{ tool: 'wait_for_pipeline', arguments: at, why: 'wait on' }];
      return first.status === 'failed' ? [{ tool: 'list_pipeline_jobs', arguments: { ...at, scope: ['failed'] }, why: 'the jobs that failed' }] : [];
    },
  },
  {
    name: 'wait_for_job',
    title: 'Wait for a job',
    description: 'Waits until a job ends, or timeout; gives its last status.',
    ...{ toolset: 'ci', tier: 1, kind: 'R', routes: ['P/jobs/{job_id}'], run: wait, params: PARAMS },
    shape: { finished: true, waited_seconds: true, ...JOB_ITEM },
    hints: ({ args, first }) => {
      const at = { project_id: args.project_id, job_id: args.job_id };
      if (first.finished !== true) return [{ tool: 'wait_for_job', arguments: at, why: 'wait on' }];
      return [{ tool: 'get_pipeline_job_output', arguments: at, why: 'the end of its log' }];
    },
  },
];
