import { sleep } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { toJson } from '../../core/json.ts';
import { LinkedAbort } from '../../core/linked-abort.ts';
import { type Answer, isJsonObject, type JsonObject, RPC } from '../../core/mcp.ts';
import { within } from '../../upstream/deadline.ts';
import { NO_RELAY } from '../../upstream/own-call.ts';
import { type Answered, type Call, forCaller, type KeptTask, outcomeOf } from '../attempt.ts';
import { isOver, pollInterval, readTask } from './task-shapes.ts';

/** Bounds of how often a driven task is looked at. Milliseconds. */
export const DRIVEN_POLL = { least: 100, most: 5_000 } as const;
/** How long an upstream may take to hear of a cancel. Milliseconds. */
export const CANCEL_MS = 5_000;

/**
 * Drives the task of a session upstream to its end for a session client, which sees a plain call: questions and progress go
 * to it as those of the call. Ends with the call's time. Throws `upstream/*`, `request/cancelled`.
 */
export async function driveSessionTask(call: Call, { taskId, lease, wish, ...created }: KeptTask): Promise<Answered> {
  const { services, request, life, relay } = call;
  const { upstream } = request;
  const { clock } = services;
  const { connection } = lease;
  using both = new LinkedAbort(life.signal, lease.ended);
  const { signal } = both;
  const unclaim = connection.claimTask(taskId, relay);
  const ask = (method: string): Promise<Answer> =>
    connection.request({ method, params: toJson({ taskId }), capabilities: {}, progress: false, relay, signal });
  let result: Promise<Answer> | undefined;
  let { status, task } = created;
  let outcome: 'ok' | 'transport-error' = 'ok';
  try {
    while (!isOver(status)) {
      if (status === 'input_required' && result === undefined) {
        // What it asks comes on the stream of this request (2025-11-25, "Input Required Status").
        result = ask('tasks/result');
        result.catch(() => {});
      }
      const { least, most } = DRIVEN_POLL;
      await sleep(clock, pollInterval(JSON.parse(task.toString('utf8')) as JsonObject, least, most), signal);
      const answer = await ask('tasks/get');
      if (answer.kind === 'error') return { answer, era: 'legacy' };
      const body: unknown = JSON.parse(answer.result.toString('utf8'));
      const now = readTask(answer.result, isJsonObject(body) ? body : {}, upstream, clock);
      // That the task moved is a sign of life, as progress is.
      if (!now.task.equals(task)) life.deadline.restart();
      ({ status, task } = now);
    }
    if (status === 'cancelled') return { answer: cancelledThere(), era: 'legacy' };
    const early = await result;
    // An error that came before the end was about the asking.
    return { answer: early?.kind === 'result' ? early : await ask('tasks/result'), era: 'legacy' };
  } catch (error) {
    outcome = outcomeOf(error, life);
    throw forCaller(error, life, lease, upstream);
  } finally {
    unclaim();
    wish.end();
    const giveBack = () => lease.release(outcome);
    if (!isOver(status) && life.signal.aborted && !lease.ended.aborted) void cancelAt(call, { taskId, lease }).finally(giveBack);
    else giveBack();
  }
}

/** Nobody waits for the task any more: the upstream is told, and has a moment to take it. */
async function cancelAt({ services, request }: Call, { taskId, lease }: Pick<KeptTask, 'taskId' | 'lease'>): Promise<void> {
  const late = () => new TurnpikeError('upstream/timeout', undefined, { upstream: request.upstream });
  try {
    await within({ clock: services.clock, ms: CANCEL_MS, late, signals: [lease.ended] }, (signal) =>
      lease.connection.request({ method: 'tasks/cancel', params: toJson({ taskId }), capabilities: {}, progress: false, relay: NO_RELAY, signal }),
    );
  } catch (error) {
    services.logger.debug('a task could not be cancelled', { upstream: request.upstream, error });
  }
}

export function cancelledThere(): Answer {
  return { kind: 'error', error: toJson({ code: RPC.internalError, message: 'The upstream cancelled the task.' }), code: RPC.internalError };
}
