import { err, ok, type Result } from '../core/result.ts';
import { Secret } from '../core/secret.ts';
import { Credential, type CredentialScheme } from './credential.ts';

/**
 * Headers as `IncomingMessage.headersDistinct` holds them. Plain `headers` would not do: Node keeps the first
 * `Authorization` and drops the others without a word.
 */
export type DistinctHeaders = Readonly<Record<string, readonly string[] | undefined>>;

/** `malformed`: 401, counted as a failure. `conflict`: 400, two credentials. */
export type ExtractionError = 'malformed' | 'conflict';

/** RFC 6750 section 2.1, `b64token`; the scheme in any case (RFC 9110 section 11.1). */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i;
/** What GitLab's own tokens consist of; anything else in that header is no token. */
const TOKEN = /^[\x21-\x7e]+$/;
/** Longer ones are no token of anybody, and would only be hashed for an attacker. */
const MAX_LENGTH = 16_384;
const NOTHING = ok(undefined);

/**
 * Finds the one credential of a request (identity.md 1): `PRIVATE-TOKEN`, `JOB-TOKEN` or `Authorization: Bearer`.
 * Two of them, or one header twice, conflict as long as no upstream of mode `passthrough` could use the second.
 * Tokens in the query are never looked at. Asks nobody and keeps nothing.
 */
export function extractCredential(headers: DistinctHeaders): Result<Credential | undefined, ExtractionError> {
  const bearers = headers.authorization;
  const privateTokens = headers['private-token'];
  const jobTokens = headers['job-token'];
  const count = (bearers?.length ?? 0) + (privateTokens?.length ?? 0) + (jobTokens?.length ?? 0);
  if (count === 0) return NOTHING;
  if (count > 1) return err('conflict');
  const scheme = bearers?.length === 1 ? 'bearer' : privateTokens?.length === 1 ? 'private-token' : 'job-token';
  const token = tokenOf(scheme, bearers?.[0] ?? privateTokens?.[0] ?? jobTokens?.[0] ?? '');
  if (token === undefined) return err('malformed');
  return ok(new Credential(scheme, new Secret(token)));
}

/** Whether a text can be sent as a Bearer token at all. */
export function isBearerToken(text: string): boolean {
  return tokenOf('bearer', `Bearer ${text}`) === text;
}

function tokenOf(scheme: CredentialScheme, value: string): string | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  if (scheme === 'bearer') return BEARER.exec(value)?.[1];
  return TOKEN.test(value) ? value : undefined;
}
