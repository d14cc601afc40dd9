import type { Scope } from '../core/caller.ts';
import { asTurnpikeError, ERRORS, TurnpikeError } from '../core/errors.ts';
import { isJsonObject } from '../core/mcp.ts';

export interface ChallengeOptions {
  /** `listen.publicUrl`. */
  readonly publicUrl: string;
  /**
   * Whether a mode is on whose tokens come from an authorization server. Only then a protected resource metadata
   * document (RFC 9728) is served; without it clients would be sent to a document that is not there.
   */
  readonly metadata: boolean;
  /** What a refusal is answered with in place of all this. */
  readonly own?: (error: TurnpikeError) => string | undefined;
}

/** The refusal of a call that needs more than the caller holds. `needed` reaches the challenge and `data.requiredScopes`. */
export function scopeError(needed: readonly Scope[]): TurnpikeError {
  return new TurnpikeError('auth/scope', ERRORS['auth/scope'].sentence, { data: { requiredScopes: needed } });
}

/**
 * `WWW-Authenticate` for a refusal (identity.md 1; RFC 6750 section 3); `undefined` for every error that is none.
 * `auth/missing` names no error, because the first 401 is discovery.
 */
export function challengeFor(thrown: unknown, options: ChallengeOptions): string | undefined {
  const error = asTurnpikeError(thrown);
  if (options.own !== undefined) return options.own(error);
  if (error.code === 'auth/missing') return challenge(options, ['turnpike:read']);
  if (error.code === 'auth/invalid') return challenge(options, ['turnpike:read'], 'invalid_token');
  if (error.code === 'auth/scope') return challenge(options, scopesOf(error), 'insufficient_scope');
  return undefined;
}

function challenge(options: ChallengeOptions, scopes: readonly string[], error?: string): string {
  const parameters: string[] = [];
  if (options.metadata) parameters.push(`resource_metadata="${metadataUrl(options.publicUrl)}"`);
  parameters.push(`scope="${scopes.join(' ')}"`);
  if (error !== undefined) parameters.push(`error="${error}"`);
  return `Bearer ${parameters.join(', ')}`;
}

/** `URL` escapes quotes and control characters, so that a configured text cannot end the parameter. */
function metadataUrl(publicUrl: string): string {
  const { origin, pathname } = new URL(publicUrl);
  return `${origin}${pathname.endsWith('/') ? pathname.slice(0, -1) : pathname}/.well-known/oauth-protected-resource/mcp`;
}

function scopesOf(error: TurnpikeError): readonly string[] {
  const { data } = error.details;
  const scopes = isJsonObject(data) ? data.requiredScopes : undefined;
  return Array.isArray(scopes) && scopes.length > 0 ? scopes.map(String) : ['turnpike:read'];
}
