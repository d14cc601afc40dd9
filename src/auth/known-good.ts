import type { Clock } from '../core/clock.ts';
import type { Credential } from './credential.ts';

export interface KnownGoodOptions {
  readonly clock: Clock;
  /** Milliseconds for which a proof counts. Default 5 min. */
  readonly ttlMs?: number;
  /** Credentials remembered; beyond it the one proven longest ago is forgotten. Default 10,000. */
  readonly max?: number;
}

/**
 * Which credentials were proven a short while ago. It only spares their requests the address limits (identity.md 6)
 * so that an office behind one address can work; it never stands in for authentication. Keys are SHA-256 digests.
 */
export class KnownGood {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #max: number;
  /** Digest → monotonic milliseconds of the end; in order of the proof, hence of the end. */
  readonly #until = new Map<string, number>();
  /** The credential proven last: it keeps its place. */
  #latest: string | undefined;

  constructor({ clock, ttlMs = 5 * 60_000, max = 10_000 }: KnownGoodOptions) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#max = max;
  }

  /** Credentials remembered now. */
  get size(): number {
    return this.#until.size;
  }

  has(credential: Credential): boolean {
    const until = this.#until.get(credential.key);
    return until !== undefined && until > this.#clock.monotonic();
  }

  /** The credential was accepted just now. */
  prove(credential: Credential): void {
    const now = this.#clock.monotonic();
    for (const [key, until] of this.#until) {
      if (until > now) break;
      this.#until.delete(key);
    }
    const { key } = credential;
    if (key !== this.#latest) this.#until.delete(key);
    this.#latest = key;
    this.#until.set(key, now + this.#ttlMs);
    if (this.#until.size <= this.#max) return;
    const [oldest] = this.#until.keys();
    if (oldest !== undefined) this.#until.delete(oldest);
  }

  /** The credential was refused just now. */
  forget(credential: Credential): void {
    this.#until.delete(credential.key);
  }
}
