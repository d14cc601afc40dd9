import type { Clock } from '../../../core/clock.ts';
import { systemClock } from '../../../core/clock.ts';
import { TurnpikeError } from '../../../core/errors.ts';
import type { Origin } from '../../../net/origin.ts';
import { KeyedPool } from '../../../pool/keyed-pool.ts';
import type { Lease } from '../../../pool/lease.ts';
import type { PoolKey } from '../../../pool/pool-key.ts';
import type { PoolEvent } from '../../../pool/stats.ts';
import { type ApiUrl, knownApiUrl } from './api-url.ts';
import { GitLabError } from './gitlab-error.ts';
import type { InstanceSource } from './instance-source.ts';
import { type OriginSettings, originMaker } from './origin-maker.ts';

/** All times in milliseconds; defaults of gitlab.md 2.1. */
export interface GitLabClientPoolOptions extends OriginSettings {
  /** Instances at once. Default 100. */
  readonly maxSize?: number;
  /** Time since the end of the last request after which an instance closes, one `cleanupInterval` late at most. Default 300,000. */
  readonly idleTimeout?: number;
  /** Default 60,000. */
  readonly cleanupInterval?: number;
  readonly clock?: Clock;
  /** Hears what happens to instances, by their canonical URLs, each reuse included. Must not throw, nor call the pool. */
  readonly observe?: (event: PoolEvent) => void;
}

/** As metrics label it. */
const NAME = 'gitlab_instances';

export interface GitLabClientPoolStats {
  readonly size: number;
  readonly maxSize: number;
  /** Requests that found their instance, or joined those who made it. */
  readonly hits: number;
  /** Requests for which an instance was made. */
  readonly misses: number;
  /** Instances that gave way to others. */
  readonly evictions: number;
  /** Instances that closed because nobody used them. */
  readonly idleClosed: number;
  /** Requests under way. */
  readonly active: number;
}

/**
 * Connections by instance (gitlab.md 2.5): one dispatcher per canonical URL, which all credentials share, since it holds none.
 * Full: the least recently used instance without a request under way closes.
 */
export class GitLabClientPool implements InstanceSource, AsyncDisposable {
  readonly #maxSize: number;
  readonly #pool: KeyedPool<Origin>;
  readonly #observe: ((event: PoolEvent) => void) | undefined;
  readonly #make: (url: ApiUrl) => Origin;

  /** @throws `config/invalid` when a proxy or the CA certificate cannot be used */
  constructor(options: GitLabClientPoolOptions = {}) {
    const { maxSize = 100, idleTimeout = 300_000, cleanupInterval = 60_000, clock = systemClock, observe } = options;
    this.#maxSize = maxSize;
    this.#observe = observe;
    this.#make = originMaker(options, clock);
    this.#pool = new KeyedPool<Origin>({
      name: NAME,
      clock,
      total: maxSize,
      idleTimeout,
      sweepInterval: cleanupInterval,
      maxErrorCount: Number.POSITIVE_INFINITY,
      closeDelay: 60_000,
      queueTimeout: 0,
      close: (origin) => origin.close(),
      exhausted: () => `Connection pool is full (max ${maxSize} instances). Please try again later.`,
      ...(observe === undefined ? {} : { observe }),
    });
  }

  async getOrCreate(apiUrl: string, signal: AbortSignal = new AbortController().signal): Promise<Lease<Origin>> {
    const url = knownApiUrl(apiUrl);
    // The pool counts reuse and does not tell of it; who logs wants to hear.
    if (this.#pool.find(url.canonical) !== undefined) this.#observe?.({ pool: NAME, kind: 'hit', id: url.canonical });
    try {
      return await this.#pool.acquire(keyOf(url), async () => ({ value: this.#make(url) }), signal);
    } catch (error) {
      if (error instanceof TurnpikeError && error.code === 'pool/exhausted')
        throw new GitLabError('capacity', error.message, { retryAfterSeconds: 5, hint: 'Try again later; nothing was sent.' });
      throw error;
    }
  }

  /** The connections to an instance that are there now, without a lease: they may close at any time. */
  get(apiUrl: string): Origin | undefined {
    return this.#pool.find(knownApiUrl(apiUrl).canonical);
  }

  /** Whether a request to an instance would find connections, or a place for them, now. */
  hasRoom(apiUrl: string): boolean {
    return this.#pool.hasRoom(keyOf(knownApiUrl(apiUrl)));
  }

  /** Instances that hold a place. */
  size(): number {
    return this.#pool.stats().entries;
  }

  stats(): GitLabClientPoolStats {
    const { entries, leases, counts } = this.#pool.stats();
    const { hit, join, opened, evicted, idle } = counts;
    return { size: entries, maxSize: this.#maxSize, hits: hit + join, misses: opened, evictions: evicted, idleClosed: idle, active: leases };
  }

  /** Fails what is under way and closes all. Idempotent. */
  async close(): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function keyOf({ canonical }: ApiUrl): PoolKey {
  return { id: canonical, owner: '', tenant: '', groups: [] };
}
