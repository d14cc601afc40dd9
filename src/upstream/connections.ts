import { type Caller, LOCAL_ISSUER, principalKey, scopeKey } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Era } from '../core/mcp.ts';
import type { ConnectionLease, ConnectionSource } from '../core/ports.ts';
import type { Fingerprinter } from '../core/secret.ts';
import { KeyedPool } from '../pool/keyed-pool.ts';
import { type Cap, type PoolKey, TOTAL } from '../pool/pool-key.ts';
import type { PoolEvent, PoolStats } from '../pool/stats.ts';
import type { Connector } from './connect.ts';
import type { Link } from './connection.ts';
import { NO_PROFILE, type Profile } from './profile.ts';
import type { UpstreamSettings } from './settings.ts';

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
  /** A connection could or could not be made: feeds the upstream's state. */
  readonly onConnect: (upstream: string, error?: unknown) => void;
  readonly observe?: (event: PoolEvent) => void;
}

/** How long a call waits for a place before `upstream/capacity` (aggregator.md section 6, "Caps"). */
const QUEUE_MS = 10_000;

/**
 * Upstream connections by (upstream, scope key, tenant, profile): the one way to one (architecture.md decision 4). The
 * key is what keeps callers apart; a connection of a session is never anybody else's.
 */
export class Connections implements ConnectionSource {
  readonly #options: ConnectionsOptions;
  readonly #pool: KeyedPool<Link>;

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

  async lease(upstream: string, caller: Caller, profile: Profile, signal: AbortSignal): Promise<ConnectionLease> {
    const connector = this.#options.connector(upstream);
    const { settings } = connector;
    const key = this.#key(settings, caller, profile);
    const shownProfile = key.profile;
    const lease = await this.#pool
      .acquire(
        key,
        async (until) => {
          try {
            const link = await connector.connect(shownProfile, until);
            link.subscribe((event) => event.kind === 'closed' && this.#pool.fail(link, 'connection lost'));
            this.#options.onConnect(upstream);
            return { value: link };
          } catch (error) {
            if (!until.aborted) this.#options.onConnect(upstream, error);
            throw error;
          }
        },
        signal,
      )
      .catch((error: unknown) => {
        throw error instanceof TurnpikeError && error.code === 'pool/exhausted'
          ? new TurnpikeError('upstream/capacity', error.message, { upstream, retryable: true })
          : error;
      });
    return { connection: lease.value, ended: lease.signal, release: (outcome) => lease.release(outcome) };
  }

  /** Closes what belongs to a session, at once. */
  async endSession(sessionId: string): Promise<void> {
    const mark = this.#options.fingerprint.of('scope', `s:${sessionId}`);
    await this.#pool.retireWhere((entry) => entry.id.includes(mark), 'session ended', { now: true });
  }

  /** The upstream was stopped, changed or removed: its connections retire. */
  async retireUpstream(upstream: string, now: boolean): Promise<void> {
    await this.#pool.retireWhere((entry) => (JSON.parse(entry.id) as string[])[0] === upstream, 'upstream stopped', { now });
  }

  stats(): PoolStats {
    return this.#pool.stats();
  }

  snapshot() {
    return this.#pool.snapshot();
  }

  async drain(signal: AbortSignal): Promise<void> {
    await this.#pool.drain(signal);
  }

  #key(settings: UpstreamSettings, caller: Caller, profile: Profile): PoolKey & { readonly profile: Profile } {
    const { name, sharing, target, pool } = settings;
    const { fingerprint, eraOf, limits } = this.#options;
    const isStateless = target.type === 'remote' && eraOf(name) === 'modern';
    const principal = principalKey(caller.principal);
    // A modern upstream over HTTP keeps nothing between requests: one connection object serves all, its sockets are shared.
    const alone = isStateless || (sharing === 'shared' && profile === NO_PROFILE);
    const scope = alone ? 'shared' : fingerprint.of('scope', sharing === 'session' ? scopeKey(caller) : `p:${principal}`);
    const tenant = alone ? '' : caller.tenant;
    const kept = isStateless ? NO_PROFILE : profile;
    const groups: Cap[] = [{ name: `upstream:${name}`, limit: pool.maxConnections }];
    if (target.type === 'stdio') groups.push({ name: 'stdio', limit: limits.stdio });
    if (!alone && caller.principal.issuer !== LOCAL_ISSUER) {
      groups.push({ name: `principal:${fingerprint.of('principal', principal)}`, limit: limits.perPrincipal });
    }
    return {
      id: JSON.stringify([name, scope, tenant, kept]),
      owner: alone ? '' : principal,
      tenant: caller.tenant,
      groups,
      idleTimeout: pool.idleTimeout,
      maxErrorCount: pool.maxErrorCount,
      closeDelay: pool.closeDelay,
      profile: kept,
    };
  }
}

function exhaustedText(key: PoolKey, cap: Cap): string {
  const [upstream] = JSON.parse(key.id) as string[];
  const of = cap.name === TOTAL || cap.name === 'stdio' || cap.name.startsWith('principal:') ? ` (${cap.name.split(':')[0]})` : '';
  return `connection limit reached for upstream '${upstream}' (limit ${cap.limit})${of}; retry later`;
}
