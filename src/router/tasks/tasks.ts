import { TurnpikeError } from '../../core/errors.ts';
import { type Exchange, exchangeWith } from '../../core/exchange.ts';
import { type Edits, editObject, objectOf, toJson } from '../../core/json.ts';
import { type Answer, isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { profileOf } from '../../upstream/profile.ts';
import { callUpstream } from '../call.ts';
import type { CallNote } from '../call-note.ts';
import type { Services } from '../services.ts';
import { requireScope } from '../tools.ts';
import { callHosted } from './hosted-calls.ts';
import { openTask, type TaskPlace } from './task-ids.ts';
import { judgedRequests } from './task-questions.ts';
import { declaresTasks, needsTasks } from './task-shapes.ts';

/** `tasks/get`, `tasks/update`, `tasks/cancel` of a task that a modern upstream keeps, or that we host (protocol.md section 8). */
export async function relayTask(services: Services, exchange: Exchange, note: CallNote): Promise<Answer> {
  if (!declaresTasks(exchange)) throw needsTasks();
  const sealed = exchange.body.taskId;
  if (typeof sealed !== 'string') throw new TurnpikeError('request/params', 'params.taskId must be a string');
  const { upstream, taskId, hosted } = openTask(services, exchange.caller, sealed);
  note.exposed(exchange.method);
  note.resolved(upstream, exchange.method);
  requireScope(exchange, exchange.method === 'tasks/get' ? 'turnpike:read' : 'turnpike:write');
  const answer = await (hosted
    ? callHosted(services, exchange, upstream, taskId)
    : callUpstream(services, exchange, {
        upstream,
        original: taskId,
        method: exchange.method,
        params: editObject(exchange.params, { taskId: toJson(taskId) }),
        repeatable: exchange.method !== 'tasks/update',
      }));
  if (answer.kind === 'error') return answer;
  const body: unknown = JSON.parse(answer.result.toString('utf8'));
  if (!isJsonObject(body) || body.taskId === undefined) return answer;
  const asked = hosted ? {} : await askedOf(services, exchange, { upstream, taskId, hosted }, answer.result);
  return { kind: 'result', result: editObject(answer.result, { taskId: toJson(sealed), ...asked }) };
}

/** Edits of a relayed task by which it asks only what may be asked; the rest is answered in the client's stead. */
async function askedOf(services: Services, exchange: Exchange, { upstream, taskId }: TaskPlace, task: Buffer): Promise<Edits> {
  const { settings } = services;
  const profile = profileOf(exchange.capabilities, settings.bridge.interactive);
  const label = settings.upstreams.get(upstream)?.naming !== 'passthrough';
  const judged = judgedRequests({ services, caller: exchange.caller, era: 'modern', upstream, profile }, task, label);
  if (judged === undefined) return {};
  const { requests, forced } = judged;
  if (Object.keys(forced).length > 0) {
    const method = 'tasks/update';
    const params = objectOf({ taskId: toJson(taskId), inputResponses: objectOf(forced) });
    const update = exchangeWith(exchange, { method, params, body: JSON.parse(params.toString('utf8')) as JsonObject });
    // If it does not arrive, the task asks again when it is looked at again.
    await callUpstream(services, update, { upstream, original: taskId, method, params, repeatable: false }).catch(() => {});
  }
  return requests === undefined ? { inputRequests: undefined, status: toJson('working') } : { inputRequests: requests };
}
