import { sleep } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { member, objectOf, toJson } from '../../core/json.ts';
import { type JsonObject, TASKS_EXTENSION } from '../../core/mcp.ts';
import { within } from '../../upstream/deadline.ts';
import { NO_RELAY } from '../../upstream/own-call.ts';
import { type Answered, type Call, type RoundInput, send } from '../attempt.ts';
import { askAll, readAsking, tooManyRounds } from '../rounds.ts';
import { CANCEL_MS, cancelledThere, DRIVEN_POLL } from './driven-session-task.ts';
import { isOver, pollInterval } from './task-shapes.ts';

/**
 * Drives the task of a modern upstream to its end for a session client, which sees a plain call: what the task asks is asked
 * as in rounds. Ends with the call's time. Throws as `send`, `bridge/*`, `upstream/protocol`.
 */
export async function driveModernTask(call: Call, first: JsonObject): Promise<Answered> {
  const { services, request, life } = call;
  const { upstream } = request;
  const { taskId } = first;
  if (typeof taskId !== 'string') throw unreadable(upstream);
  const about = (method: string, input: RoundInput = {}): Promise<Answered> => {
    const asking = { upstream, original: taskId, method, params: toJson({ taskId }), repeatable: method === 'tasks/get' };
    return send({ ...call, request: asking }, { ...input, tasks: true });
  };
  const answeredKeys = new Set<string>();
  let task = first;
  let over = false;
  try {
    for (let rounds = 0; ; ) {
      await sleep(services.clock, pollInterval(task, DRIVEN_POLL.least, DRIVEN_POLL.most), life.signal);
      const answered = await about('tasks/get');
      const { answer, era } = answered;
      if (answer.kind === 'error') return answered;
      const body = JSON.parse(answer.result.toString('utf8')) as JsonObject;
      if (typeof body.status !== 'string') throw unreadable(upstream);
      over = isOver(body.status);
      // That the task moved is a sign of life, as progress is.
      if (body.lastUpdatedAt !== task.lastUpdatedAt) life.deadline.restart();
      task = body;
      if (over) return ending(answer.result, body.status, upstream, era);
      if (body.status !== 'input_required') continue;
      const { questions, forced } = readAsking(call, answer.result, body);
      const open = questions.filter(({ key }) => !answeredKeys.has(key));
      const own = Object.fromEntries(Object.entries(forced).filter(([key]) => !answeredKeys.has(key)));
      if (open.length === 0 && Object.keys(own).length === 0) continue;
      if (++rounds > services.settings.bridge.maxRounds) throw tooManyRounds(call);
      services.instruments.bridgeRounds('legacy', 'modern').add();
      const responses = objectOf({ ...own, ...(await askAll(call, open)) });
      for (const key of [...open.map((question) => question.key), ...Object.keys(own)]) answeredKeys.add(key);
      const { answer: taken } = await about('tasks/update', { responses });
      if (taken.kind === 'error') return { answer: taken, era };
    }
  } catch (error) {
    // Whoever made the call does not wait any more, or cannot be asked.
    if (!over) void cancel(call, taskId);
    throw error;
  }
}

function ending(result: Buffer, status: string, upstream: string, era: Answered['era']): Answered {
  if (status === 'cancelled') return { answer: cancelledThere(), era };
  const key = status === 'failed' ? 'error' : 'result';
  const bytes = member(result, key);
  const body: unknown = bytes && JSON.parse(bytes.toString('utf8'));
  if (bytes === undefined || typeof body !== 'object' || body === null) throw unreadable(upstream);
  if (key === 'result') return { answer: { kind: 'result', result: bytes }, era };
  const { code, message } = body as { readonly code?: unknown; readonly message?: unknown };
  if (typeof code !== 'number' || !Number.isInteger(code) || typeof message !== 'string') throw unreadable(upstream);
  return { answer: { kind: 'error', error: bytes, code }, era };
}

async function cancel({ services, exchange, request, profile }: Call, taskId: string): Promise<void> {
  const { upstream } = request;
  const late = () => new TurnpikeError('upstream/timeout', undefined, { upstream });
  const capabilities = { extensions: { [TASKS_EXTENSION]: {} } };
  try {
    await within({ clock: services.clock, ms: CANCEL_MS, late, signals: [] }, async (signal) => {
      const lease = await services.connections.lease(upstream, exchange.caller, profile, signal);
      try {
        await lease.connection.request({
          method: 'tasks/cancel',
          params: toJson({ taskId }),
          capabilities,
          progress: false,
          relay: NO_RELAY,
          signal,
        });
      } finally {
        lease.release('ok');
      }
    });
  } catch (error) {
    services.logger.debug('a task could not be cancelled', { upstream, error });
  }
}

function unreadable(upstream: string): TurnpikeError {
  return new TurnpikeError('upstream/protocol', `upstream '${upstream}' sent a task that cannot be read`, { upstream });
}
