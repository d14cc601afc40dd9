import type { Clock } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import type { Exchange } from '../../core/exchange.ts';
import { editObject, member, toJson } from '../../core/json.ts';
import { type Answer, isJsonObject, type JsonObject, RPC, TASKS_EXTENSION } from '../../core/mcp.ts';
import { editMeta } from '../edits.ts';

/** How long a session upstream's tool says that it may, or must, run as a task (2025-11-25, "Tool-Level Negotiation"). */
export type TaskSupport = 'optional' | 'required';

/** A task that a session upstream made of a call: its own id, and the task as a modern client reads it, with that id. */
export interface CreatedTask {
  readonly taskId: string;
  readonly status: string;
  readonly task: Buffer;
}

/** A hosted task is kept no longer, whatever its upstream promises. Milliseconds. */
export const MAX_TASK_MS = 7 * 24 * 3_600_000;
const STATUSES: ReadonlySet<unknown> = new Set(['working', 'input_required', 'completed', 'failed', 'cancelled']);
const MAX_ID_LENGTH = 1024;
/** How often a task is looked at whose upstream does not say. */
const POLL_MS = 1_000;

export function isOver(status: string): boolean {
  return status !== 'working' && status !== 'input_required';
}

/** Whether a session upstream runs tools as tasks at all. */
export function runsTasks(capabilities: JsonObject): boolean {
  const { tasks } = capabilities;
  const requests = isJsonObject(tasks) ? tasks.requests : undefined;
  const tools = isJsonObject(requests) ? requests.tools : undefined;
  return isJsonObject(tools) && isJsonObject(tools.call);
}

/** What a tool says of itself. */
export function taskSupportOf({ execution }: JsonObject): TaskSupport | undefined {
  const support = isJsonObject(execution) ? execution.taskSupport : undefined;
  return support === 'optional' || support === 'required' ? support : undefined;
}

/** -32021 for a client that did not declare tasks (protocol.md section 8). */
export function needsTasks(): TurnpikeError {
  const data = { requiredCapabilities: { extensions: { [TASKS_EXTENSION]: {} } } };
  return new TurnpikeError('request/capability', `the client did not declare ${TASKS_EXTENSION}`, { data });
}

/** Whether the client of this request declared the tasks extension. */
export function declaresTasks({ capabilities }: Exchange): boolean {
  const { extensions } = capabilities;
  return isJsonObject(extensions) && isJsonObject(extensions[TASKS_EXTENSION]);
}

/**
 * The task in a session upstream's answer to a call that was to become one; undefined when it answered at once. Throws
 * `upstream/protocol` when the task cannot be read.
 */
export function createdTask(answer: Answer, upstream: string, clock: Clock): CreatedTask | undefined {
  const task = answer.kind === 'result' ? member(answer.result, 'task') : undefined;
  const body: unknown = task && JSON.parse(task.toString('utf8'));
  if (task === undefined || !isJsonObject(body)) return undefined;
  return readTask(task, body, upstream, clock);
}

/** A task of 2025-11-25 (`Task`) as 2026-07-28 writes it: durations with their unit, in whole milliseconds. Throws `upstream/protocol`. */
export function readTask(task: Buffer, body: JsonObject, upstream: string, clock: Clock): CreatedTask {
  const { taskId, status, ttl, pollInterval, createdAt, lastUpdatedAt } = body;
  const isNamed = typeof taskId === 'string' && taskId !== '' && taskId.length <= MAX_ID_LENGTH;
  if (!isNamed || typeof status !== 'string' || !STATUSES.has(status)) {
    throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' sent a task that cannot be read`, { upstream });
  }
  const now = new Date(clock.now()).toISOString();
  const interval = milliseconds(pollInterval);
  const edited = editObject(task, {
    ...editMeta(task, {}),
    ...Object.fromEntries(FOREIGN.map((key) => [key, undefined])),
    ttlMs: toJson(Math.min(milliseconds(ttl) ?? MAX_TASK_MS, MAX_TASK_MS)),
    pollIntervalMs: interval === undefined ? undefined : toJson(interval),
    createdAt: typeof createdAt === 'string' ? toJson(createdAt) : toJson(now),
    lastUpdatedAt: typeof lastUpdatedAt === 'string' ? toJson(lastUpdatedAt) : toJson(createdAt ?? now),
  });
  return { taskId, status, task: edited };
}

/** Members of a task that mean something else, or nothing, in a task of 2026-07-28. */
const FOREIGN = ['ttl', 'pollInterval', 'resultType', 'requestState', 'inputRequests', 'result', 'error'] as const;

/** How a call ended that ran as a task, as members of the task (2026-07-28, "DetailedTask"). */
export function endOf(answer: Answer, status: string): { readonly status: string; readonly result?: Buffer; readonly error?: Buffer } {
  if (answer.kind === 'error') return { status: 'failed', error: carriedError(answer) };
  // A tool that failed has done its part: `failed` is kept for errors of the protocol.
  const failed = status === 'failed' ? { isError: toJson(true) } : {};
  const result = editObject(answer.result, { ...editMeta(answer.result, {}), resultType: toJson('complete'), ...failed });
  return { status: 'completed', result };
}

/** Codes that only session clients know. */
const SESSION_CODES: readonly number[] = [RPC.resourceNotFound, RPC.urlElicitationRequired];

function carriedError({ code, error }: Extract<Answer, { kind: 'error' }>): Buffer {
  return SESSION_CODES.includes(code) ? editObject(error, { code: toJson(RPC.internalError), data: undefined }) : error;
}

/** When a task wants to be looked at again, within bounds. Milliseconds. */
export function pollInterval(task: JsonObject, least: number, most: number): number {
  return Math.min(Math.max(milliseconds(task.pollIntervalMs) ?? POLL_MS, least), most);
}

function milliseconds(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.max(1, Math.floor(value)) : undefined;
}
