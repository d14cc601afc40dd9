import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';

export interface FixedWindowsOptions {
  readonly clock: Clock;
  /** Units in one window. */
  readonly max: number;
  /** Length of a window in milliseconds. Default 60 s. */
  readonly windowMs?: number;
  /** Keys remembered; beyond it the one whose window began first is forgotten. Default 10,000. */
  readonly maxKeys?: number;
}

/** What is left of a window. */
export interface Budget {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until the window ends, not rounded. */
  readonly reset: number;
}

interface Window {
  /** Monotonic milliseconds. */
  readonly end: number;
  used: number;
}

/** What is answered when a minute's budget is used up (gitlab.md 2.5). */
export function overRate({ limit, reset }: Budget): TurnpikeError {
  const data = { detail: `Maximum ${limit} requests per minute allowed` };
  return new TurnpikeError('limit/user', 'Rate limit exceeded', { data, retryAfter: reset });
}

/** Counts by key in windows that begin with the first unit of a key (gitlab.md 2.5, "Rate"). */
export class FixedWindows {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #windowMs: number;
  readonly #maxKeys: number;
  /** In the order in which they began, hence end. */
  readonly #windows = new Map<string, Window>();

  /** Throws `RangeError` when a bound is not positive. */
  constructor({ clock, max, windowMs = 60_000, maxKeys = 10_000 }: FixedWindowsOptions) {
    if (!(max >= 1) || !(windowMs > 0) || !(maxKeys >= 1)) throw new RangeError(`no such window: ${max} in ${windowMs} ms, ${maxKeys} keys`);
    this.#clock = clock;
    this.#max = max;
    this.#windowMs = windowMs;
    this.#maxKeys = maxKeys;
  }

  /** Keys remembered now. */
  get size(): number {
    return this.#windows.size;
  }

  /** Takes so many units at once, or none of them. */
  take(key: string, units: number): Budget {
    const now = this.#clock.monotonic();
    for (const [old, { end }] of this.#windows) {
      if (end > now) break;
      this.#windows.delete(old);
    }
    const window = this.#windows.get(key) ?? this.#begin(key, now);
    const allowed = window.used + units <= this.#max;
    if (allowed) window.used += units;
    return { allowed, limit: this.#max, remaining: this.#max - window.used, reset: (window.end - now) / 1000 };
  }

  #begin(key: string, now: number): Window {
    const window = { end: now + this.#windowMs, used: 0 };
    this.#windows.set(key, window);
    const [oldest] = this.#windows.size > this.#maxKeys ? this.#windows.keys() : [];
    if (oldest !== undefined) this.#windows.delete(oldest);
    return window;
  }
}
