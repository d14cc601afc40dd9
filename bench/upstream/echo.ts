import { isJsonObject, type JsonObject, LATEST_LEGACY_VERSION, META, MODERN_VERSION, RPC, UPSTREAM_LEGACY_VERSIONS } from '../../src/core/mcp.ts';

const INFO = { name: 'bench-echo', version: '1.0.0' };
/** What every modern result has. */
const COMPLETE = { resultType: 'complete', _meta: { [META.serverInfo]: INFO } };

/** What a call is answered with, and the work before it. */
export interface Reply {
  readonly message: JsonObject;
  /** Notifications to send first, and their kind. */
  readonly events: number;
  readonly speech: 'progress' | 'log';
  readonly progressToken: unknown;
  /** Characters of filling in each of them. */
  readonly eventSize: number;
  /** Milliseconds. */
  readonly delay: number;
  readonly status: number;
}

/**
 * The server behind all measurements, of both eras, without its transport. Arguments of a call choose the work: `text` is echoed, `size`
 * gives a result text of that many characters, `events` and `eventSize` send progress first (with `speech: log`, log messages), `delay` waits.
 */
export class Echo {
  readonly #tools: readonly object[];

  /** `more`: definitions of tools that somebody else answers for. */
  constructor(tools: number, more: readonly object[] = []) {
    this.#tools = [...Array.from({ length: tools }, (_, index) => toolOf(index)), ...more];
  }

  /** Undefined for what needs no answer. */
  answer(message: JsonObject, isModern: boolean): Reply | undefined {
    const { id, method } = message;
    if (id === undefined || method === undefined) return undefined;
    const params = isJsonObject(message.params) ? message.params : {};
    const result = this.#resultOf(method, params, isModern);
    if (result !== undefined) return reply({ jsonrpc: '2.0', id, result });
    if (method === 'tools/call') return called(id, params, isModern);
    return reply(errorOf(id, RPC.methodNotFound, 'Method not found'), { status: isModern ? 404 : 200 });
  }

  #resultOf(method: unknown, params: JsonObject, isModern: boolean): JsonObject | undefined {
    const listed = isModern ? { ...COMPLETE, ttlMs: 60_000, cacheScope: 'public' } : {};
    if (method === 'tools/list') return { ...listed, tools: this.#tools };
    if (method === 'ping') return isModern ? COMPLETE : {};
    if (isModern) return method === 'server/discover' ? { ...listed, supportedVersions: [MODERN_VERSION], capabilities: { tools: {} } } : undefined;
    // Peers know older revisions.
    const protocolVersion = UPSTREAM_LEGACY_VERSIONS.find((version) => version === params.protocolVersion) ?? LATEST_LEGACY_VERSION;
    return method === 'initialize' ? { protocolVersion, capabilities: { tools: {} }, serverInfo: INFO } : undefined;
  }
}

function called(id: unknown, params: JsonObject, isModern: boolean): Reply {
  const wish = isJsonObject(params.arguments) ? params.arguments : {};
  const meta = isJsonObject(params._meta) ? params._meta : {};
  const text = wish.size === undefined ? String(wish.text ?? '') : filling(Number(wish.size));
  const result = { ...(isModern ? COMPLETE : {}), content: [{ type: 'text', text }] };
  return {
    message: { jsonrpc: '2.0', id, result },
    events: Number(wish.events ?? 0),
    speech: wish.speech === 'log' ? 'log' : 'progress',
    eventSize: Number(wish.eventSize ?? 0),
    delay: Number(wish.delay ?? 0),
    progressToken: meta.progressToken,
    status: 200,
  };
}

function reply(message: JsonObject, { status = 200 }: { readonly status?: number } = {}): Reply {
  return { message, events: 0, speech: 'progress', progressToken: undefined, eventSize: 0, delay: 0, status };
}

export function eventOf({ speech, progressToken, eventSize }: Reply, progress: number): string {
  if (speech === 'log') {
    const params = { level: 'info', logger: 'bench', data: filling(eventSize) };
    return JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params });
  }
  const message = eventSize === 0 ? {} : { message: filling(eventSize) };
  return JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress, ...message } });
}

export function errorOf(id: unknown, code: number, message: string): JsonObject {
  return { jsonrpc: '2.0', id, error: { code, message } };
}

/** What a modern server looks at before it answers: the headers say what the body says. */
export function objectionTo(message: JsonObject, header: (name: string) => string | undefined): JsonObject | undefined {
  const params = isJsonObject(message.params) ? message.params : {};
  const meta = isJsonObject(params._meta) ? params._meta : {};
  const refuse = (text: string) => errorOf(message.id, RPC.headerMismatch, text);
  if (meta[META.protocolVersion] !== MODERN_VERSION || !isJsonObject(meta[META.clientCapabilities])) return refuse('_meta is not complete');
  if (header('mcp-method') !== message.method) return refuse('Mcp-Method does not match the body');
  if (message.method === 'tools/call' && header('mcp-name') !== params.name) return refuse('Mcp-Name does not match the body');
  return undefined;
}

const fillings = new Map<number, string>();

/** Text as tools give it: about one character in forty must be escaped in JSON. */
function filling(size: number): string {
  let text = fillings.get(size);
  if (text === undefined) {
    const line = 'status: ok; path="/api/v4/projects/42"\n';
    text = line.repeat(Math.ceil(size / line.length)).slice(0, size);
    fillings.set(size, text);
  }
  return text;
}

function toolOf(index: number): object {
  return {
    name: index === 0 ? 'echo' : `tool_${index}`,
    title: `Tool number ${index}`,
    description: `Does thing ${index}: takes a project path and a number of options, and returns text about what it found. `.repeat(3),
    inputSchema: {
      type: 'object',
      properties: {
        project: { type: 'string', description: 'Project path with namespace, or numeric id' },
        text: { type: 'string', description: 'Text to echo' },
        page: { type: 'integer', minimum: 1, description: 'Page of the result' },
        state: { type: 'string', enum: ['opened', 'closed', 'merged', 'all'] },
      },
    },
    annotations: { readOnlyHint: true, openWorldHint: false },
  };
}
