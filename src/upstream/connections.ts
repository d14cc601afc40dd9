import type { Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import type { Fingerprinter } from '../core/fingerprinter.ts';
import type { Era } from '../core/mcp.ts';
import type { ConnectionLease, ConnectionOwner, ConnectionSource } from '../core/ports.ts';
import type { EntrySnapshot } from '../pool/entry.ts';
import { KeyedPool } from '../pool/keyed-pool.ts';
import type { Lease } from '../pool/lease.ts';
import type { PoolEvent, PoolStats } from '../pool/stats.ts';
import type { Connector } from './connect.ts';
import type { Link } from './connection.ts';
import { type ConnectionKey, connectionKey, exhaustedText, isShared, sessionMark } from './connection-key.ts';
import { unlessAborted } from './deadline.ts';
import { OwnUse } from './own-use.ts';
import { NO_PROFILE, type Profile } from './profile.ts';

export interface ConnectionsOptions {
  readonly clock: Clock;
  readonly fingerprint: Fingerprinter;
  readonly limits: { readonly total: number; readonly perPrincipal: number; readonly stdio: number };
  readonly idleTimeout: number;
  readonly cleanupInterval: number;
  readonly closeDelay: number;
  /** The era an upstream spoke last, if it was reached. */
  readonly eraOf: (upstream: string) => Era | undefined;
  readonly connector: (upstream: string) => Connector;
  /** The gateway's own connection, if it lives. */
  readonly ownLink?: (upstream: string) => Link | undefined;
  /** A connection could or could not be made: feeds the upstream's state. */
  readonly onConnect: (upstream: string, error?: unknown) => void;
  readonly observe?: (event: PoolEvent) => void;
}

/** How long a call waits for a place before `upstream/capacity` (aggregator.md section 6, "Caps"). */
const QUEUE_MS = 10_000;
/** A connection that was silent for longer is asked whether it lives before it is handed out (aggregator.md section 1). */
const PROBE_AFTER_MS = 60_000;
/** Connections of one key: one for each call that waits for input on a connection that serves one at a time (protocol.md section 10). */
const SIBLINGS = 4;
/** One for a dead connection, one for another era, one more; endpoints that disagree about the era are a mistake. */
const ATTEMPTS = 4;

/**
 * Upstream connections by (upstream, scope key, tenant, profile): the one way to one (architecture.md decision 4). The
 * key is what keeps callers apart; a connection of a session is never anybody else's.
 */
export class Connections implements ConnectionSource {
  readonly #options: ConnectionsOptions;
  readonly #pool: KeyedPool<Link>;
  readonly #bySession = new Map<string, Set<Link>>();
  /** Connections that live, by the id of their key. */
  readonly #byKey = new Map<string, Link>();
  readonly #probes = new WeakMap<Link, Promise<void>>();
  /** Consecutive transport errors of calls on the gateway's own connections. */
  readonly #ownErrors = new WeakMap<Link, number>();
  readonly #ownUse = new OwnUse();

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#pool = new KeyedPool<Link>({
      name: 'upstream-connections',
      clock: options.clock,
      total: options.limits.total,
      idleTimeout: options.idleTimeout,
      sweepInterval: options.cleanupInterval,
      maxErrorCount: Number.POSITIVE_INFINITY,
      closeDelay: options.closeDelay,
      queueTimeout: QUEUE_MS,
      close: (link) => link.close(),
      usable: (link) => link.alive,
      exhausted: exhaustedText,
      ...(options.observe === undefined ? {} : { observe: options.observe }),
    });
  }

  /** As `ConnectionSource.lease`. A connection that is dead, or does not answer after a long silence, is replaced first. */
  lease(
    upstream: string,
    caller: Caller,
    profile: Profile,
    signal: AbortSignal,
    owner?: ConnectionOwner,
  ): ConnectionLease | Promise<ConnectionLease> {
    try {
      return this.#ownLease(this.#options.connector(upstream)) ?? this.#pooledLease(upstream, caller, profile, signal, owner);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  eraOf(upstream: string): Era | undefined {
    return this.#options.eraOf(upstream);
  }

  async #pooledLease(
    upstream: string,
    caller: Caller,
    profile: Profile,
    signal: AbortSignal,
    owner: ConnectionOwner | undefined,
  ): Promise<ConnectionLease> {
    for (let left = ATTEMPTS; left > 0; left--) {
      // Each time anew: the upstream may have been replaced meanwhile.
      const connector = this.#options.connector(upstream);
      const lease = await this.#acquire(connector, caller, profile, signal, owner);
      if (lease === undefined || !(await this.#answers(connector, lease, signal))) continue;
      return new LinkLease(lease);
    }
    throw new TurnpikeError('upstream/down', `upstream '${upstream}' keeps changing its protocol era`, { upstream });
  }

  async notifySession(sessionId: string, method: string, params: Buffer): Promise<void> {
    const links = [...(this.#bySession.get(sessionId) ?? [])].filter((link) => link.alive && link.era === 'legacy');
    await Promise.allSettled(links.map((link) => link.notify(method, params)));
  }

  /** Closes what belongs to a session, at once. */
  async endSession(sessionId: string): Promise<void> {
    const mark = sessionMark(this.#options.fingerprint, sessionId);
    await this.#pool.retireWhere((entry) => partsOf(entry.id)[1] === mark, 'session ended', { now: true });
  }

  /** As `KeyedPool.retireWhere`: after their leases, or with `now` at once. Resolves when they are closed. */
  async retireWhere(accept: (entry: EntrySnapshot) => boolean, reason: string, options: { readonly now?: boolean } = {}): Promise<void> {
    await this.#pool.retireWhere(accept, reason, options);
  }

  /** Closes what belongs to some principals and to nobody else, at once. @param owners by `principalKey` */
  async endOwners(owners: (owner: string) => boolean): Promise<void> {
    await this.#pool.retireWhere(({ owner }) => owner !== '' && owners(owner), 'the credential was revoked', { now: true });
  }

  /**
   * Connections to an upstream that were made before get no new calls; those that run have as long as `closeDelay` says. Resolves
   * when the last call is over or was cut, those over `link` included, which its owner closes.
   */
  async retire(upstream: string, { link, closeDelay }: { readonly link: Link | undefined; readonly closeDelay: number }): Promise<void> {
    for (const id of [...this.#byKey.keys()]) if (partsOf(id)[0] === upstream) this.#byKey.delete(id);
    const retired = this.#pool.retireWhere((entry) => partsOf(entry.id)[0] === upstream, 'its settings changed');
    const over = link === undefined ? undefined : this.#ownUse.over(link, this.#options.clock, closeDelay);
    await Promise.all([retired, over]);
  }

  stats(): PoolStats {
    return this.#pool.stats();
  }

  snapshot() {
    return this.#pool.snapshot();
  }

  async drain(signal: AbortSignal): Promise<void> {
    const cut = () => this.#ownUse.cut();
    if (signal.aborted) cut();
    else signal.addEventListener('abort', cut, { once: true });
    await this.#pool.drain(signal);
  }

  /**
   * A modern upstream that callers share is reached over the gateway's own connection: a second process or handshake would
   * show nothing else, and what a call changes is seen where the lists are read.
   */
  #ownLease({ settings }: Connector): ConnectionLease | undefined {
    const link = this.#options.ownLink?.(settings.name);
    if (link === undefined || !link.alive || link.era !== 'modern' || !isShared(settings, 'modern', NO_PROFILE)) return undefined;
    return new OwnLease(link, this.#ownUse.enter(link), settings.pool.maxErrorCount, this.#ownErrors);
  }

  /** Undefined when the upstream turned out to be of another era than the key was made for: a new key is needed. */
  async #acquire(
    connector: Connector,
    caller: Caller,
    profile: Profile,
    signal: AbortSignal,
    owner: ConnectionOwner | undefined,
  ): Promise<Lease<Link> | undefined> {
    const { fingerprint, limits, eraOf } = this.#options;
    const { settings } = connector;
    const era = connector.era ?? eraOf(settings.name);
    const key = this.#free((sibling) => connectionKey(settings, { caller, profile, era, fingerprint, limits, sibling }));
    if (key === undefined) {
      const text = `too many calls of this caller wait for input at upstream '${settings.name}' (limit ${SIBLINGS})`;
      throw new TurnpikeError('upstream/capacity', text, { upstream: settings.name, retryable: true });
    }
    try {
      return await this.#pool.acquire(key, async (until) => ({ value: await this.#open(connector, key, caller, until, owner) }), signal);
    } catch (error) {
      if (error === WRONG_ERA) return undefined;
      throw ofPool(error, settings.name);
    }
  }

  /** The first key whose connection would take a call now, or is still to be made. */
  #free(keyOf: (sibling: number) => ConnectionKey): ConnectionKey | undefined {
    for (let sibling = 0; sibling < SIBLINGS; sibling++) {
      const key = keyOf(sibling);
      const link = this.#byKey.get(key.id);
      if (link === undefined || !link.alive || !link.busy) return key;
    }
    return undefined;
  }

  async #open(connector: Connector, key: ConnectionKey, caller: Caller, until: AbortSignal, owner: ConnectionOwner | undefined): Promise<Link> {
    const { name, sharing } = connector.settings;
    // Only a session's own connection has an owner: on a shared one nobody could tell whom the upstream means.
    const session = sharing === 'session' && !key.shared ? caller.sessionId : undefined;
    const mine = session === undefined || owner === undefined ? {} : { owner };
    let link: Link;
    try {
      link = await connector.connect(key.profile, until, { shared: key.shared, ...mine });
    } catch (error) {
      if (!until.aborted) this.#options.onConnect(name, error);
      throw error;
    }
    if (key.assumed === 'modern' && link.era !== 'modern') {
      // It may be shared only because nothing is kept between requests: a session must not get in here.
      await link.close();
      throw WRONG_ERA;
    }
    if (session !== undefined) this.#keep(session, link);
    this.#byKey.set(key.id, link);
    link.subscribe((event) => {
      if (event.kind !== 'closed') return;
      if (this.#byKey.get(key.id) === link) this.#byKey.delete(key.id);
      this.#pool.fail(link, 'connection lost');
    });
    this.#options.onConnect(name);
    return link;
  }

  /** Whether a connection that was silent for long still answers; if not, its lease is over. One question for all who wait. */
  async #answers({ settings }: Connector, lease: Lease<Link>, signal: AbortSignal): Promise<boolean> {
    const link = lease.value;
    const isStateless = settings.target.type !== 'stdio' && link.era === 'modern';
    let probe = this.#probes.get(link);
    if (probe === undefined) {
      if (isStateless || link.idleFor <= PROBE_AFTER_MS) return true;
      probe = link.probe(settings.health.timeout, link.ended).finally(() => this.#probes.delete(link));
      this.#probes.set(link, probe);
    }
    try {
      await unlessAborted(probe, signal);
      return true;
    } catch {
      if (!signal.aborted) this.#pool.fail(link, 'no answer after a long silence');
      lease.release(signal.aborted ? 'ok' : 'transport-error');
      signal.throwIfAborted();
      return false;
    }
  }

  #keep(sessionId: string, link: Link): void {
    const links = this.#bySession.get(sessionId) ?? new Set();
    this.#bySession.set(sessionId, links.add(link));
    link.subscribe((event) => {
      if (event.kind !== 'closed') return;
      links.delete(link);
      if (links.size === 0 && this.#bySession.get(sessionId) === links) this.#bySession.delete(sessionId);
    });
  }
}

/** A pool's lease in the words of upstreams. */
class LinkLease implements ConnectionLease {
  readonly #lease: Lease<Link>;

  constructor(lease: Lease<Link>) {
    this.#lease = lease;
  }

  get connection(): Link {
    return this.#lease.value;
  }

  get ended(): AbortSignal {
    return this.#lease.signal;
  }

  release(outcome: 'ok' | 'transport-error'): void {
    this.#lease.release(outcome);
  }
}

/** The right to use the gateway's own connection. */
class OwnLease implements ConnectionLease {
  readonly connection: Link;
  readonly #leave: () => void;
  readonly #maxErrorCount: number;
  /** Consecutive transport errors of each connection. */
  readonly #errors: WeakMap<Link, number>;
  #released = false;

  constructor(link: Link, leave: () => void, maxErrorCount: number, errors: WeakMap<Link, number>) {
    this.connection = link;
    this.#leave = leave;
    this.#maxErrorCount = maxErrorCount;
    this.#errors = errors;
  }

  get ended(): AbortSignal {
    return this.connection.ended;
  }

  release(outcome: 'ok' | 'transport-error'): void {
    if (this.#released) return;
    this.#released = true;
    this.#leave();
    if (outcome === 'ok') {
      if (this.#errors.has(this.connection)) this.#errors.delete(this.connection);
      return;
    }
    const errors = (this.#errors.get(this.connection) ?? 0) + 1;
    this.#errors.set(this.connection, errors);
    if (errors >= this.#maxErrorCount) void this.connection.close();
  }
}

const WRONG_ERA = new TurnpikeError('upstream/protocol', 'the upstream is of another era than was assumed');

function partsOf(id: string): readonly string[] {
  return JSON.parse(id) as string[];
}

/** What the pool says, in the words of upstreams. */
function ofPool(error: unknown, upstream: string): unknown {
  const { code, message } = asTurnpikeError(error);
  if (code === 'pool/exhausted') return new TurnpikeError('upstream/capacity', message, { upstream, retryable: true });
  if (code === 'pool/closed')
    return new TurnpikeError('upstream/down', `the connection to upstream '${upstream}' is closed`, { upstream, reason: message });
  return error;
}
