import type { Caller } from '../core/caller.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, TASKS_EXTENSION } from '../core/mcp.ts';
import type { Connection, ConnectionLease, ConnectionOwner, ConnectionSource } from '../core/ports.ts';

export interface FeedOptions {
  readonly connections: ConnectionSource;
  readonly counts: SubscriptionCounts;
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
/** How long an upstream may take to answer a subscription, or to acknowledge a stream. */
const ASK_MS = 5_000;

interface Subscription {
  count: number;
  /** The upstream's answer to the first. */
  readonly ready: Promise<void>;
}

/** Subscribers per connection and URI, over all feeds of one gateway: a session upstream is told of the first and of the last. */
export class SubscriptionCounts {
  readonly #byConnection = new WeakMap<Connection, Map<string, Subscription>>();

  /** Those of one connection, by the upstream's own URI. */
  of(connection: Connection): Map<string, Subscription> {
    const known = this.#byConnection.get(connection) ?? new Map<string, Subscription>();
    this.#byConnection.set(connection, known);
    return known;
  }
}

/** An open listen stream. */
interface Stream {
  /** What it asks for. */
  readonly asked: string;
  readonly over: AbortController;
  readonly acknowledged: Promise<void>;
}

/**
 * Updates of resources and tasks at one upstream for one client: a listen stream of a modern upstream, or counted
 * `resources/subscribe` of a session upstream (protocol.md section 6). Holds its connection, and asks again when that is lost.
 */
export class UpdateFeed {
  readonly #options: FeedOptions;
  readonly #watched = { uris: new Set<string>(), taskIds: new Set<string>() };
  readonly #subscribed = new Set<string>();
  #lease: ConnectionLease | undefined;
  #stream: Stream | undefined;
  #unlisten: (() => void) | undefined;
  #pausing = false;
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
    try {
      await this.#apply();
    } catch (error) {
      for (const uri of more.uris ?? []) if (!this.#subscribed.has(uri)) this.#watched.uris.delete(uri);
      for (const taskId of more.taskIds ?? []) this.#watched.taskIds.delete(taskId);
      if (this.empty) this.#letGo();
      // What was watched before goes on.
      else if (this.#stream === undefined) this.#again();
      throw error;
    }
  }

  /** Watches one resource less. */
  async remove(uri: string): Promise<void> {
    this.#watched.uris.delete(uri);
    const connection = this.#lease?.connection;
    if (connection === undefined) return;
    if (connection.era === 'legacy') await this.#unsubscribe(connection, uri);
    else if (!this.empty) await this.#listen(connection);
    if (this.empty) this.#letGo();
  }

  async #apply(): Promise<void> {
    if (this.#ended) return;
    const connection = await this.#connect();
    if (connection.era === 'modern') await this.#listen(connection);
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

  /**
   * One listen stream; it is opened anew when what it asks for changes, and the old one ends after that. Resolves when the
   * upstream has acknowledged it, so that no change after our own acknowledgement is missed. Throws when it refuses.
   */
  async #listen(connection: Connection): Promise<void> {
    const { uris, taskIds } = this.#watched;
    const notifications = {
      ...(uris.size === 0 ? {} : { resourceSubscriptions: [...uris].sort() }),
      ...(taskIds.size === 0 ? {} : { taskIds: [...taskIds].sort() }),
    };
    const asked = JSON.stringify(notifications);
    if (this.#stream?.asked !== asked) this.#open(connection, asked, taskIds.size > 0);
    // It may be replaced by a wider one meanwhile: what counts is the last.
    for (let stream = this.#stream; stream !== undefined; stream = this.#stream) {
      await stream.acknowledged;
      if (stream === this.#stream) return;
    }
  }

  #open(connection: Connection, asked: string, withTasks: boolean): void {
    const before = this.#stream;
    const over = new AbortController();
    const { promise: acknowledged, resolve, reject } = Promise.withResolvers<void>();
    // A server that does not acknowledge may still tell of changes.
    const patience = this.#options.clock.after(ASK_MS, resolve);
    const stream: Stream = { asked, over, acknowledged };
    this.#stream = stream;
    const relay = {
      notification: (method: string, params: Buffer) => {
        if (method === 'notifications/subscriptions/acknowledged') resolve();
        else if (stream !== this.#stream) return;
        else if (method === 'notifications/resources/updated') this.#update(params);
        else if (method === 'notifications/tasks') this.#task(params);
      },
      request: async () => Promise.reject(new TurnpikeError('request/method')),
    };
    const capabilities: JsonObject = withTasks ? { extensions: { [TASKS_EXTENSION]: {} } } : {};
    const params = Buffer.from(`{"notifications":${asked}}`);
    connection
      .request({ method: 'subscriptions/listen', params, capabilities, progress: false, relay, signal: over.signal })
      .then((answer) => {
        const refusal = answer.kind === 'error' ? this.#refusal(answer.error) : undefined;
        if (refusal === undefined) resolve();
        else reject(refusal);
        if (stream !== this.#stream) return;
        this.#stream = undefined;
        if (refusal === undefined) this.#again();
      })
      .catch((error: unknown) => {
        // Superseded ones end by an abort of ours.
        if (stream !== this.#stream) return resolve();
        this.#stream = undefined;
        reject(error);
        this.#again();
      })
      .finally(() => patience.cancel());
    // Nobody waits when it ends later.
    acknowledged.catch(() => {});
    before?.over.abort(new TurnpikeError('request/cancelled'));
  }

  async #subscribe(connection: Connection, uri: string): Promise<void> {
    if (this.#subscribed.has(uri)) return;
    const known = this.#options.counts.of(connection);
    const subscription = known.get(uri) ?? { count: 0, ready: this.#ask(connection, 'resources/subscribe', uri) };
    known.set(uri, subscription);
    subscription.count++;
    this.#subscribed.add(uri);
    try {
      await subscription.ready;
    } catch (error) {
      if (known.get(uri) === subscription) known.delete(uri);
      this.#subscribed.delete(uri);
      throw error;
    }
  }

  async #unsubscribe(connection: Connection, uri: string): Promise<void> {
    if (!this.#subscribed.delete(uri)) return;
    const known = this.#options.counts.of(connection);
    const subscription = known.get(uri);
    if (subscription === undefined || --subscription.count > 0) return;
    known.delete(uri);
    if (connection.alive) await this.#ask(connection, 'resources/unsubscribe', uri);
  }

  /** Others may wait for the same answer, so it is not the client's signal that ends the wait. */
  async #ask(connection: Connection, method: string, uri: string): Promise<void> {
    const patience = new AbortController();
    const timer = this.#options.clock.after(ASK_MS, () =>
      patience.abort(new TurnpikeError('upstream/timeout', `${method} was not answered in time`)),
    );
    const relay = { notification: () => {}, request: async () => Promise.reject(new TurnpikeError('request/method')) };
    const call = { method, params: toJson({ uri }), capabilities: {}, progress: false, relay, signal: patience.signal };
    const answer = await connection.request(call).finally(() => timer.cancel());
    if (answer.kind === 'error') throw this.#refusal(answer.error);
  }

  #refusal(error: Buffer): TurnpikeError {
    const { message } = JSON.parse(error.toString('utf8')) as { message: string };
    return new TurnpikeError('request/params', message, { upstream: this.#options.upstream });
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
    if (this.#pausing) return;
    this.#pausing = true;
    sleep(clock, RETRY_MS, signal)
      .finally(() => {
        this.#pausing = false;
      })
      .then(() => (this.empty ? undefined : this.#apply()))
      .catch((error: unknown) => {
        if (!this.#ended && asTurnpikeError(error).code.startsWith('upstream/')) this.#again();
      });
  }

  #letGo(): void {
    this.#unlisten?.();
    this.#unlisten = undefined;
    this.#stream?.over.abort(new TurnpikeError('request/cancelled'));
    this.#stream = undefined;
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
