import type { CallerCredential, Principal, Scope } from '../core/caller.ts';
import { LOCAL_ISSUER, SCOPES } from '../core/caller.ts';

/** Modes of `auth.modes` that exist. */
export type AuthMode = 'none' | 'static' | 'gitlab';

/** Who was proven to call: a caller without its session. */
export interface Identity {
  readonly mode: AuthMode | 'stdio';
  readonly principal: Principal;
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The proof itself, where upstreams may act with it. */
  readonly credential?: CallerCredential;
  /** Milliseconds since the epoch after which the credential proves nothing any more. */
  readonly expiresAt?: number;
}

/** Tenant of everybody who is given no other. */
export const DEFAULT_TENANT = 'default';

/** Scopes of an entry that names none. */
export const DEFAULT_SCOPES: readonly Scope[] = ['turnpike:read', 'turnpike:write'];

/** Mode `none`: whoever reaches the loopback listener. */
export const ANONYMOUS: Identity = local('none', 'anonymous');

/** Whoever started us and holds our stdin (`turnpike serve --stdio`). */
export const STDIO: Identity = local('stdio', 'stdio');

function local(mode: Identity['mode'], subject: string): Identity {
  return Object.freeze({ mode, principal: Object.freeze({ issuer: LOCAL_ISSUER, subject }), tenant: DEFAULT_TENANT, scopes: new Set(SCOPES) });
}
