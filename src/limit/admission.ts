import { LOCAL_ISSUER, type Principal, principalKey } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { addressKey } from './address.ts';
import { FailureWindow } from './failure-window.ts';
import { type RateLimiter, TokenBuckets } from './rate.ts';

/** Texts of identity.md 6. */
const IP_TEXT = 'Rate limit exceeded. Please try again later.';
const USER_TEXT = 'Rate limit exceeded for user. Please try again later.';
const FAILURES_TEXT = 'Too many authentication failures';

export interface AdmissionOptions {
  readonly clock: Clock;
  /** `limits`: per second and at once. */
  readonly limits: { readonly ip: number; readonly ipBurst: number; readonly user: number; readonly userBurst: number };
  /** `auth.failures`. */
  readonly failures: { readonly max: number; readonly windowMs: number };
}

/** Every limit a request meets before and after it is authenticated, with the answers of identity.md 6. */
export class Admission {
  readonly #ip: RateLimiter;
  readonly #user: RateLimiter;
  readonly #failures: FailureWindow;

  constructor({ clock, limits, failures }: AdmissionOptions) {
    this.#ip = new TokenBuckets({ clock, rate: limits.ip, burst: limits.ipBurst });
    this.#user = new TokenBuckets({ clock, rate: limits.user, burst: limits.userBurst });
    this.#failures = new FailureWindow({ clock, ...failures });
  }

  /**
   * Charges an address; skip it for a credential that is known good. Throws `limit/failures` or `limit/ip`, with
   * `retryAfter`. A blocked address is not charged: it is refused anyway.
   */
  async admitAddress(address: string | undefined): Promise<void> {
    const key = addressKey(address);
    const blocked = this.#failures.blockedFor(key);
    if (blocked !== undefined) throw new TurnpikeError('limit/failures', FAILURES_TEXT, { retryAfter: blocked });
    const verdict = await this.#ip.take(key);
    if (!verdict.allowed) throw new TurnpikeError('limit/ip', IP_TEXT, { retryAfter: verdict.retryAfter });
  }

  /** Counts a credential that was malformed, rejected or forbidden. A missing one is never a failure: it is discovery. */
  recordFailure(address: string | undefined): void {
    this.#failures.record(addressKey(address));
  }

  /** Charges a principal. `local` has no bucket. Throws `limit/user` with `retryAfter`. */
  async admitPrincipal(principal: Principal): Promise<void> {
    if (principal.issuer === LOCAL_ISSUER) return;
    const verdict = await this.#user.take(principalKey(principal));
    if (!verdict.allowed) throw new TurnpikeError('limit/user', USER_TEXT, { retryAfter: verdict.retryAfter });
  }
}
