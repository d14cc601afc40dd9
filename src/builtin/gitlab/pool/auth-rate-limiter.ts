import { type Clock, sleep, systemClock } from '../../../core/clock.ts';
import { addressKey } from '../../../limit/address.ts';
import { FailureWindow } from '../../../limit/failure-window.ts';

/** Defaults of gitlab.md 1.3. */
const MAX_FAILURES = 10;
const WINDOW_MS = 60_000;
const MAX_ADDRESSES = 10_000;
const CLEANUP_MS = 60_000;

/**
 * Counts failed authentications by address, IPv6 by its /64, in a sliding window (gitlab.md 1.3; Go: `AuthRateLimiter`). Which errors are
 * failures: `isAuthenticationFailure`.
 */
export class AuthRateLimiter {
  readonly #clock: Clock;
  readonly #window: FailureWindow;

  /**
   * @param maxFails at which an address is blocked
   * @param windowMs milliseconds
   * @throws RangeError for numbers that are not positive
   */
  constructor(maxFails = MAX_FAILURES, windowMs = WINDOW_MS, clock: Clock = systemClock) {
    this.#clock = clock;
    this.#window = new FailureWindow({ clock, max: maxFails, windowMs, maxKeys: MAX_ADDRESSES });
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#window.size;
  }

  isBlocked(ip: string): boolean {
    return this.blockedFor(ip) !== undefined;
  }

  /** Seconds until the address is free again, for `Retry-After`; undefined when it is not blocked. */
  blockedFor(ip: string): number | undefined {
    return this.#window.blockedFor(addressKey(ip));
  }

  recordFailure(ip: string): void {
    this.#window.record(addressKey(ip));
  }

  /** Forgets addresses whose failures are all outside the window. */
  cleanup(): void {
    this.#window.forgetOld();
  }

  /** Cleans up each minute until `signal` aborts; never rejects. */
  async keepClean(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#clock, CLEANUP_MS, signal).catch(() => {});
      this.cleanup();
    }
  }
}
