import { hash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

/** What a secret looks like wherever it is printed. */
export const MASK = '***';

/**
 * A value that must never be printed. Every way of turning it into text yields `***`; only code that
 * writes it to its destination calls `reveal`.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Call it where the value is written to a header, an environment or a key, and nowhere else. */
  reveal(): string {
    return this.#value;
  }

  /** Compares in constant time, over equal-length digests, so that neither length nor content leaks (security class 28). */
  matches(candidate: string): boolean {
    return sameDigest(sha256(this.#value), sha256(candidate));
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}

/** SHA-256 of a text, as bytes. */
export function sha256(value: string | Uint8Array): Buffer {
  return hash('sha256', value, 'buffer');
}

/** The same in base64url, for keys of maps: without a buffer it costs a third. */
export function sha256Key(value: string): string {
  return hash('sha256', value, 'base64url');
}

/** Constant-time comparison of two digests of the same algorithm. */
export function sameDigest(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Derives a purpose-bound 256-bit key (RFC 5869, HKDF-SHA-256). */
export function deriveKey(master: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', master, Buffer.alloc(0), `turnpike/${purpose}`, 32));
}
