import { TurnpikeError } from '../core/errors.ts';
import { isJsonObject, type JsonObject, LATEST_LEGACY_VERSION, META, MODERN_VERSION, RPC } from '../core/mcp.ts';
import type { Transport } from '../core/ports.ts';
import { lost } from '../upstream/http/upstream-errors.ts';

/** What a fake tool may know and do while it runs. */
export interface FakeCall {
  /** Aborts when the call is cancelled or its connection ends. */
  readonly signal: AbortSignal;
  /** Which connection of the upstream it came over, counted from 1. */
  readonly connection: number;
  /** Tells of progress, where the caller wants it. */
  progress(progress: number, total?: number): void;
}

export interface FakeTool {
  readonly description?: string;
  /** Default: any object. */
  readonly inputSchema?: JsonObject;
  readonly annotations?: JsonObject;
  /** A text, or a whole result. What it throws becomes an `isError` result with its message. Default: the text `done`. */
  call?(args: JsonObject, call: FakeCall): string | JsonObject | Promise<string | JsonObject>;
}

export interface FakeScript {
  /** `legacy` (default) speaks revision 2025-11-25 with sessions, `modern` 2026-07-28. */
  readonly era?: 'legacy' | 'modern';
  readonly tools?: Readonly<Record<string, FakeTool>>;
  /** By name; the result of `prompts/get`. */
  readonly prompts?: Readonly<Record<string, JsonObject>>;
  /** By URI; the text of `resources/read`. */
  readonly resources?: Readonly<Record<string, string>>;
}

/** A request as the fake got it. */
export interface FakeRequest {
  readonly method: string;
  readonly params: JsonObject;
  readonly connection: number;
}

/**
 * An MCP server in memory, for tests of what calls one: an upstream of `createTestGateway`, without process, port or file. Its
 * script may be changed at any time; `toolsChanged` tells of that.
 */
export class FakeUpstream {
  readonly name: string;
  script: FakeScript;
  /** Every request and notification so far, oldest first. */
  readonly received: FakeRequest[] = [];
  /** While true, nothing is answered any more: for deadlines. */
  silent = false;
  /** While true, no connection can be opened. */
  down = false;
  readonly #connections = new Set<FakeConnection>();
  #opened = 0;

  constructor(name: string, script: FakeScript = {}) {
    this.name = name;
    this.script = script;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Connections that were ever opened. */
  get opened(): number {
    return this.#opened;
  }

  /** Requests of one method, oldest first. */
  requests(method: string): readonly FakeRequest[] {
    return this.received.filter((request) => request.method === method);
  }

  /** Tells every connection that the tools are others. */
  toolsChanged(): void {
    this.notify('notifications/tools/list_changed');
  }

  /** Sends a notification that belongs to no call. */
  notify(method: string, params: JsonObject = {}): void {
    for (const connection of this.#connections) connection.notify(method, params);
  }

  /** All connections break: what runs on them has an unknown outcome. */
  crash(): void {
    for (const connection of [...this.#connections]) connection.crash();
  }

  /** A transport to it: what `createTestGateway` gives to the gateway. */
  transport(): Transport {
    return new FakeConnection({
      upstream: this,
      opened: (connection) => {
        this.#connections.add(connection);
        return ++this.#opened;
      },
      closed: (connection) => void this.#connections.delete(connection),
    });
  }
}

interface Life {
  readonly upstream: FakeUpstream;
  opened(connection: FakeConnection): number;
  closed(connection: FakeConnection): void;
}

type Body = { readonly result: JsonObject } | { readonly error: { readonly code: number; readonly message: string } };

/** One connection: a channel whose other end is the script. */
class FakeConnection implements Transport {
  readonly kind = 'channel';
  onMessage: (message: Buffer) => void = () => {};
  onClose: (reason: Error) => void = () => {};
  readonly #life: Life;
  readonly #running = new Map<unknown, AbortController>();
  /** Ids of open `subscriptions/listen` requests. */
  readonly #listening = new Set<unknown>();
  #number = 0;
  #ended = false;

  constructor(life: Life) {
    this.#life = life;
  }

  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { upstream } = this.#life;
    if (upstream.down) throw new TurnpikeError('upstream/down', `upstream '${upstream.name}' cannot be reached`, { upstream: upstream.name });
    this.#number = this.#life.opened(this);
  }

  async send(bytes: Buffer): Promise<void> {
    if (this.#ended) throw lost(this.#life.upstream.name);
    const { upstream } = this.#life;
    const message: unknown = JSON.parse(bytes.toString('utf8'));
    if (!isJsonObject(message) || typeof message.method !== 'string') return;
    const { id, method } = message;
    const params = isJsonObject(message.params) ? message.params : {};
    upstream.received.push({ method, params, connection: this.#number });
    if (method === 'notifications/cancelled') this.#cancel(params.requestId);
    if (id === undefined || upstream.silent) return;
    if (method === 'subscriptions/listen') return this.#listen(id, params);
    void this.#answer(id, method, params);
  }

  notify(method: string, params: JsonObject): void {
    if (this.#life.upstream.script.era !== 'modern') this.#say({ method, params });
    else for (const id of this.#listening) this.#say({ method, params: { ...params, _meta: { [META.subscriptionId]: id } } });
  }

  crash(): void {
    if (this.#ended) return;
    this.#end();
    this.onClose(lost(this.#life.upstream.name));
  }

  async close(): Promise<void> {
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#life.closed(this);
    for (const controller of this.#running.values()) controller.abort(new Error('the connection ended'));
  }

  #cancel(id: unknown): void {
    this.#listening.delete(id);
    this.#running.get(id)?.abort(new Error('the call was cancelled'));
  }

  #listen(id: unknown, { notifications = {} }: JsonObject): void {
    this.#listening.add(id);
    this.#say({ method: 'notifications/subscriptions/acknowledged', params: { notifications, _meta: { [META.subscriptionId]: id } } });
  }

  async #answer(id: unknown, method: string, params: JsonObject): Promise<void> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    const token = isJsonObject(params._meta) ? params._meta[META.progressToken] : undefined;
    const progress = (value: number, total?: number) => {
      if (token === undefined || controller.signal.aborted) return;
      this.#say({ method: 'notifications/progress', params: { progressToken: token, progress: value, ...(total === undefined ? {} : { total }) } });
    };
    const body = await answerOf(this.#life.upstream.script, method, params, { signal: controller.signal, connection: this.#number, progress });
    this.#running.delete(id);
    if (!controller.signal.aborted && !this.#life.upstream.silent) this.#say({ id, ...body });
  }

  #say(message: JsonObject): void {
    if (!this.#ended) this.onMessage(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message })));
  }
}

async function answerOf(script: FakeScript, method: string, params: JsonObject, call: FakeCall): Promise<Body> {
  const { era = 'legacy', tools = {}, prompts = {}, resources = {} } = script;
  const modern = era === 'modern';
  const result = (body: JsonObject): Body => ({ result: modern ? { resultType: 'complete', ...body } : body });
  const listed = (body: JsonObject): Body => result(modern ? { ttlMs: 0, cacheScope: 'private', ...body } : body);
  const capabilities = { tools: { listChanged: true }, prompts: {}, resources: {} };
  if (method === 'server/discover' && modern) return listed({ supportedVersions: [MODERN_VERSION], capabilities });
  if (method === 'initialize' && !modern) {
    const serverInfo = { name: 'fake', version: '1' };
    return result({ protocolVersion: LATEST_LEGACY_VERSION, capabilities, serverInfo });
  }
  if (method === 'ping' && !modern) return result({});
  if (method === 'tools/list') return listed({ tools: Object.entries(tools).map(([name, tool]) => definitionOf(name, tool)) });
  if (method === 'prompts/list') return listed({ prompts: Object.keys(prompts).map((name) => ({ name })) });
  if (method === 'resources/list') return listed({ resources: Object.keys(resources).map((uri) => ({ uri, name: uri })) });
  if (method === 'resources/templates/list') return listed({ resourceTemplates: [] });
  const name = String(params.name ?? params.uri);
  if (method === 'tools/call' && Object.hasOwn(tools, name)) return result(await run(tools[name], params, call));
  if (method === 'prompts/get' && Object.hasOwn(prompts, name)) return result(prompts[name] ?? {});
  if (method === 'resources/read' && Object.hasOwn(resources, name)) return listed({ contents: [{ uri: name, text: resources[name] }] });
  const known = ['tools/call', 'prompts/get', 'resources/read'].includes(method);
  return { error: known ? { code: RPC.invalidParams, message: `Unknown: ${name}` } : { code: RPC.methodNotFound, message: 'Method not found' } };
}

function definitionOf(name: string, { description, inputSchema = { type: 'object' }, annotations }: FakeTool): JsonObject {
  return { name, inputSchema, ...(description === undefined ? {} : { description }), ...(annotations === undefined ? {} : { annotations }) };
}

async function run(tool: FakeTool | undefined, { arguments: args }: JsonObject, call: FakeCall): Promise<JsonObject> {
  try {
    const answer = (await tool?.call?.(isJsonObject(args) ? args : {}, call)) ?? 'done';
    return typeof answer === 'string' ? { content: [{ type: 'text', text: answer }] } : answer;
  } catch (error) {
    return { content: [{ type: 'text', text: error instanceof Error ? error.message : String(error) }], isError: true };
  }
}
