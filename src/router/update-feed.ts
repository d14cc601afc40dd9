import type { Caller } from '../core/caller.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { isJsonObject, type JsonObject } from '../core/mcp.ts';
import type { Connection, ConnectionLease, ConnectionOwner, ConnectionSource } from '../core/ports.ts';

export interface FeedOptions {
  readonly connections: ConnectionSource;
  readonly clock: Clock;
  readonly caller: Caller;
  readonly profile: string;
  readonly upstream: string;
  /** As in `ConnectionSource.lease`. */
  readonly owner?: ConnectionOwner;
  /** Ends the feed. */
  readonly signal: AbortSignal;
  /** Params of `notifications/resources/updated`, with the upstream's own URI. */
  readonly onUpdate: (uri: string, params: Buffer) => void;
  /** Params of `notifications/tasks`. */
  readonly onTask?: (taskId: string, params: Buffer) => void;
}

/** What is watched at one upstream for one client. */
export interface Watched {
  readonly uris: ReadonlySet<string>;
  readonly taskIds: ReadonlySet<string>;
}

const RETRY_MS = 2_000;
const UNSUBSCRIBE_MS = 5_000;
/** Subscribers per connection and URI: a session upstream is told of the first and of the last. */
const counts = new WeakMap<Connection, Map<string, number>>();

/**
 * Updates of resources and tasks at one upstream for one client: a listen stream of a modern upstream, or counted
 * `resources/subscribe` of a session upstream (protocol.md section 6). Holds its connection, and asks again when that is lost.
 */
export class UpdateFeed {
  readonly #options: FeedOptions;
  readonly #watched = { uris: new Set<string>(), taskIds: new Set<string>() };
  readonly #subscribed = new Set<string>();
  #lease: ConnectionLease | undefined;
  #listening: AbortController | undefined;
  #unlisten: (() => void) | undefined;
  #ended = false;

  constructor(options: FeedOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => void this.#end(), { once: true });
  }

  get empty(): boolean {
    return this.#watched.uris.size === 0 && this.#watched.taskIds.size === 0;
  }

  /** Watches more. Throws what the connection throws, and what the upstream answers to a subscription. */
  async add(more: Partial<Watched>): Promise<void> {
    for (const uri of more.uris ?? []) this.#watched.uris.add(uri);
    for (const taskId of more.taskIds ?? []) this.#watched.taskIds.add(taskId);
    await this.#apply();
  }

  /** Watches one resource less. */
  async remove(uri: string): Promise<void> {
    this.#watched.uris.delete(uri);
    const connection = this.#lease?.connection;
    if (connection === undefined) return;
    if (connection.era === 'modern') await this.#apply();
    else await this.#unsubscribe(connection, uri);
    if (this.empty) this.#letGo();
  }

  async #apply(): Promise<void> {
    if (this.#ended) return;
    const connection = await this.#connect();
    if (connection.era === 'modern') this.#listen(connection);
    else for (const uri of this.#watched.uris) await this.#subscribe(connection, uri);
  }

  async #connect(): Promise<Connection> {
    const { connections, upstream, caller, profile, signal, owner } = this.#options;
    if (this.#lease !== undefined) return this.#lease.connection;
    const lease = await connections.lease(upstream, caller, profile, signal, owner);
    const other = this.#held();
    if (this.#ended || other !== undefined) lease.release('ok');
    if (this.#ended) throw new TurnpikeError('request/cancelled');
    if (other !== undefined) return other.connection;
    this.#lease = lease;
    this.#unlisten = lease.connection.subscribe((event) => {
      if (event.kind === 'closed') this.#lost(lease);
      else if (event.method === 'notifications/resources/updated') this.#update(event.params);
    });
    return lease.connection;
  }

  /** Read anew after a wait: meanwhile somebody else may have connected. */
  #held(): ConnectionLease | undefined {
    return this.#lease;
  }

  /** One listen stream; it is opened anew when what it asks for grows, and the old one ends after that. */
  #listen(connection: Connection): void {
    const before = this.#listening;
    const current = new AbortController();
    this.#listening = current;
    const { uris, taskIds } = this.#watched;
    const notifications = {
      ...(uris.size === 0 ? {} : { resourceSubscriptions: [...uris] }),
      ...(taskIds.size === 0 ? {} : { taskIds: [...taskIds] }),
    };
    const relay = {
      notification: (method: string, params: Buffer) => {
        if (current !== this.#listening) return;
        if (method === 'notifications/resources/updated') this.#update(params);
        if (method === 'notifications/tasks') this.#task(params);
      },
      request: async () => Promise.reject(new TurnpikeError('request/method')),
    };
    const capabilities: JsonObject = taskIds.size === 0 ? {} : { extensions: { 'io.modelcontextprotocol/tasks': {} } };
    const request = {
      method: 'subscriptions/listen',
      params: toJson({ notifications }),
      capabilities,
      progress: false,
      relay,
      signal: current.signal,
    };
    const ended = () => {
      if (current === this.#listening && !this.#ended) this.#again();
    };
    connection.request(request).then(ended, ended);
    before?.abort(new TurnpikeError('request/cancelled'));
  }

  async #subscribe(connection: Connection, uri: string): Promise<void> {
    if (this.#subscribed.has(uri)) return;
    this.#subscribed.add(uri);
    const known = counts.get(connection) ?? new Map<string, number>();
    counts.set(connection, known);
    const others = known.get(uri) ?? 0;
    known.set(uri, others + 1);
    if (others > 0) return;
    try {
      await this.#ask(connection, 'resources/subscribe', uri, this.#options.signal);
    } catch (error) {
      this.#subscribed.delete(uri);
      known.set(uri, (known.get(uri) ?? 1) - 1);
      throw error;
    }
  }

  async #unsubscribe(connection: Connection, uri: string): Promise<void> {
    if (!this.#subscribed.delete(uri)) return;
    const known = counts.get(connection);
    const left = (known?.get(uri) ?? 1) - 1;
    known?.set(uri, left);
    if (left > 0 || !connection.alive) return;
    known?.delete(uri);
    const patience = new AbortController();
    const timer = this.#options.clock.after(UNSUBSCRIBE_MS, () => patience.abort(new TurnpikeError('upstream/timeout')));
    await this.#ask(connection, 'resources/unsubscribe', uri, patience.signal).finally(() => timer.cancel());
  }

  async #ask(connection: Connection, method: string, uri: string, signal: AbortSignal): Promise<void> {
    const relay = { notification: () => {}, request: async () => Promise.reject(new TurnpikeError('request/method')) };
    const answer = await connection.request({ method, params: toJson({ uri }), capabilities: {}, progress: false, relay, signal });
    if (answer.kind === 'error') {
      const { message } = JSON.parse(answer.error.toString('utf8')) as { message: string };
      throw new TurnpikeError('request/params', message, { upstream: this.#options.upstream });
    }
  }

  #update(params: Buffer): void {
    const { uri } = JSON.parse(params.toString('utf8')) as { uri?: unknown };
    if (typeof uri === 'string' && this.#watched.uris.has(uri)) this.#options.onUpdate(uri, params);
  }

  #task(params: Buffer): void {
    const parsed: unknown = JSON.parse(params.toString('utf8'));
    const taskId = isJsonObject(parsed) ? parsed.taskId : undefined;
    if (typeof taskId === 'string' && this.#watched.taskIds.has(taskId)) this.#options.onTask?.(taskId, params);
  }

  #lost(lease: ConnectionLease): void {
    if (lease !== this.#lease) return;
    this.#letGo();
    if (!this.#ended && !this.empty) this.#again();
  }

  /** The stream or the connection ended by itself: once more after a pause, as long as somebody watches. */
  #again(): void {
    const { clock, signal } = this.#options;
    sleep(clock, RETRY_MS, signal)
      .then(() => (this.empty ? undefined : this.#apply()))
      .catch((error: unknown) => {
        if (!this.#ended && asTurnpikeError(error).code.startsWith('upstream/')) this.#again();
      });
  }

  #letGo(): void {
    this.#unlisten?.();
    this.#unlisten = undefined;
    this.#listening?.abort(new TurnpikeError('request/cancelled'));
    this.#listening = undefined;
    this.#subscribed.clear();
    this.#lease?.release('ok');
    this.#lease = undefined;
  }

  async #end(): Promise<void> {
    this.#ended = true;
    const connection = this.#lease?.connection;
    if (connection?.era === 'legacy') {
      await Promise.allSettled([...this.#subscribed].map((uri) => this.#unsubscribe(connection, uri)));
    }
    this.#watched.uris.clear();
    this.#watched.taskIds.clear();
    this.#letGo();
  }
}
