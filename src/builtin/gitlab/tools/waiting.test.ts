import { describe, expect, it } from 'vitest';
import { GitLabError } from '../client/gitlab-error.ts';
import { bench } from './sample-api.ts';

const KEY = 'GET /projects/1/pipelines/3';
const args = { project_id: 1, pipeline_id: 3 };

/** Answers one after another; the last one again and again. */
function inTurn(...statuses: readonly (string | Error)[]) {
  let at = 0;
  return () => {
    const status = statuses[Math.min(at++, statuses.length - 1)];
    return status instanceof Error ? status : { id: 3, status };
  };
}

describe('wait_for_pipeline', () => {
  it.each(['success', 'failed', 'canceled', 'skipped', 'manual'])('ends at %s', async (status) => {
    const { clock, run } = bench({ [KEY]: inTurn(status) });
    expect((await run('wait_for_pipeline', args)).structuredContent).toMatchObject({ item: { status, finished: true, waited_seconds: 0 } });
    expect(clock.pending).toBe(0);
  });

  it('asks every interval and tells progress each time', async () => {
    const { api, clock, runner, call } = bench({ [KEY]: inTurn('pending', 'running', 'success') });
    const told: unknown[] = [];
    const run = runner.run('wait_for_pipeline', args, { ...call(), progress: (...all) => void told.push(all) });
    await clock.advanceAsync(9_900, 100);
    expect(api.sent).toHaveLength(1);
    await clock.advanceAsync(11_000, 100);
    expect((await run).structuredContent).toMatchObject({ item: { status: 'success', waited_seconds: 20 } });
    expect(told).toEqual([
      [0, 300, 'status: pending'],
      [10, 300, 'status: running'],
      [20, 300, 'status: success'],
    ]);
  });

  it.each([
    [{ interval: 1, timeout: 12 }, 4],
    [{ interval: 600, timeout: 60 }, 2],
    [{ interval: 5, timeout: 0 }, 2],
  ])('%j gives the last status after %i polls', async (options, polls) => {
    const { api, clock, run } = bench({ [KEY]: inTurn('running') });
    const outcome = run('wait_for_pipeline', { ...args, ...options });
    await clock.advanceAsync(61_000, 500);
    expect((await outcome).structuredContent).toMatchObject({
      item: { status: 'running', finished: false },
      next_steps: [{ tool: 'wait_for_pipeline' }],
    });
    expect(api.sent).toHaveLength(polls);
  });

  it('is cancelled at once, and leaves no timer', async () => {
    const { api, clock, runner, call } = bench({ [KEY]: inTurn('running') });
    const abort = new AbortController();
    const run = runner.run('wait_for_pipeline', args, call(undefined, abort.signal));
    await clock.advanceAsync(1);
    expect(clock.pending).toBe(1);
    abort.abort(new Error('the client is gone'));
    await expect(run).rejects.toThrow('the client is gone');
    expect(clock.pending).toBe(0);
    expect(api.sent).toHaveLength(1);
  });

  it('outlasts an outage, but not a refusal', async () => {
    const down = new GitLabError('server_error', 'down', { status: 502 });
    const { clock, run } = bench({ [KEY]: inTurn(down, down, 'success') });
    const outcome = run('wait_for_pipeline', args);
    await clock.advanceAsync(21_000, 1_000);
    expect((await outcome).structuredContent).toMatchObject({ item: { finished: true } });
    const gone = bench({ [KEY]: inTurn(new GitLabError('not_found', 'gone', { status: 404 })) });
    expect(await gone.run('wait_for_pipeline', args)).toMatchObject({ isError: true });
  });

  it('says that GitLab never answered', async () => {
    const { clock, run } = bench({ [KEY]: inTurn(new GitLabError('timeout', 'no answer')) });
    const outcome = run('wait_for_pipeline', { ...args, timeout: 5 });
    await clock.advanceAsync(6_000, 1_000);
    expect(await outcome).toMatchObject({ isError: true, structuredContent: { error: { code: 'timeout' } } });
  });
});

describe('wait_for_job', () => {
  it('names the log when it ends', async () => {
    const { run } = bench({ 'GET /projects/1/jobs/8': { id: 8, status: 'failed' } });
    const outcome = await run('wait_for_job', { project_id: 1, job_id: 8 });
    expect(outcome.structuredContent).toMatchObject({
      item: { finished: true },
      next_steps: [{ tool: 'get_pipeline_job_output', arguments: { project_id: 1, job_id: 8 } }],
    });
  });
});
