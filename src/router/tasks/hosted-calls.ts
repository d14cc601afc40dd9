import { TurnpikeError } from '../../core/errors.ts';
import type { Exchange } from '../../core/exchange.ts';
import { editObject, member, toJson } from '../../core/json.ts';
import { type Answer, isJsonObject } from '../../core/mcp.ts';
import type { ConnectionLease } from '../../core/ports.ts';
import type { Answered, Call, KeptTask } from '../attempt.ts';
import { editMeta, ownResultMeta } from '../edits.ts';
import type { Services } from '../services.ts';
import { HostedTask } from './hosted-task.ts';
import type { HostedId, LiveTask, TaskHooks, TaskRecord } from './hosted-tasks.ts';
import { type CreatedTask, MAX_TASK_MS } from './task-shapes.ts';

/**
 * Hosts the task that a session upstream made of a stateless client's call: it is in the store before the client hears of it.
 * What is answered is what a modern upstream answers. Throws `store/failed`.
 */
export async function host(call: Call, { lease, wish, ...created }: KeptTask): Promise<Answered> {
  const { services, exchange, request, profile, life } = call;
  const { upstream } = request;
  const id: HostedId = { caller: exchange.caller, upstream, taskId: created.taskId };
  const { ttlMs } = JSON.parse(created.task.toString('utf8')) as { readonly ttlMs: number };
  const record = { profile, expiresAt: services.clock.now() + Math.min(ttlMs, MAX_TASK_MS) };
  await services.hosted.begin(id, record, { free: () => wish.end() }, starting(services, id, { lease, created }), life.signal);
  return { answer: { kind: 'result', result: editObject(created.task, { resultType: toJson('task') }) }, era: 'modern', hosted: true };
}

/** `tasks/get`, `tasks/update` and `tasks/cancel` of a hosted task. Throws `task/unknown`, `request/params`, `upstream/*`, `store/failed`. */
export async function callHosted(services: Services, exchange: Exchange, upstream: string, taskId: string): Promise<Answer> {
  const id: HostedId = { caller: exchange.caller, upstream, taskId };
  const { inputResponses } = exchange.body;
  if (exchange.method === 'tasks/update' && !(isJsonObject(inputResponses) && Object.values(inputResponses).every(isJsonObject)))
    throw new TurnpikeError('request/params', 'params.inputResponses must be an object whose values are objects');
  services.instruments.bridgeCalls(exchange.era, 'legacy').add();
  const found = await services.hosted.find(id, starting(services, id), exchange.signal);
  let result = toJson({});
  if (exchange.method === 'tasks/get') result = Buffer.isBuffer(found) ? found : await found.detail(exchange.signal);
  else if (!Buffer.isBuffer(found)) {
    // Of a task that is over nothing is left to answer or to cancel: that is acknowledged.
    const responses = member(exchange.params, 'inputResponses') ?? toJson({});
    if (exchange.method === 'tasks/update') await found.update(responses, exchange.signal);
    else await found.cancel(exchange.signal);
  }
  const meta = editMeta(result, ownResultMeta(services.settings.serverInfo, upstream));
  return { kind: 'result', result: editObject(result, { resultType: toJson('complete'), ...meta }) };
}

/** Hears of every change of a hosted task until `signal` aborts. Throws `task/unknown`, `upstream/capacity`, `store/failed`. */
export async function watchHosted(services: Services, id: HostedId, signal: AbortSignal, onChange: (detail: Buffer) => void): Promise<void> {
  const found = await services.hosted.find(id, starting(services, id), signal);
  if (Buffer.isBuffer(found) || signal.aborted) return;
  signal.addEventListener('abort', found.listen(onChange), { once: true });
}

function starting(
  services: Services,
  { caller, upstream, taskId }: HostedId,
  own: { readonly lease?: ConnectionLease; readonly created?: CreatedTask } = {},
): (record: TaskRecord, hooks: TaskHooks) => LiveTask {
  return ({ profile, expiresAt }, hooks) => new HostedTask({ services, caller, upstream, taskId, profile, expiresAt, ...own, ...hooks });
}
