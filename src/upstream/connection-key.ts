import { type Caller, LOCAL_ISSUER, principalKey, scopeKey } from '../core/caller.ts';
import type { Fingerprinter } from '../core/fingerprinter.ts';
import type { Era } from '../core/mcp.ts';
import type { Cap, PoolKey } from '../pool/pool-key.ts';
import { NO_PROFILE, type Profile } from './profile.ts';
import type { UpstreamSettings } from './settings.ts';

export interface KeyOptions {
  readonly caller: Caller;
  readonly profile: Profile;
  /** What the upstream is believed to speak. */
  readonly era: Era | undefined;
  readonly fingerprint: Fingerprinter;
  readonly limits: { readonly perPrincipal: number; readonly stdio: number };
  /** Which of the connections of one key: further ones are needed while a call waits for input on the first (default 0). */
  readonly sibling?: number;
}

/** Profiles that one principal without a session may use at one upstream at once (protocol.md section 10, "Capability profile"). */
const MAX_PROFILES = 4;

export interface ConnectionKey extends PoolKey {
  /** What the connection declares. */
  readonly profile: Profile;
  /** Callers who do not know each other get it. */
  readonly shared: boolean;
  /** The key holds only for a connection of this era. */
  readonly assumed: Era | undefined;
}

/**
 * Whose a connection is (aggregator.md section 6, protocol.md section 10 "Capability profile", security class 7): upstream,
 * scope, tenant, profile. One for all: a modern upstream over HTTP or in this process, which keeps nothing between requests, and under
 * `sharing: shared` what asks nobody anything, that is a modern upstream, or a legacy one with an empty profile.
 */
export function connectionKey(settings: UpstreamSettings, options: KeyOptions): ConnectionKey {
  const { name, sharing, target, pool } = settings;
  const { caller, era, fingerprint, limits, sibling = 0 } = options;
  // A modern upstream is told with every request what its client can do, so the connection declares nothing.
  const profile = era === 'modern' ? NO_PROFILE : options.profile;
  const shared = isShared(settings, era, profile);
  const principal = principalKey(caller.principal);
  const scope = shared ? 'shared' : sharing === 'session' ? scopeMark(fingerprint, scopeKey(caller)) : scopeMark(fingerprint, `p:${principal}`);
  const groups: Cap[] = [{ name: `upstream:${name}`, limit: pool.maxConnections }];
  if (target.type === 'stdio') groups.push({ name: 'stdio', limit: limits.stdio });
  if (!shared && caller.principal.issuer !== LOCAL_ISSUER) {
    groups.push({ name: `principal:${fingerprint.of('principal', principal)}`, limit: limits.perPrincipal });
  }
  if (!shared && era !== 'modern' && caller.sessionId === undefined && sibling === 0)
    groups.push({ name: `profiles:${name}:${scope}`, limit: MAX_PROFILES });
  const parts = [name, scope, shared ? '' : caller.tenant, profile, era === 'modern' ? 'modern' : ''];
  return {
    // With the era: a session that declares nothing stays apart from the connections that need not declare anything.
    id: JSON.stringify(sibling === 0 ? parts : [...parts, sibling]),
    owner: shared ? '' : principal,
    tenant: caller.tenant,
    groups,
    idleTimeout: pool.idleTimeout,
    maxErrorCount: pool.maxErrorCount,
    closeDelay: pool.closeDelay,
    profile,
    shared,
    assumed: era === 'modern' ? 'modern' : undefined,
  };
}

/** Whether callers who do not know each other may get one connection. */
export function isShared({ target, sharing }: UpstreamSettings, era: Era | undefined, profile: Profile): boolean {
  return (target.type !== 'stdio' && era === 'modern') || (sharing === 'shared' && profile === NO_PROFILE);
}

/** How the connections of a session are marked in their keys. */
export function sessionMark(fingerprint: Fingerprinter, sessionId: string): string {
  return scopeMark(fingerprint, `s:${sessionId}`);
}

function scopeMark(fingerprint: Fingerprinter, scope: string): string {
  return fingerprint.of('scope', scope);
}

/** aggregator.md section 6, "Caps". */
export function exhaustedText(key: PoolKey, cap: Cap): string {
  const [upstream] = JSON.parse(key.id) as string[];
  return `connection limit reached for upstream '${upstream}' (limit ${cap.limit}); retry later`;
}
