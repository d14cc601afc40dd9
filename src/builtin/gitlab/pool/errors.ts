import { TurnpikeError } from '../../../core/errors.ts';

/** The errors of gitlab.md 1.1 to 1.3, with the texts of 2.5. Their `data` holds `detail`; none holds a token, a part of one, or a URL. */

/** A credential that is not of GitLab's form, or was sent twice. GitLab was not asked. */
export class MalformedCredentialError extends TurnpikeError {
  constructor() {
    super('auth/invalid', 'Malformed GitLab token', { data: { detail: 'A token has at least 20 characters of A-Z a-z 0-9 - _ .' } });
  }
}

/** One of them is needed to ask whose a credential is. */
const NEEDED = ['api', 'read_api', 'read_user'];

/** GitLab rejected the credential. */
export class CredentialRejectedError extends TurnpikeError {
  /** Scopes one of which the credential would need; empty unless that is why. */
  readonly scopes: readonly string[];

  /** @param scopes given for `insufficient_scope` alone */
  constructor(scopes?: readonly string[]) {
    if (scopes === undefined) super('auth/invalid', 'Invalid GitLab token', { data: { detail: 'GitLab rejected the token.' } });
    else {
      // Under the name that the challenge reads: a client that asks for more scopes has to ask GitLab for them.
      const data = { detail: 'One of api, read_api, read_user is needed.', requiredScopes: scopes.length > 0 ? scopes : NEEDED };
      super('auth/scope', 'Insufficient GitLab token scope', { data });
    }
    this.scopes = scopes ?? [];
  }
}

/** GitLab could not be asked, or gave no usable answer: nothing is known about the credential. */
export class UpstreamUnavailableError extends TurnpikeError {
  /** @param retryAfter seconds */
  constructor(retryAfter = RETRY_AFTER, reason?: string) {
    super('auth/unavailable', 'GitLab is unreachable', {
      data: { detail: 'The credential could not be checked.' },
      retryAfter,
      ...(reason === undefined ? {} : { reason }),
    });
  }
}

/** The URL of the instance is none, or not allowed. */
export class InvalidUrlError extends TurnpikeError {
  /** Whether it was refused for where it leads (403) rather than for how it is written (400). */
  readonly forbidden: boolean;

  constructor(verdict: { readonly kind: 'invalid'; readonly detail: string } | { readonly kind: 'forbidden'; readonly reason: string }) {
    const isForbidden = verdict.kind === 'forbidden';
    if (verdict.kind === 'forbidden') super('guard/host', 'GitLab API URL is not allowed', { reason: verdict.reason });
    else super('request/envelope', 'Invalid custom API URL provided', { data: { detail: verdict.detail } });
    this.forbidden = isForbidden;
  }
}

/** Every place of the pool is in use. */
export class PoolCapacityError extends TurnpikeError {
  /** @param limit how many there are, as a text: `max 100 instances` */
  constructor(limit: string) {
    super('session/full', 'Server capacity reached', {
      data: { detail: `Connection pool is full (${limit}). Please try again later.` },
      retryAfter: RETRY_AFTER,
      retryable: true,
    });
  }
}

/** Seconds, where GitLab names none (gitlab.md 2.5). */
const RETRY_AFTER = 5;

/** Whether it counts as an authentication failure of an address: not a missing credential, and not an outage (gitlab.md 1.3). */
export function isAuthenticationFailure(error: unknown): boolean {
  if (error instanceof InvalidUrlError) return error.forbidden;
  return error instanceof MalformedCredentialError || error instanceof CredentialRejectedError;
}
