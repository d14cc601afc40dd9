import { createHmac } from 'node:crypto';
import { type Principal, principalKey } from './caller.ts';

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
