import type { Deadlines } from '../core/deadlines.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { LinkedAbort } from '../core/linked-abort.ts';
import { type Answer, type Era, isJsonObject, type JsonObject, NAMED_BY, RPC } from '../core/mcp.ts';
import { encodeHeaderValue, ParamHeaders } from '../core/mcp-headers.ts';
import type { CapabilityKind, ConnectionLease, Connection as Link, Relay } from '../core/ports.ts';
import { Deadline } from '../router/deadline.ts';
import { listKind } from '../upstream/capability-lists.ts';
import { lost } from '../upstream/http/upstream-errors.ts';
import type { ConnectionKey } from './connection-key.ts';
import { type McpClient, McpError, type McpNotification, type RequestOptions } from './mcp-client.ts';

/**
 * A connection that was launched. It stands for a place in the pool: every call leases what lives there, so it may be kept
 * for as long as the launcher lives. When what it stood for was closed as idle or died, the next call launches anew.
 */
export interface Connection extends McpClient {
  readonly key: ConnectionKey;
  /** What the newest handshake agreed on. */
  readonly era: Era;
  readonly version: string;
  readonly serverInfo: JsonObject;
  readonly capabilities: JsonObject;
  readonly instructions?: string;
  /** Any other request. Rejects with `McpError` when the server answers an error. */
  request(method: string, params?: JsonObject, options?: RequestOptions): Promise<JsonObject>;
}

/** What a connection needs of its launcher. */
export interface Place {
  readonly key: ConnectionKey;
  readonly deadlines: Deadlines;
  readonly timeouts: { readonly call: number; readonly callMax: number; readonly list: number };
  lease(signal: AbortSignal): Promise<ConnectionLease>;
  /** Nobody gets what lives there now any more; resolves when it is closed. */
  retire(): Promise<void>;
}

interface Asked {
  readonly method: string;
  readonly params: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
}

export class LaunchedConnection implements Connection {
  readonly #place: Place;
  readonly #handlers = new Set<(notification: McpNotification) => void>();
  #link: Link;
  #deaf: (() => void) | undefined;
  #closed = false;

  constructor(place: Place, link: Link) {
    this.#place = place;
    this.#link = link;
  }

  get key(): ConnectionKey {
    return this.#place.key;
  }

  get era(): Era {
    return this.#link.era;
  }

  get version(): string {
    return this.#link.version;
  }

  get serverInfo(): JsonObject {
    return this.#link.serverInfo;
  }

  get capabilities(): JsonObject {
    return this.#link.capabilities;
  }

  get instructions(): string {
    return this.#link.instructions ?? '';
  }

  /** Connects again, where the connection has ended. */
  async initialize(options: RequestOptions = {}): Promise<void> {
    await this.#leased(options, async () => {});
  }

  /** Ends the connection that lives in the place now, after the calls that run on it, and this object for good. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#handlers.clear();
    this.#listen();
    await this.#place.retire();
  }

  listTools(options: RequestOptions = {}): Promise<readonly JsonObject[]> {
    return this.#list('tools', options);
  }

  listResources(options: RequestOptions = {}): Promise<readonly JsonObject[]> {
    return this.#list('resources', options);
  }

  listPrompts(options: RequestOptions = {}): Promise<readonly JsonObject[]> {
    return this.#list('prompts', options);
  }

  /** A server that wants arguments as headers, too, says so by refusing the call: then its own schema tells which (SEP-2243). */
  async callTool(name: string, args: JsonObject = {}, options: RequestOptions = {}): Promise<JsonObject> {
    const params = { name, arguments: args };
    try {
      return await this.request('tools/call', params, options);
    } catch (error) {
      if (!(error instanceof McpError) || error.code !== RPC.headerMismatch) throw error;
      const tool = (await this.listTools(options)).find((one) => one.name === name);
      const headers = new ParamHeaders(tool?.inputSchema).mint(args);
      return this.#leased(options, (link, signal) => this.#ask(link, { method: 'tools/call', params, headers }, options, signal));
    }
  }

  readResource(uri: string, options: RequestOptions = {}): Promise<JsonObject> {
    return this.request('resources/read', { uri }, options);
  }

  getPrompt(name: string, args: JsonObject = {}, options: RequestOptions = {}): Promise<JsonObject> {
    return this.request('prompts/get', { name, arguments: args }, options);
  }

  /** `ping`, or `server/discover` where the server knows no ping. */
  async ping(options: RequestOptions = {}): Promise<void> {
    await this.#leased(options, (link, signal) =>
      this.#ask(link, { method: link.era === 'modern' ? 'server/discover' : 'ping', params: {} }, options, signal),
    );
  }

  request(method: string, params: JsonObject = {}, options: RequestOptions = {}): Promise<JsonObject> {
    return this.#leased(options, (link, signal) => this.#ask(link, { method, params }, options, signal));
  }

  onNotification(handler: (notification: McpNotification) => void): Disposable {
    const own = (notification: McpNotification) => handler(notification);
    if (!this.#closed) this.#handlers.add(own);
    this.#listen();
    return {
      [Symbol.dispose]: () => {
        this.#handlers.delete(own);
        this.#listen();
      },
    };
  }

  #list(kind: CapabilityKind, options: RequestOptions): Promise<readonly JsonObject[]> {
    const { deadlines, timeouts, key } = this.#place;
    return this.#leased(options, async (link, signal) => {
      const { items } = await listKind(link, kind, { upstream: key.backendId, clock: deadlines.clock, timeoutMs: timeouts.list, signal });
      return items.map(({ parsed }) => parsed);
    });
  }

  /** One lease for one piece of work; once more where the request was certainly not sent. */
  async #leased<T>({ signal = new AbortController().signal }: RequestOptions, work: (link: Link, signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let again = true; ; again = false) {
      const { backendId } = this.key;
      if (this.#closed) throw new TurnpikeError('pool/closed', `the connection to server '${backendId}' was closed`);
      const lease = await this.#place.lease(signal);
      using both = new LinkedAbort(signal, lease.ended);
      let outcome: 'ok' | 'transport-error' = 'ok';
      try {
        this.#adopt(lease.connection);
        return await work(lease.connection, both.signal);
      } catch (error) {
        if (signal.aborted) throw error;
        if (lease.ended.aborted && error === lease.ended.reason) throw lost(backendId, { cause: error });
        outcome = isOfTransport(error) ? 'transport-error' : 'ok';
        if (!again || !isUnsent(error)) throw error;
      } finally {
        lease.release(outcome);
      }
    }
  }

  async #ask(link: Link, { method, params, headers: own = {} }: Asked, options: RequestOptions, signal: AbortSignal): Promise<JsonObject> {
    const { deadlines, timeouts, key } = this.#place;
    using late = new LinkedAbort(signal);
    const named = NAMED_BY[method];
    const name = named === undefined ? undefined : params[named];
    const what = method === 'tools/call' ? `tool '${String(name)}' timed out after` : `server '${key.backendId}' did not answer ${method} within`;
    const overdue = (ms: number) => new TurnpikeError('upstream/timeout', `${what} ${ms / 1000}s`, { upstream: key.backendId });
    const deadline = new Deadline(deadlines, timeouts, (ms) => late.abort(overdue(ms)));
    const relay: Relay = {
      notification: (kind, bytes) => {
        const heard = { method: kind, params: objectIn(bytes) };
        if (kind !== 'notifications/progress') return this.#tell(heard);
        deadline.restart();
        options.onProgress?.(heard.params);
      },
      request: async (asked) => {
        const code = RPC.methodNotFound;
        return { kind: 'error', error: toJson({ code, message: `${asked} cannot be answered here` }), code };
      },
    };
    try {
      const headers = { ...own, ...(typeof name === 'string' ? { 'mcp-name': encodeHeaderValue(name) } : {}) };
      const answer = await link.request({ method, params: toJson(params), capabilities: {}, progress: true, headers, relay, signal: late.signal });
      return resultOf(answer);
    } finally {
      deadline.end();
    }
  }

  #adopt(link: Link): void {
    if (link === this.#link) return;
    this.#link = link;
    this.#deaf?.();
    this.#deaf = undefined;
    this.#listen();
  }

  /** Hears the connection while anybody hears us: else it would hold every object that ever stood for it. */
  #listen(): void {
    if (this.#handlers.size === 0) {
      this.#deaf?.();
      this.#deaf = undefined;
    } else {
      this.#deaf ??= this.#link.subscribe((event) => {
        if (event.kind === 'notification') this.#tell({ method: event.method, params: objectIn(event.params) });
      });
    }
  }

  #tell(notification: McpNotification): void {
    for (const handler of [...this.#handlers]) {
      try {
        handler(notification);
      } catch (error) {
        // One of the embedder's listeners: the others, and the call that runs, go on. Node reports it.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

function resultOf(answer: Answer): JsonObject {
  if (answer.kind === 'result') return objectIn(answer.result);
  const { message, data } = objectIn(answer.error);
  throw new McpError(answer.code, typeof message === 'string' ? message : '', data);
}

function objectIn(bytes: Buffer): JsonObject {
  const value: unknown = JSON.parse(bytes.toString('utf8'));
  return isJsonObject(value) ? value : {};
}

/** Connection refused or lost, malformed frames, deadlines count; answers, cancels do not (aggregator.md section 6, "recordError"). */
function isOfTransport(error: unknown): boolean {
  if (error instanceof McpError) return false;
  return ['upstream/lost', 'upstream/timeout', 'upstream/down', 'upstream/protocol'].includes(asTurnpikeError(error).code);
}

function isUnsent(error: unknown): boolean {
  if (error instanceof McpError) return false;
  const { code, details } = asTurnpikeError(error);
  return code === 'upstream/down' && details.retryable === true;
}
