import type { IncomingMessage } from 'node:http';
import { TurnpikeError } from '../../../core/errors.ts';
import { Secret } from '../../../core/secret.ts';
import type { CredentialKind, GitLabCredential } from '../client/api.ts';
import { MalformedCredentialError } from './errors.ts';

/** What a credential may be read from. */
export type CredentialCarrier = Request | Headers | Pick<IncomingMessage, 'rawHeaders'>;

/** Headers in the order in which they count (gitlab.md 1.1). */
const SOURCES: readonly (readonly [header: string, kind: CredentialKind])[] = [
  ['private-token', 'private-token'],
  ['job-token', 'job-token'],
  ['authorization', 'bearer'],
];
const MIN = 20;
const MAX = 8_192;
const FORM = /^[-a-zA-Z0-9_.]+$/;
const BEARER = /^bearer(?:[ \t]+(.*))?$/i;

/**
 * The credential of a request (gitlab.md 1.1): the first of `PRIVATE-TOKEN`, `JOB-TOKEN`, `Authorization: Bearer` that is there.
 * An empty header is absent. Nothing is asked of GitLab.
 *
 * @throws MalformedCredentialError for one of another form, a header sent twice, or another `Authorization` scheme alone
 */
export function extractCredential(request: CredentialCarrier): GitLabCredential | undefined {
  const values = valuesOf(request);
  if (SOURCES.some(([header]) => (values.get(header)?.length ?? 0) > 1)) throw new MalformedCredentialError();
  for (const [header, kind] of SOURCES) {
    const [value = ''] = values.get(header) ?? [];
    if (value !== '') return { kind, token: new Secret(wellFormed(kind === 'bearer' ? (BEARER.exec(value)?.[1] ?? '') : value)) };
  }
  return undefined;
}

/**
 * As `extractCredential`, where two different credentials on one request are an error: in the gateway.
 *
 * @throws MalformedCredentialError also for one that would not count; `auth/conflict`
 */
export function extractOnlyCredential(request: CredentialCarrier): GitLabCredential | undefined {
  const first = extractCredential(request);
  if (first === undefined) return undefined;
  const values = valuesOf(request);
  for (const [header, kind] of SOURCES) {
    const [value = ''] = values.get(header) ?? [];
    if (value === '' || kind === first.kind) continue;
    const token = wellFormed(kind === 'bearer' ? (BEARER.exec(value)?.[1] ?? '') : value);
    // A token under both of the headers that GitLab gets as a Bearer is one credential.
    const isSame = sentAsBearer(kind) === sentAsBearer(first.kind) && first.token.matches(token);
    if (!isSame) throw new TurnpikeError('auth/conflict', 'Conflicting credentials');
  }
  return first;
}

/** `PRIVATE-TOKEN`, then Bearer; empty when neither is well formed (Go: `ExtractToken`). */
export function extractToken(request: CredentialCarrier): string {
  const values = valuesOf(request);
  for (const header of ['private-token', 'authorization']) {
    const [value = '', ...others] = values.get(header) ?? [];
    const token = header === 'authorization' ? (BEARER.exec(value)?.[1]?.trim() ?? '') : value;
    if (others.length === 0 && isWellFormed(token)) return token;
  }
  return '';
}

function wellFormed(value: string): string {
  const token = value.trim();
  if (!isWellFormed(token)) throw new MalformedCredentialError();
  return token;
}

function isWellFormed(token: string): boolean {
  return token.length >= MIN && token.length <= MAX && FORM.test(token);
}

function sentAsBearer(kind: CredentialKind): boolean {
  return kind !== 'job-token';
}

/** Trimmed values by lower-case name, as often as they were sent. */
function valuesOf(request: CredentialCarrier): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const add = (name: string, value: string) => {
    const header = name.toLowerCase();
    if (SOURCES.some(([known]) => known === header)) found.set(header, [...(found.get(header) ?? []), value.trim()]);
  };
  if ('rawHeaders' in request) {
    // Not `headers`: it keeps the first of several `Authorization` and says nothing about the others.
    const { rawHeaders } = request;
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) add(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '');
  } else {
    // Several values stand there as one with commas, which no token has.
    const headers = 'headers' in request ? request.headers : request;
    for (const [name] of SOURCES) {
      const value = headers.get(name);
      if (value !== null) add(name, value);
    }
  }
  return found;
}
