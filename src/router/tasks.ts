import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, toJson } from '../core/json.ts';
import { type Answer, isJsonObject } from '../core/mcp.ts';
import { callUpstream } from './call.ts';
import type { CallNote } from './call-note.ts';
import { callHosted } from './hosted-calls.ts';
import type { Services } from './services.ts';
import { openTask } from './task-ids.ts';
import { declaresTasks, needsTasks } from './task-shapes.ts';
import { requireScope } from './tools.ts';

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
  return { kind: 'result', result: editObject(answer.result, { taskId: toJson(sealed) }) };
}
