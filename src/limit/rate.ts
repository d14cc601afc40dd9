import type { Clock } from '../core/clock.ts';

/** Whether one more unit may pass; `retryAfter` is in seconds, not rounded. */
export type RateVerdict = { readonly allowed: true } | { readonly allowed: false; readonly retryAfter: number };

/** A limit per key. Implementations over a shared store answer with a promise; `await` serves both. */
export interface RateLimiter {
  /** Takes one unit of the key's budget. A refused try costs nothing. */
  take(key: string): RateVerdict | Promise<RateVerdict>;
}

export interface TokenBucketOptions {
  readonly clock: Clock;
  /** Units per second, in the long run. */
  readonly rate: number;
  /** Units at once, after a pause. */
  readonly burst: number;
  /** Keys remembered; beyond it the least recently used is forgotten. Default 10,000 (identity.md 6). */
  readonly maxKeys?: number;
  /** Milliseconds after which an unused key is forgotten. Default 30 min (identity.md 6). */
  readonly idleMs?: number;
}

interface Bucket {
  /** When the bucket would be full again, were nothing taken any more (monotonic ms). */
  fullAt: number;
  seenAt: number;
}

const ALLOWED: RateVerdict = Object.freeze({ allowed: true });

/** No limit at all. */
export const UNLIMITED: RateLimiter = Object.freeze({ take: () => ALLOWED });

/**
 * Token buckets in memory (as the generic cell rate algorithm: one time stamp instead of a counter and a refill).
 *
 * Own code, because the memory limiter of rate-limiter-flexible counts in fixed windows, where rate 10/s with burst
 * 20 lets 40 pass around the edge of a window, and its bursty variant joins two such windows. It also keeps one
 * timer and one entry per key without a bound, and reads the system clock. The library serves the shared store.
 */
export class TokenBuckets implements RateLimiter {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #depth: number;
  readonly #maxKeys: number;
  readonly #idleMs: number;
  /** In order of last use: the front is always the first to go. */
  readonly #buckets = new Map<string, Bucket>();
  /** The bucket used last: it keeps its place. */
  #latest: Bucket | undefined;

  /** Throws `RangeError` for a rate that is not positive or a burst below one. */
  constructor(options: TokenBucketOptions) {
    const { clock, rate, burst, maxKeys = 10_000, idleMs = 30 * 60_000 } = options;
    if (!(rate > 0) || !(burst >= 1) || !(maxKeys >= 1)) throw new RangeError(`no such limit: ${rate}/s, burst ${burst}, ${maxKeys} keys`);
    this.#clock = clock;
    this.#interval = 1000 / rate;
    this.#depth = this.#interval * burst;
    this.#maxKeys = maxKeys;
    this.#idleMs = idleMs;
  }

  /** Keys remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  take(key: string): RateVerdict {
    const now = this.#clock.monotonic();
    this.#forgetIdle(now);
    const bucket = this.#touch(key, now);
    const fullAt = Math.max(bucket.fullAt, now) + this.#interval;
    const wait = fullAt - now - this.#depth;
    // A millionth of a millisecond absorbs the rounding of the interval: who waits as told must pass.
    if (wait > 1e-6) return { allowed: false, retryAfter: wait / 1000 };
    bucket.fullAt = fullAt;
    return ALLOWED;
  }

  #touch(key: string, now: number): Bucket {
    const known = this.#buckets.get(key);
    const bucket = known ?? { fullAt: now, seenAt: now };
    bucket.seenAt = now;
    if (bucket === this.#latest) return bucket;
    if (known !== undefined) this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    this.#latest = bucket;
    const [oldest] = this.#buckets.size > this.#maxKeys ? this.#buckets.keys() : [];
    if (oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }

  #forgetIdle(now: number): void {
    for (const [key, bucket] of this.#buckets) {
      if (now - bucket.seenAt < this.#idleMs) return;
      this.#buckets.delete(key);
    }
  }
}
