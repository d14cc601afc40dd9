import type { Readable, Writable } from 'node:stream';
import { isJsonObject, type JsonObject, LATEST_LEGACY_VERSION, META, MODERN_VERSION } from '../core/mcp.ts';
import { ClientLines } from '../edge/client-lines.ts';
import { type McpClient, McpError, type McpNotification, type RequestOptions } from '../launcher/mcp-client.ts';
import { MAX_MESSAGE_BYTES } from '../upstream/process/framing.ts';

export interface TestClientOptions {
  /** `legacy` (default): a session of revision 2025-11-25. `modern`: revision 2026-07-28. */
  readonly era?: 'legacy' | 'modern';
  /** What the client declares. Default: nothing. */
  readonly capabilities?: JsonObject;
}

/** The two ends of a pipe that the gateway serves. */
export interface ClientPipe {
  readonly output: Writable;
  readonly input: Readable;
  /** Resolves when the gateway has let go of the pipe. */
  readonly over: Promise<void>;
}

interface Waiting {
  readonly resolve: (result: JsonObject) => void;
  readonly reject: (error: unknown) => void;
  readonly onProgress: RequestOptions['onProgress'];
}

/** An MCP client in memory, on a pipe of its own to a gateway. It answers nothing that it is asked. */
export class TestClient implements McpClient, AsyncDisposable {
  readonly #pipe: ClientPipe;
  readonly #options: TestClientOptions;
  readonly #waiting = new Map<unknown, Waiting>();
  readonly #handlers = new Set<(notification: McpNotification) => void>();
  readonly #lines = new ClientLines(
    MAX_MESSAGE_BYTES,
    (line) => this.#take(line),
    () => {},
  );
  #next = 1;
  #gone: Error | undefined;
  #initialized: Promise<unknown> | undefined;

  constructor(pipe: ClientPipe, options: TestClientOptions = {}) {
    this.#pipe = pipe;
    this.#options = options;
    pipe.input.on('data', (chunk: Buffer) => this.#lines.push(chunk));
    const gone = () => this.#fail(new Error('the gateway closed the pipe'));
    pipe.over.then(gone, gone);
  }

  async initialize(options: RequestOptions = {}): Promise<void> {
    if (this.#modern) return;
    this.#initialized ??= this.#initialize(options);
    await this.#initialized;
  }

  /** Closes the pipe, and with it the session; resolves when the gateway has let go of both. */
  async close(): Promise<void> {
    this.#pipe.output.end();
    await this.#pipe.over;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  listTools(options: RequestOptions = {}): Promise<readonly JsonObject[]> {
    return this.#list('tools', options);
  }

  callTool(name: string, args: JsonObject = {}, options: RequestOptions = {}): Promise<JsonObject> {
    return this.request('tools/call', { name, arguments: args }, options);
  }

  listResources(options: RequestOptions = {}): Promise<readonly JsonObject[]> {
    return this.#list('resources', options);
  }

  readResource(uri: string, options: RequestOptions = {}): Promise<JsonObject> {
    return this.request('resources/read', { uri }, options);
  }

  listPrompts(options: RequestOptions = {}): Promise<readonly JsonObject[]> {
    return this.#list('prompts', options);
  }

  getPrompt(name: string, args: JsonObject = {}, options: RequestOptions = {}): Promise<JsonObject> {
    return this.request('prompts/get', { name, arguments: args }, options);
  }

  async ping(options: RequestOptions = {}): Promise<void> {
    await this.request(this.#modern ? 'server/discover' : 'ping', {}, options);
  }

  /** Any request. Rejects with `McpError` for an error, or the signal's reason. */
  async request(method: string, params: JsonObject = {}, options: RequestOptions = {}): Promise<JsonObject> {
    await this.initialize(options);
    return this.#send(method, params, options);
  }

  onNotification(handler: (notification: McpNotification) => void): Disposable {
    const own = (notification: McpNotification) => handler(notification);
    this.#handlers.add(own);
    return { [Symbol.dispose]: () => void this.#handlers.delete(own) };
  }

  get #modern(): boolean {
    return this.#options.era === 'modern';
  }

  async #initialize(options: RequestOptions): Promise<void> {
    const { capabilities = {} } = this.#options;
    await this.#send('initialize', { protocolVersion: LATEST_LEGACY_VERSION, capabilities, clientInfo: { name: 'test', version: '1' } }, options);
    this.#write({ method: 'notifications/initialized' });
  }

  async #list(member: 'tools' | 'resources' | 'prompts', options: RequestOptions): Promise<readonly JsonObject[]> {
    const items: JsonObject[] = [];
    for (let cursor: unknown; ; ) {
      const page = await this.request(`${member}/list`, cursor === undefined ? {} : { cursor }, options);
      if (Array.isArray(page[member])) items.push(...page[member].filter(isJsonObject));
      cursor = page.nextCursor;
      if (cursor === undefined) return items;
    }
  }

  async #send(method: string, params: JsonObject, { signal, onProgress }: RequestOptions): Promise<JsonObject> {
    signal?.throwIfAborted();
    if (this.#gone !== undefined) throw this.#gone;
    const id = this.#next++;
    const envelope = this.#modern ? { [META.protocolVersion]: MODERN_VERSION, [META.clientCapabilities]: this.#options.capabilities ?? {} } : {};
    const wanted = onProgress === undefined ? {} : { [META.progressToken]: id };
    const own = isJsonObject(params._meta) ? params._meta : {};
    const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
    this.#waiting.set(id, { resolve, reject, onProgress });
    const onAbort = () => {
      this.#write({ method: 'notifications/cancelled', params: { requestId: id, _meta: envelope } });
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      this.#write({ id, method, params: { ...params, _meta: { ...own, ...envelope, ...wanted } } });
      return await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#waiting.delete(id);
    }
  }

  #take(line: Buffer): void {
    const message = JSON.parse(line.toString('utf8')) as JsonObject;
    const { id, method, result, error } = message;
    if (typeof method === 'string') {
      if (id === undefined) this.#tell({ method, params: isJsonObject(message.params) ? message.params : {} });
      else this.#write({ id, error: { code: -32601, message: 'The test client answers nothing' } });
    } else if (isJsonObject(result)) this.#waiting.get(id)?.resolve(result);
    else if (isJsonObject(error)) this.#waiting.get(id)?.reject(new McpError(Number(error.code), String(error.message), error.data));
  }

  #tell(notification: McpNotification): void {
    const { progressToken } = notification.params;
    if (notification.method === 'notifications/progress') this.#waiting.get(progressToken)?.onProgress?.(notification.params);
    else for (const handler of [...this.#handlers]) handler(notification);
  }

  #fail(error: Error): void {
    this.#gone = error;
    for (const { reject } of this.#waiting.values()) reject(error);
  }

  #write(message: JsonObject): void {
    if (this.#pipe.output.writable) this.#pipe.output.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }
}
