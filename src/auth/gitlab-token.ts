import type { AuthContext, Authenticator, TokenVerifier, Verdict } from './authenticator.ts';
import { UNCLAIMED } from './authenticator.ts';
import type { Credential } from './credential.ts';

/** What GitLab's own tokens begin with. */
const PREFIX = /^gl[a-z]{2,8}-/;

/** Whether a Bearer is one of GitLab's, where other modes take Bearers, too. */
export function looksLikeGitLabs({ scheme, token }: Credential): boolean {
  return scheme === 'bearer' && PREFIX.test(token.reveal());
}

/**
 * Mode `gitlab` (identity.md 1): tokens of a GitLab, which says whose they are. Beside another mode that takes Bearers it claims
 * those alone that look like GitLab's, so that a foreign token never reaches it. Their form was checked where they were extracted.
 */
export class GitLabTokens implements Authenticator {
  readonly mode = 'gitlab';
  readonly #verifier: TokenVerifier;
  readonly #everyBearer: boolean;

  /** @param options.everyBearer there is no other mode for Bearers */
  constructor(verifier: TokenVerifier, { everyBearer }: { readonly everyBearer: boolean }) {
    this.#verifier = verifier;
    this.#everyBearer = everyBearer;
  }

  authenticate(credential: Credential | undefined, context: AuthContext, signal: AbortSignal): Verdict | Promise<Verdict> {
    if (credential === undefined) return UNCLAIMED;
    if (credential.scheme === 'bearer' && !this.#everyBearer && !looksLikeGitLabs(credential)) return UNCLAIMED;
    return this.#verifier.verify(credential, context, signal);
  }
}
