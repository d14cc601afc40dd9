import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { toJson } from '../core/json.ts';
import type { Answer } from '../core/mcp.ts';
import { CallNote } from './call-note.ts';
import { complete } from './completion.ts';
import { discover } from './lifecycle.ts';
import { list } from './lists.ts';
import { getPrompt } from './prompts.ts';
import { readResource } from './resources.ts';
import type { Services } from './services.ts';
import { getSkill, listSkills, readDirectory } from './skills/skills.ts';
import { relayTask } from './tasks/tasks.ts';
import { callTool } from './tools.ts';

type Handler = (services: Services, exchange: Exchange) => Promise<Answer>;
type NotedHandler = (services: Services, exchange: Exchange, note: CallNote) => Promise<Answer>;

const LISTS: Readonly<Record<string, Handler>> = {
  'tools/list': list('tools'),
  'prompts/list': list('prompts'),
  'resources/list': list('resources'),
  'resources/templates/list': list('templates'),
  'completion/complete': complete,
};

/** Calls: one audit record each, refused ones included. */
const CALLS: Readonly<Record<string, NotedHandler>> = {
  'tools/call': callTool,
  'prompts/get': getPrompt,
  'resources/read': readResource,
};

const TASKS: Readonly<Record<string, NotedHandler>> = { 'tasks/get': relayTask, 'tasks/update': relayTask, 'tasks/cancel': relayTask };

/** Declared, and answered, only where an upstream of the caller serves skills. */
const SKILLS: Readonly<Record<string, NotedHandler>> = { 'skills/get': getSkill, 'resources/directory/read': readDirectory };

const MODERN: Readonly<Record<string, Handler>> = { ...LISTS, 'skills/list': listSkills, 'server/discover': discover };
const LEGACY: Readonly<Record<string, Handler>> = { ...LISTS, ping: async () => ({ kind: 'result', result: toJson({}) }) };

/** Whether a method is served in an era by `dispatch`. Fronts serve `initialize`, `subscriptions/listen` and the session's own methods themselves. */
export function isServed(method: string, era: Exchange['era']): boolean {
  return TABLES[era].has(method);
}

/**
 * One request → one answer. Everything that is called, by whomever, comes through here, so policy, audit and metrics cannot be
 * walked around. Throws `TurnpikeError`; the front maps it (`core/to-wire.ts`).
 */
export async function dispatch(services: Services, exchange: Exchange): Promise<Answer> {
  const { method, era } = exchange;
  const handler = TABLES[era].get(method);
  if (handler === undefined) throw new TurnpikeError('request/method', `Method not found: ${method}`);
  if (handler.plain !== undefined) return handler.plain(services, exchange);
  services.audit.ensureWritable();
  const note = new CallNote(services, exchange);
  try {
    const answer = await handler.noted(services, exchange, note);
    note.answered(answer);
    return answer;
  } catch (error) {
    note.failed(error);
    throw error;
  }
}

type Entry = { readonly plain: Handler; readonly noted?: never } | { readonly plain?: never; readonly noted: NotedHandler };

const TABLES: Readonly<Record<Exchange['era'], ReadonlyMap<string, Entry>>> = {
  modern: tableOf(MODERN, { ...CALLS, ...TASKS, ...SKILLS }),
  legacy: tableOf(LEGACY, CALLS),
};

function tableOf(plain: Readonly<Record<string, Handler>>, noted: Readonly<Record<string, NotedHandler>>): ReadonlyMap<string, Entry> {
  return new Map<string, Entry>([
    ...Object.entries(plain).map(([method, handler]) => [method, { plain: handler }] as const),
    ...Object.entries(noted).map(([method, handler]) => [method, { noted: handler }] as const),
  ]);
}
