import { createHmac, hash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';
import { type Principal, principalKey } from './caller.ts';

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

/** A principal, and the fingerprint by which records of the same one are found. */
export interface NamedPrincipal extends Principal {
  readonly fingerprint: string;
}

/** Fingerprints of each kind that are remembered. */
const MAX_KNOWN = 10_000;

/**
 * Keyed fingerprints (HMAC-SHA-256): equal inputs of one process or store give equal names, and without the
 * key nobody can test a guess against a log line.
 */
export class Fingerprinter {
  readonly #key: Buffer;
  /** Those made last, by their two parts: a caller comes again with every request, and an HMAC costs more than the rest of the look-up. */
  readonly #pairs = new Map<string, Map<string, string>>();
  readonly #others = new Map<string, string>();
  readonly #principals = new WeakMap<Principal, NamedPrincipal>();

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** A principal as operators read it: one object for as long as the principal is the same object. */
  principal(principal: Principal): NamedPrincipal {
    const known = this.#principals.get(principal);
    if (known !== undefined) return known;
    const { issuer, subject } = principal;
    const made: NamedPrincipal = Object.freeze({ fingerprint: this.of('principal', principalKey(principal)), issuer, subject });
    this.#principals.set(principal, made);
    return made;
  }

  /** 128 bits of HMAC in base64url: enough to name, too few to attack. The first part is one of few words. */
  of(...parts: string[]): string {
    const [kind, text] = parts;
    if (kind === undefined || text === undefined || parts.length > 2) return this.#remembered(this.#others, JSON.stringify(parts), parts);
    let known = this.#pairs.get(kind);
    if (known === undefined) {
      known = new Map();
      this.#pairs.set(kind, known);
    }
    return this.#remembered(known, text, parts);
  }

  #remembered(known: Map<string, string>, name: string, parts: readonly string[]): string {
    const before = known.get(name);
    if (before !== undefined) return before;
    const made = this.#make(parts);
    known.set(name, made);
    const [oldest] = known.size > MAX_KNOWN ? known.keys() : [];
    if (oldest !== undefined) known.delete(oldest);
    return made;
  }

  #make(parts: readonly string[]): string {
    const mac = createHmac('sha256', this.#key);
    for (const part of parts)
      mac
        .update(String(Buffer.byteLength(part)))
        .update(':')
        .update(part);
    return mac.digest().subarray(0, 16).toString('base64url');
  }
}

/** Derives a purpose-bound 256-bit key (RFC 5869, HKDF-SHA-256). */
export function deriveKey(master: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', master, Buffer.alloc(0), `turnpike/${purpose}`, 32));
}
