import type { Clock } from '../core/clock.ts';

export interface FailureWindowOptions {
  readonly clock: Clock;
  /** Failures after which a key is blocked. Default 10 (`auth.failures.max`). */
  readonly max?: number;
  /** Length of the sliding window in milliseconds. Default 60 s (`auth.failures.window`). */
  readonly windowMs?: number;
  /** Keys remembered; beyond it the one whose last failure is oldest is forgotten. Default 10,000. */
  readonly maxKeys?: number;
}

/** Counts failures per key in a sliding window (identity.md 6, "failures per IP"). Only counted failures cost memory. */
export class FailureWindow {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #windowMs: number;
  readonly #maxKeys: number;
  /** The last `max` failures of each key, oldest first; keys in order of their last failure. */
  readonly #failures = new Map<string, number[]>();

  /** Throws `RangeError` when a bound is not positive. */
  constructor(options: FailureWindowOptions) {
    const { clock, max = 10, windowMs = 60_000, maxKeys = 10_000 } = options;
    if (!(max >= 1) || !(windowMs > 0) || !(maxKeys >= 1)) throw new RangeError(`no such window: ${max} in ${windowMs} ms, ${maxKeys} keys`);
    this.#clock = clock;
    this.#max = Math.floor(max);
    this.#windowMs = windowMs;
    this.#maxKeys = maxKeys;
  }

  /** Keys remembered now. */
  get size(): number {
    return this.#failures.size;
  }

  /** Seconds until the key is free again; `undefined` when it is not blocked. Asking allocates nothing. */
  blockedFor(key: string): number | undefined {
    const times = this.#failures.get(key);
    if (times === undefined || times.length < this.#max) return undefined;
    // Only the last `max` failures are kept: blocked until the oldest of them leaves the window.
    const left = (times[0] ?? 0) + this.#windowMs - this.#clock.monotonic();
    return left > 0 ? left / 1000 : undefined;
  }

  /** Counts one failure. */
  record(key: string): void {
    this.forgetOld();
    const now = this.#clock.monotonic();
    const times = this.#failures.get(key) ?? [];
    times.push(now);
    if (times.length > this.#max) times.shift();
    this.#failures.delete(key);
    this.#failures.set(key, times);
    if (this.#failures.size <= this.#maxKeys) return;
    const [oldest] = this.#failures.keys();
    if (oldest !== undefined) this.#failures.delete(oldest);
  }

  /** Forgets keys whose failures are all outside the window. `record` does so, too. */
  forgetOld(): void {
    const now = this.#clock.monotonic();
    for (const [key, times] of this.#failures) {
      if (now - (times.at(-1) ?? 0) < this.#windowMs) return;
      this.#failures.delete(key);
    }
  }
}
