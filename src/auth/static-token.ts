import { type Scope, STATIC_ISSUER } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { err, ok, type Result } from '../core/result.ts';
import { type Secret, sameDigest, sha256 } from '../core/secret.ts';
import { type AuthContext, type Authenticator, UNCLAIMED, type Verdict } from './authenticator.ts';
import type { Credential } from './credential.ts';
import { isBearerToken } from './extract.ts';
import { DEFAULT_SCOPES, DEFAULT_TENANT, type Identity } from './identity.ts';

/** One entry of `auth.static`: exactly one of `token` and `sha256`. */
export interface StaticTokenEntry {
  readonly name: string;
  readonly token?: Secret;
  /** SHA-256 of the token, 64 hexadecimal digits. */
  readonly sha256?: string;
  readonly tenant?: string;
  readonly scopes?: readonly Scope[];
  readonly expires?: Date;
}

interface Row {
  readonly digest: Buffer;
  readonly identity: Identity;
  readonly accepted: Verdict;
}

/** Mode `static` (identity.md 1): a Bearer found in `auth.static[]`. */
export class StaticTokens implements Authenticator {
  readonly mode = 'static';
  readonly #rows: readonly Row[];
  readonly #clock: Clock;
  /**
   * Rows that were found, by the digest of their token: at most all of them, for as long as these entries are in force. Whether a digest
   * is among them shows no more than the answer does, and how alike two tokens are does not show in their digests.
   */
  readonly #known = new Map<string, Row>();

  /** Throws `config/invalid` naming the entry when one can never match, or two share a name or a token. */
  constructor(entries: readonly StaticTokenEntry[], clock: Clock) {
    this.#clock = clock;
    const rows: Row[] = [];
    for (const [index, entry] of entries.entries()) {
      const row = rowOf(entry, rows);
      if (!row.ok) throw new TurnpikeError('config/invalid', `auth.static[${index}]: ${row.error}`);
      rows.push(row.value);
    }
    this.#rows = rows;
  }

  authenticate(credential: Credential | undefined, _context?: AuthContext): Verdict {
    if (credential === undefined || credential.scheme !== 'bearer') return UNCLAIMED;
    const found = this.#known.get(credential.key) ?? this.#search(credential);
    if (found === undefined) return UNCLAIMED;
    const { identity } = found;
    if (identity.expiresAt !== undefined && identity.expiresAt <= this.#clock.now()) {
      return { kind: 'refused', reason: `static token '${identity.principal.subject}' has expired` };
    }
    return found.accepted;
  }

  #search(credential: Credential): Row | undefined {
    let found: Row | undefined;
    // Every row is compared, found or not: neither place nor likeness of a token shows in the time (security class 28).
    for (const row of this.#rows) if (sameDigest(row.digest, credential.digest)) found = row;
    if (found !== undefined) this.#known.set(credential.key, found);
    return found;
  }
}

function rowOf(entry: StaticTokenEntry, earlier: readonly Row[]): Result<Row, string> {
  const { name, expires, tenant = DEFAULT_TENANT, scopes = DEFAULT_SCOPES } = entry;
  if (name === '') return err('the name is empty');
  if (tenant === '') return err('the tenant is empty');
  if (expires !== undefined && Number.isNaN(expires.getTime())) return err('the expiry is no date');
  const digest = digestOf(entry);
  if (!digest.ok) return digest;
  for (const row of earlier) {
    if (row.identity.principal.subject === name) return err(`another entry has the name '${name}'`);
    if (sameDigest(row.digest, digest.value)) return err(`it has the token of '${row.identity.principal.subject}'`);
  }
  const identity: Identity = Object.freeze({
    mode: 'static',
    principal: Object.freeze({ issuer: STATIC_ISSUER, subject: name }),
    tenant,
    scopes: new Set(scopes),
    ...(expires === undefined ? {} : { expiresAt: expires.getTime() }),
  });
  return ok({ digest: digest.value, identity, accepted: Object.freeze({ kind: 'accepted', identity }) });
}

function digestOf({ token, sha256: hex }: StaticTokenEntry): Result<Buffer, string> {
  if ((token === undefined) === (hex === undefined)) return err('exactly one of token, tokenFile and sha256 is needed');
  if (hex !== undefined) return /^[0-9a-f]{64}$/i.test(hex) ? ok(Buffer.from(hex, 'hex')) : err('sha256 must be 64 hexadecimal digits');
  const text = token?.reveal() ?? '';
  if (!isBearerToken(text)) return err('the token cannot be sent as a Bearer: use letters, digits and -._~+/ (RFC 6750)');
  return ok(sha256(text));
}
