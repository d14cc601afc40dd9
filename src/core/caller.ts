import type { Secret } from './secret.ts';

/** Who was authenticated: issuer + subject (RFC 7519 `iss`, `sub`); `static` and `local` stand in where there is no issuer. */
export interface Principal {
  readonly issuer: string;
  readonly subject: string;
}

/** Scopes of identity.md section 1, weakest first. */
export const SCOPES = ['turnpike:read', 'turnpike:write', 'turnpike:admin'] as const;
export type Scope = (typeof SCOPES)[number];

/**
 * What a caller presented, where an upstream may act with it (`auth.mode: passthrough`). Kept as long as the request, or the call that
 * it began, and nowhere else.
 */
export interface CallerCredential {
  readonly scheme: 'bearer' | 'private-token' | 'job-token';
  readonly token: Secret;
  /** The canonical API URL of the GitLab that verified it: it goes nowhere else (identity.md section 8). */
  readonly instance: string;
}

/** Everything that is known about the one who asks. Always an argument, never ambient. */
export interface Caller {
  readonly principal: Principal;
  /** Isolation key derived from the principal. */
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The legacy MCP session, when the message came through one. */
  readonly sessionId?: string;
  readonly credential?: CallerCredential;
  /** What the request narrows its view to (`X-Turnpike-Toolset`), for an upstream in this process that names tools. */
  readonly toolset?: string;
  /** Display only, self-reported: decides nothing. */
  readonly clientInfo?: { readonly name: string; readonly version: string };
}

/** Stands in for an issuer where there is none. */
export const LOCAL_ISSUER = 'local';
export const STATIC_ISSUER = 'static';

/** Keys of the principals that are about: each is asked for many times in a call, and a principal never changes. */
const keys = new WeakMap<Principal, string>();

/** One text per principal, unambiguous for every issuer and subject. */
export function principalKey(principal: Principal): string {
  const known = keys.get(principal);
  if (known !== undefined) return known;
  const key = JSON.stringify([principal.issuer, principal.subject]);
  keys.set(principal, key);
  return key;
}

/** The principal of a `principalKey`. */
export function principalOf(key: string): Principal {
  const [issuer = '', subject = ''] = JSON.parse(key) as string[];
  return { issuer, subject };
}

/** `turnpike:admin` includes `turnpike:write`, which includes `turnpike:read`. */
export function hasScope(caller: Caller, scope: Scope): boolean {
  const { scopes } = caller;
  for (let rank = SCOPES.indexOf(scope); rank < SCOPES.length; rank++) {
    const held = SCOPES[rank];
    if (held !== undefined && scopes.has(held)) return true;
  }
  return false;
}

/** Scope key of aggregator.md: the session of a session client, the principal of a stateless one. */
export function scopeKey(caller: Caller): string {
  return caller.sessionId === undefined ? `p:${principalKey(caller.principal)}` : `s:${caller.sessionId}`;
}
