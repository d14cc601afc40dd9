/** Who was authenticated: issuer + subject (RFC 7519 `iss`, `sub`); `static` and `local` stand in where there is no issuer. */
export interface Principal {
  readonly issuer: string;
  readonly subject: string;
}

/** Scopes of identity.md section 1, weakest first. */
export const SCOPES = ['turnpike:read', 'turnpike:write', 'turnpike:admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Everything that is known about the one who asks. Always an argument, never ambient. */
export interface Caller {
  readonly principal: Principal;
  /** Isolation key derived from the principal. */
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The legacy MCP session, when the message came through one. */
  readonly sessionId?: string;
  /** Display only, self-reported: decides nothing. */
  readonly clientInfo?: { readonly name: string; readonly version: string };
}

/** Stands in for an issuer where there is none. */
export const LOCAL_ISSUER = 'local';
export const STATIC_ISSUER = 'static';

/** One text per principal, unambiguous for every issuer and subject. */
export function principalKey(principal: Principal): string {
  return JSON.stringify([principal.issuer, principal.subject]);
}

/** The principal of a `principalKey`. */
export function principalOf(key: string): Principal {
  const [issuer = '', subject = ''] = JSON.parse(key) as string[];
  return { issuer, subject };
}

/** `turnpike:admin` includes `turnpike:write`, which includes `turnpike:read`. */
export function hasScope(caller: Caller, scope: Scope): boolean {
  return SCOPES.slice(SCOPES.indexOf(scope)).some((held) => caller.scopes.has(held));
}

/** Scope key of aggregator.md: the session of a session client, the principal of a stateless one. */
export function scopeKey(caller: Caller): string {
  return caller.sessionId === undefined ? `p:${principalKey(caller.principal)}` : `s:${caller.sessionId}`;
}
