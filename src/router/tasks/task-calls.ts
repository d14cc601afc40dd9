import { isJsonObject, type JsonObject, RPC, TASKS_EXTENSION } from '../../core/mcp.ts';
import { type Answered, type Call, type RoundInput, send } from '../attempt.ts';
import { driveModernTask } from './driven-modern-task.ts';
import { driveSessionTask } from './driven-session-task.ts';
import { host } from './hosted-calls.ts';

/**
 * As `send`, with tasks: one that a session upstream made of the call is hosted for a stateless client; one of whatever
 * upstream is driven to its end for a session client, which never sees tasks (protocol.md section 8). Throws as `send`,
 * `bridge/*`, `store/failed`.
 */
export function sendWithTasks(call: Call, input: RoundInput): Promise<Answered> {
  return send(call, input).then((answered) => withTasks(call, input, answered));
}

/** What follows an upstream's first answer, where tasks are concerned. */
export async function withTasks(call: Call, input: RoundInput, first: Answered): Promise<Answered> {
  let answered = first;
  const isSession = call.exchange.era === 'legacy';
  if (isSession && insists(answered)) answered = await send(call, { ...input, tasks: true });
  const { created } = answered;
  if (created !== undefined) return isSession ? driveSessionTask(call, created) : host(call, created);
  const task = isSession ? taskOf(answered) : undefined;
  return task === undefined ? answered : driveModernTask(call, task);
}

/** Whether a modern upstream refused the call only because tasks were not declared: it did not run. */
function insists({ answer, era }: Answered): boolean {
  if (era !== 'modern' || answer.kind === 'result' || answer.code !== RPC.missingCapability) return false;
  const { data } = JSON.parse(answer.error.toString('utf8')) as JsonObject;
  const required = isJsonObject(data) ? data.requiredCapabilities : undefined;
  const extensions = isJsonObject(required) ? required.extensions : undefined;
  return isJsonObject(extensions) && extensions[TASKS_EXTENSION] !== undefined;
}

/** The task that a modern upstream made of a call. */
function taskOf({ answer, era }: Answered): JsonObject | undefined {
  if (era !== 'modern' || answer.kind === 'error' || !answer.result.includes('"task"')) return undefined;
  const body = JSON.parse(answer.result.toString('utf8')) as JsonObject;
  return body.resultType === 'task' ? body : undefined;
}
