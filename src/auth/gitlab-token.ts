import { TurnpikeError } from '../core/errors.ts';
import type { AuthContext, Authenticator, Verdict } from './authenticator.ts';
import { UNCLAIMED } from './authenticator.ts';
import type { Credential } from './credential.ts';

/** Asks a GitLab whose token it is (gitlab.md 1.2). */
export interface TokenVerifier {
  /** @returns `accepted` with the credential that was verified, `refused` with the error to answer, or `unavailable` */
  verify(credential: Credential, context: AuthContext, signal: AbortSignal): Promise<Verdict>;
}

/** What GitLab's own tokens begin with. */
const PREFIX = /^gl[a-z]{2,8}-/;
const FORM = /^[-a-zA-Z0-9_.]{20,8192}$/;

/**
 * Mode `gitlab` (identity.md 1): tokens of a GitLab, which says whose they are. Beside another mode that takes Bearers it claims
 * those alone that look like GitLab's, so that a foreign token never reaches it.
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
    const { scheme, token } = credential;
    if (scheme === 'bearer' && !this.#everyBearer && !PREFIX.test(token.reveal())) return UNCLAIMED;
    // GitLab is not asked about what cannot be one of its tokens.
    if (!FORM.test(token.reveal())) return { kind: 'refused', reason: 'malformed GitLab token', error: malformed() };
    return this.#verifier.verify(credential, context, signal);
  }
}

function malformed(): TurnpikeError {
  return new TurnpikeError('auth/invalid', 'Malformed GitLab token', { data: { detail: 'A token has at least 20 characters of A-Z a-z 0-9 - _ .' } });
}
