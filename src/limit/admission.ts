import { LOCAL_ISSUER, type Principal, principalKey } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { addressKey } from './address.ts';
import { FailureWindow } from './failure-window.ts';
import { type RateLimiter, type RateVerdict, TokenBuckets, UNLIMITED } from './rate.ts';

/** Texts of identity.md 6. */
const IP_TEXT = 'Rate limit exceeded. Please try again later.';
const USER_TEXT = 'Rate limit exceeded for user. Please try again later.';
const FAILURES_TEXT = 'Too many authentication failures';

export interface AdmissionOptions {
  readonly clock: Clock;
  /** `limits`: per second and at once; undefined where something else limits. */
  readonly limits: { readonly ip: number; readonly ipBurst: number; readonly user: number; readonly userBurst: number } | undefined;
  /** `auth.failures`. */
  readonly failures: { readonly max: number; readonly windowMs: number };
}

/** Every limit a request meets before and after it is authenticated, with the answers of identity.md 6. */
export class Admission {
  readonly #ip: RateLimiter;
  readonly #user: RateLimiter;
  readonly #failures: FailureWindow;

  constructor({ clock, limits, failures }: AdmissionOptions) {
    this.#ip = limits === undefined ? UNLIMITED : new TokenBuckets({ clock, rate: limits.ip, burst: limits.ipBurst });
    this.#user = limits === undefined ? UNLIMITED : new TokenBuckets({ clock, rate: limits.user, burst: limits.userBurst });
    this.#failures = new FailureWindow({ clock, ...failures });
  }

  /**
   * Charges an address; skip it for a credential that is known good. Throws `limit/failures` or `limit/ip`, with
   * `retryAfter`; a promise only when the limit has to be asked for. A blocked address is not charged: it is refused anyway.
   */
  admitAddress(address: string | undefined): void | Promise<void> {
    const key = addressKey(address);
    const blocked = this.#failures.blockedFor(key);
    if (blocked !== undefined) throw new TurnpikeError('limit/failures', FAILURES_TEXT, { retryAfter: blocked });
    const verdict = this.#ip.take(key);
    return 'allowed' in verdict ? admit(verdict, 'limit/ip', IP_TEXT) : verdict.then((later) => admit(later, 'limit/ip', IP_TEXT));
  }

  /** Counts a credential that was malformed, rejected or forbidden. A missing one is never a failure: it is discovery. */
  recordFailure(address: string | undefined): void {
    this.#failures.record(addressKey(address));
  }

  /** Charges a principal. `local` has no bucket. Throws `limit/user` with `retryAfter`; a promise as above. */
  admitPrincipal(principal: Principal): void | Promise<void> {
    if (principal.issuer === LOCAL_ISSUER) return undefined;
    const verdict = this.#user.take(principalKey(principal));
    return 'allowed' in verdict ? admit(verdict, 'limit/user', USER_TEXT) : verdict.then((later) => admit(later, 'limit/user', USER_TEXT));
  }
}

function admit(verdict: RateVerdict, code: 'limit/ip' | 'limit/user', text: string): void {
  if (!verdict.allowed) throw new TurnpikeError(code, text, { retryAfter: verdict.retryAfter });
}
