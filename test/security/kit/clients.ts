import { isJsonObject, type JsonObject, META, MODERN_VERSION } from '../../../src/core/mcp.ts';
import { encodeHeaderValue } from '../../../src/core/mcp-headers.ts';
import { type Headers, open, type Reply, type Stream, send } from './http.ts';

const BOTH = 'application/json, text/event-stream';

/** What a JSON-RPC request was answered with. */
export interface Answered extends Reply {
  /** The response with the request's id. */
  readonly answer: JsonObject;
  readonly result: JsonObject;
  readonly error: JsonObject | undefined;
  readonly notifications: readonly JsonObject[];
}

export function answered(reply: Reply, id: unknown): Answered {
  const answer = reply.messages.find((message) => message.id === id && message.method === undefined) ?? {};
  return {
    ...reply,
    answer,
    result: isJsonObject(answer.result) ? answer.result : {},
    error: isJsonObject(answer.error) ? answer.error : undefined,
    notifications: reply.messages.filter(({ method, id: own }) => method !== undefined && own === undefined),
  };
}

/** The text of a tool's first content block. */
export function textOf({ result }: Answered): string {
  const [block] = Array.isArray(result.content) ? result.content : [];
  return isJsonObject(block) ? String(block.text) : '';
}

export interface RequestOptions {
  readonly id?: string | number;
  readonly headers?: Headers;
  /** Members of `_meta` beside the envelope. */
  readonly meta?: JsonObject;
  readonly capabilities?: JsonObject;
}

/** A client of revision 2026-07-28: every request stands alone. */
export class ModernClient {
  readonly #url: string;
  readonly #token: string | undefined;
  #next = 1;

  constructor(url: string, token?: string) {
    this.#url = url;
    this.#token = token;
  }

  /** Body and headers of a correct request, to be bent by attacks. */
  request(
    method: string,
    params: JsonObject = {},
    options: RequestOptions = {},
  ): { id: string | number; body: string; headers: Record<string, string> } {
    const { id = this.#next++, meta = {}, capabilities = {} } = options;
    const envelope = { [META.protocolVersion]: MODERN_VERSION, [META.clientCapabilities]: capabilities, ...meta };
    const name = params.name ?? params.uri ?? params.taskId;
    return {
      id,
      body: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta: envelope } }),
      headers: {
        'content-type': 'application/json',
        accept: BOTH,
        'mcp-protocol-version': MODERN_VERSION,
        'mcp-method': method,
        ...(typeof name === 'string' ? { 'mcp-name': encodeHeaderValue(name) } : {}),
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
    };
  }

  async send(method: string, params: JsonObject = {}, options: RequestOptions = {}): Promise<Answered> {
    const { id, body, headers } = this.request(method, params, options);
    return answered(await send(this.#url, 'POST', { ...headers, ...options.headers }, body), id);
  }

  call(name: string, args: JsonObject = {}, options: RequestOptions = {}): Promise<Answered> {
    return this.send('tools/call', { name, arguments: args }, options);
  }

  /** Names of the listed tools. */
  async toolNames(): Promise<string[]> {
    const { result } = await this.send('tools/list');
    return (result.tools as JsonObject[]).map(({ name }) => String(name));
  }

  /** A request whose answer is read while it comes. */
  stream(method: string, params: JsonObject = {}, options: RequestOptions = {}): Promise<Stream> {
    const { body, headers } = this.request(method, params, options);
    return open(this.#url, 'POST', { ...headers, ...options.headers }, body);
  }

  /** `subscriptions/listen` for changes of all lists, acknowledged. */
  async listen(): Promise<Stream> {
    const notifications = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
    const stream = await this.stream('subscriptions/listen', { notifications });
    await stream.until((messages) => messages.length > 0);
    return stream;
  }
}

export interface SessionOptions {
  readonly version?: string;
  readonly capabilities?: JsonObject;
  readonly clientInfo?: JsonObject;
}

/** A client of the session revisions. */
export class LegacyClient {
  readonly id: string;
  readonly initialized: Answered;
  readonly #url: string;
  readonly #token: string | undefined;
  #next = 1;

  private constructor(url: string, token: string | undefined, initialized: Answered) {
    this.#url = url;
    this.#token = token;
    this.id = String(initialized.headers['mcp-session-id']);
    this.initialized = initialized;
  }

  static async open(url: string, token: string | undefined, options: SessionOptions = {}): Promise<LegacyClient> {
    const { version = '2025-11-25', capabilities = {}, clientInfo = { name: 'kit', version: '1' } } = options;
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: version, capabilities, clientInfo } });
    const reply = await send(url, 'POST', headersOf(token), body);
    const client = new LegacyClient(url, token, answered(reply, 0));
    if (reply.status === 200) await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return client;
  }

  /** Headers of a correct request; `token` and `session` stand in for one's own. */
  headers({ token = this.#token, session = this.id }: { token?: string | undefined; session?: string } = {}): Record<string, string> {
    return { ...headersOf(token), 'mcp-session-id': session };
  }

  post(message: unknown, headers: Headers = {}): Promise<Reply> {
    return send(this.#url, 'POST', { ...this.headers(), ...headers }, JSON.stringify(message));
  }

  async send(method: string, params: JsonObject = {}, id: string | number = this.#next++): Promise<Answered> {
    return answered(await this.post({ jsonrpc: '2.0', id, method, params }), id);
  }

  call(name: string, args: JsonObject = {}, id?: string | number): Promise<Answered> {
    return this.send('tools/call', { name, arguments: args }, id);
  }

  /** A request whose answer is read while it comes. */
  stream(method: string, params: JsonObject = {}, id: string | number = this.#next++): Promise<Stream> {
    return open(this.#url, 'POST', this.headers(), JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  }

  /** GET: the standing stream, or a resumption. */
  listen(headers: Headers = {}): Promise<Stream> {
    return open(this.#url, 'GET', { ...this.headers(), accept: 'text/event-stream', ...headers });
  }

  end(): Promise<Reply> {
    return send(this.#url, 'DELETE', this.headers());
  }
}

function headersOf(token: string | undefined): Record<string, string> {
  return {
    'content-type': 'application/json',
    accept: BOTH,
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
}
