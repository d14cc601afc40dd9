import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { Fingerprinter } from '../core/fingerprinter.ts';
import type { EntrySnapshot } from '../pool/entry.ts';
import { KeyedPool } from '../pool/keyed-pool.ts';
import type { Lease } from '../pool/lease.ts';
import type { Cap, PoolKey } from '../pool/pool-key.ts';
import {
  type ConnectionKey,
  type ConnectionMetadata,
  DEFAULT_CLEANUP_INTERVAL,
  DEFAULT_CONNECTION_POOL_MAX_AGE,
  DEFAULT_IDLE_TIMEOUT,
  DEFAULT_MAX_ERROR_COUNT,
  type PoolConfig,
} from './connection-key.ts';
import type { McpClient } from './mcp-client.ts';

/** What the pool can hold: anything that can be closed. */
export interface Closable {
  close(): unknown;
}

/** The right to use a connection now: it is not closed as idle or for room meanwhile. Give it back with `release`, or `using`. */
export interface PoolLease<C> extends Disposable {
  readonly connection: C;
  /** Aborts when the connection is closed under the lease: `closeDelay` passed, or its session or backend was evicted. */
  readonly signal: AbortSignal;
  /** Idempotent. `transport-error` counts towards `maxErrorCount`; JSON-RPC errors and `isError` results are `ok`. */
  release(outcome: 'ok' | 'transport-error'): void;
}

/** What `open` gives. */
export interface OpenedConnection<C> {
  readonly connection: C;
  readonly tokenExpiry?: Date;
}

/** What may be shown of a pooled connection: no client, no token. */
export interface PooledInfo {
  readonly serverName: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  /** Absent when no expiry is tracked. */
  readonly tokenExpiry?: Date;
  /** Equal for equal tokens of one pool, and not reversible. */
  readonly exchangedTokenFingerprint?: string;
}

export interface SessionConnectionPoolOptions extends Partial<PoolConfig> {
  readonly clock?: Clock;
  /** A client could not be closed, or a notification callback threw. */
  readonly onError?: (error: unknown) => void;
}

/** Is called whenever a client is stored for its server. */
export type NotificationCallback<C> = (sessionId: string, client: C) => void;

interface Held<C> {
  readonly client: C;
  readonly tokenExpiry: Date | undefined;
  fingerprint: string | undefined;
  /** The client lives on under another entry. */
  passedOn: boolean;
}

/** How long `lease` waits for a place, and how long before its expiry it renews (aggregator.md section 6, "Caps", "Expiry"). */
const QUEUE_MS = 10_000;
const RENEW_BEFORE_MS = 5 * 60_000;

/**
 * Live connections by (backend, session): the pool that the gateway itself uses, for connections of one's own
 * (aggregator.md sections 6 and 10). Starts no timer before the first connection, and none outlives `stop`.
 */
export class SessionConnectionPool<C extends Closable = McpClient> implements AsyncDisposable {
  readonly #config: PoolConfig;
  readonly #clock: Clock;
  readonly #pool: KeyedPool<Held<C>>;
  readonly #callbacks = new Map<string, NotificationCallback<C>>();
  readonly #fingerprint = new Fingerprinter(randomBytes(32));
  readonly #onError: (error: unknown) => void;
  #stopped: Promise<void> | undefined;

  /** What is left out has the default that `PoolConfig` names. */
  constructor(options: SessionConnectionPoolOptions = {}) {
    const { clock = systemClock, onError = () => {}, ...config } = options;
    this.#config = {
      idleTimeout: DEFAULT_IDLE_TIMEOUT,
      cleanupInterval: DEFAULT_CLEANUP_INTERVAL,
      maxErrorCount: DEFAULT_MAX_ERROR_COUNT,
      closeDelay: 60_000,
      maxConnections: 512,
      maxPerBackend: 128,
      ...config,
    };
    this.#clock = clock;
    this.#pool = new KeyedPool<Held<C>>({
      name: 'session-connections',
      clock,
      total: this.#config.maxConnections,
      idleTimeout: this.#config.idleTimeout,
      sweepInterval: this.#config.cleanupInterval,
      maxErrorCount: this.#config.maxErrorCount,
      closeDelay: this.#config.closeDelay,
      queueTimeout: QUEUE_MS,
      renewBefore: RENEW_BEFORE_MS,
      close: async ({ client, passedOn }) => {
        if (!passedOn) await client.close();
      },
      exhausted: ({ id }, { limit }: Cap) => `connection limit reached for upstream '${keyOf(id).backendId}' (limit ${limit}); retry later`,
      observe: ({ kind, error }) => {
        if (kind === 'close-failed') onError(error);
      },
    });
    this.#onError = onError;
  }

  /** A pool that closes what was idle for `maxAge` milliseconds, looking every `maxAge / 2`. */
  static fromMaxAge<C extends Closable = McpClient>(
    maxAge: number = DEFAULT_CONNECTION_POOL_MAX_AGE,
    options: SessionConnectionPoolOptions = {},
  ): SessionConnectionPool<C> {
    return new SessionConnectionPool<C>({ ...options, idleTimeout: maxAge, cleanupInterval: maxAge / 2 });
  }

  /**
   * The connection of `key`; its idle time starts over. It may be closed at any time: use `lease` for what takes long. One whose
   * token has expired is given until the next cleanup closes it: ask `isTokenExpired`.
   */
  get(key: ConnectionKey): C | undefined {
    return this.#pool.find(idOf(key), true)?.client;
  }

  /** A lease on the connection of `key`; undefined when there is none, or its token has expired. */
  lease(key: ConnectionKey): PoolLease<C> | undefined;
  /**
   * A lease on the connection of `key`, which `open` makes when there is none or its token has expired: once for all who
   * wait. From 5 minutes before `tokenExpiry` a successor is opened in the background, and the current one is handed out.
   * @throws what `open` throws; `pool/exhausted` after 10 s without a place; `pool/closed` after `stop`; the signal's reason.
   */
  lease(
    key: ConnectionKey,
    open: (signal: AbortSignal) => Promise<OpenedConnection<C>>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<PoolLease<C>>;
  lease(
    key: ConnectionKey,
    open?: (signal: AbortSignal) => Promise<OpenedConnection<C>>,
    { signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {},
  ): PoolLease<C> | undefined | Promise<PoolLease<C>> {
    if (open === undefined) {
      const lease = this.#pool.leaseOf(idOf(key));
      return lease && leaseOn(lease);
    }
    const opener = async (until: AbortSignal) => {
      const { connection, tokenExpiry } = await open(until);
      this.#told(key, connection);
      return opened(connection, tokenExpiry);
    };
    return this.#pool.acquire(this.#poolKey(key), opener, signal).then(leaseOn);
  }

  /**
   * Stores a connection; one that is replaced gets no new leases and is closed: now, or after its leases, `closeDelay` at most.
   * @throws `pool/exhausted` when every place is leased, `pool/closed` after `stop`: then `client` is still yours to close.
   */
  put(key: ConnectionKey, client: C): void {
    this.#put(key, client, undefined, 0);
  }

  /** As `put`, for a connection whose token expires. */
  putWithExpiry(key: ConnectionKey, client: C, tokenExpiry: Date): void {
    this.#put(key, client, tokenExpiry, 0);
  }

  /**
   * As `putWithExpiry`; one that is replaced is closed only after `closeDelay` milliseconds, so that calls which run on it
   * without a lease can end. In a full pool it is closed at once.
   */
  putWithDeferredClose(key: ConnectionKey, client: C, tokenExpiry: Date | undefined, closeDelay: number = this.#config.closeDelay): void {
    this.#put(key, client, tokenExpiry, closeDelay);
  }

  /** Takes one connection out. Resolves when it is closed: now, or after its leases, `closeDelay` at most. */
  evict(key: ConnectionKey): Promise<void> {
    return this.#pool.retire(idOf(key), 'evicted');
  }

  /** Closes every connection of a backend at once, leased or not. */
  evictServer(backendId: string): Promise<void> {
    return this.#pool.retireWhere(({ id }) => keyOf(id).backendId === backendId, 'the server was evicted', { now: true });
  }

  /** Closes every connection of a session at once, leased or not. */
  evictSession(sessionId: string): Promise<void> {
    return this.#pool.retireWhere(({ id }) => keyOf(id).sessionId === sessionId, 'session ended', { now: true });
  }

  /** Whether the token of the connection has expired; false without a connection or without an expiry. */
  isTokenExpired(key: ConnectionKey): boolean {
    return this.isTokenExpiringSoon(key, 0);
  }

  /** Whether the token expires within `margin` milliseconds; false without a connection or without an expiry. */
  isTokenExpiringSoon(key: ConnectionKey, margin: number): boolean {
    const expiry = this.#pool.find(idOf(key))?.tokenExpiry;
    return expiry !== undefined && expiry.getTime() - this.#clock.now() <= margin;
  }

  /** Notes which exchanged token a connection sends, as a fingerprint. Does nothing without a connection. */
  setExchangedToken(key: ConnectionKey, token: string): void {
    const held = this.#pool.find(idOf(key));
    if (held !== undefined) held.fingerprint = this.#fingerprint.of('exchanged-token', token);
  }

  /** Calls `callback` for every connection that is stored for a backend from now on; undefined stops that. */
  setNotificationCallback(backendId: string, callback: NotificationCallback<C> | undefined): void {
    if (callback === undefined) this.#callbacks.delete(backendId);
    else this.#callbacks.set(backendId, callback);
  }

  /** What may be shown of a session's connections. */
  snapshot(sessionId: string): readonly PooledInfo[] {
    return this.#current()
      .filter(({ key }) => key.sessionId === sessionId)
      .map(({ key, entry }) => {
        const { tokenExpiry, fingerprint } = this.#pool.find(entry.id) ?? {};
        return {
          serverName: key.backendId,
          createdAt: new Date(entry.createdAt),
          lastUsedAt: new Date(entry.lastUsedAt),
          ...(tokenExpiry === undefined ? {} : { tokenExpiry: new Date(tokenExpiry) }),
          ...(fingerprint === undefined ? {} : { exchangedTokenFingerprint: fingerprint }),
        };
      });
  }

  /** What is known of the connection of `key`, without counting as use. */
  getMetadata(key: ConnectionKey): ConnectionMetadata<C> | undefined {
    const id = idOf(key);
    const entry = this.#pool.current().find((one) => one.id === id);
    return entry && metadataOf(entry, this.#pool.find(id)?.client);
  }

  /** The keys that have a connection, or soon will. */
  list(): readonly ConnectionKey[] {
    return this.#current().map(({ key }) => key);
  }

  /** A call on the connection failed in its transport. At `maxErrorCount` in a row nobody gets the connection again. */
  recordError(key: ConnectionKey): void {
    this.#pool.record(idOf(key), 'transport-error');
  }

  /** A call on the connection was answered: the count of errors starts over. */
  recordSuccess(key: ConnectionKey): void {
    this.#pool.record(idOf(key), 'ok');
  }

  /** How many connections may be handed out, or are being opened. */
  size(): number {
    return this.#pool.current().length;
  }

  /** Takes everything out. Resolves when all is closed: now, or after the leases and deferred closes, `closeDelay` at most. The pool can be used again. */
  drainAll(): Promise<void> {
    return this.#pool.retireWhere(() => true, 'drained');
  }

  /** Ends the pool: nothing more is stored or handed out, and what it holds closes as by `drainAll`. Idempotent. */
  stop({ signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#stopped ??= this.#pool.drain(signal);
    return this.#stopped;
  }

  /** As `stop`, without waiting for leases. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#pool[Symbol.asyncDispose]();
  }

  #put(key: ConnectionKey, client: C, tokenExpiry: Date | undefined, grace: number): void {
    const before = this.#pool.find(idOf(key));
    const again = before?.client === client ? before : undefined;
    // What the entry that goes closes must not be what the new one holds.
    if (again !== undefined) again.passedOn = true;
    try {
      this.#pool.put(this.#poolKey(key), opened(client, tokenExpiry), grace);
    } catch (error) {
      if (again !== undefined) again.passedOn = false;
      throw error;
    }
    this.#told(key, client);
  }

  #told(key: ConnectionKey, client: C): void {
    try {
      this.#callbacks.get(key.backendId)?.(key.sessionId, client);
    } catch (error) {
      // What is stored is stored: a connection that nobody gets would leak.
      this.#onError(error);
    }
  }

  #poolKey(key: ConnectionKey): PoolKey {
    if (key.backendId === '') throw new TurnpikeError('request/params', 'backendId must not be empty');
    const groups = [{ name: `backend:${key.backendId}`, limit: this.#config.maxPerBackend }];
    return { id: idOf(key), owner: key.sessionId, tenant: key.sessionId, groups };
  }

  #current(): { readonly key: ConnectionKey; readonly entry: EntrySnapshot }[] {
    return this.#pool.current().map((entry) => ({ key: keyOf(entry.id), entry }));
  }
}

/** `connection` is absent while it is being opened. */
export function metadataOf<C>(entry: EntrySnapshot, connection: C | undefined): ConnectionMetadata<C> {
  const { createdAt, lastUsedAt, requestCount, errorCount, state } = entry;
  const times = { createdAt: new Date(createdAt), lastUsedAt: new Date(lastUsedAt) };
  return { ...times, requestCount, errorCount, state, ...(connection === undefined ? {} : { connection }) };
}

function idOf({ backendId, sessionId }: ConnectionKey): string {
  return JSON.stringify([backendId, sessionId]);
}

function keyOf(id: string): ConnectionKey {
  const [backendId = '', sessionId = ''] = JSON.parse(id) as string[];
  return { backendId, sessionId };
}

function opened<C>(client: C, tokenExpiry: Date | undefined): { value: Held<C>; expiresAt?: number } {
  const value: Held<C> = { client, tokenExpiry: tokenExpiry && new Date(tokenExpiry), fingerprint: undefined, passedOn: false };
  return tokenExpiry === undefined ? { value } : { value, expiresAt: tokenExpiry.getTime() };
}

function leaseOn<C>(lease: Lease<Held<C>>): PoolLease<C> {
  return {
    connection: lease.value.client,
    signal: lease.signal,
    release: (outcome) => lease.release(outcome),
    [Symbol.dispose]: () => lease.release('ok'),
  };
}
