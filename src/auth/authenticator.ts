import { ERRORS, TurnpikeError } from '../core/errors.ts';
import type { Credential } from './credential.ts';
import { type DistinctHeaders, extractCredential } from './extract.ts';
import type { AuthMode, Identity } from './identity.ts';

/** What an authenticator may know beside the credential. */
export interface AuthContext {
  /** Address of the socket's other end. */
  readonly peer: string | undefined;
  /** Address of the client: `peer`, or what a trusted proxy says. */
  readonly address: string | undefined;
  /** The values of `X-GitLab-API-URL`, if it was sent. */
  readonly instance?: readonly string[] | undefined;
  /** The canonical API URL of the session's instance, if the request names a session that has one. */
  readonly bound?: string | undefined;
}

/** How the credential of a request is found, in place of the usual way, which it may take; throws as `Authentication.extract`. */
export type Extractor = (headers: DistinctHeaders, usual: () => Credential | undefined) => Credential | undefined;

/** Asks a GitLab whose token it is (gitlab.md 1.2). */
export interface TokenVerifier {
  /** @returns `accepted` with the credential that was verified, `refused` with the error to answer, or `unavailable` */
  verify(credential: Credential, context: AuthContext, signal: AbortSignal): Promise<Verdict>;
}

export interface AuthenticationOptions {
  readonly extractor?: Extractor | undefined;
  /** Asks about the tokens of GitLab that come beside credentials of other modes. Without it they count for nothing. */
  readonly beside?: TokenVerifier | undefined;
}

/**
 * `unclaimed`: not a credential of this mode, ask the next one. `accepted` and `refused` are final.
 * `unavailable`: it is one of this mode, but it cannot be checked now; final, too.
 * `reason` is for the log and never holds a part of the credential; `error` is what the caller is answered, where it says more than the rule.
 */
export type Verdict =
  | { readonly kind: 'accepted'; readonly identity: Identity }
  | { readonly kind: 'refused'; readonly reason: string; readonly error?: TurnpikeError }
  | { readonly kind: 'unavailable'; readonly reason: string; readonly retryAfter: number; readonly error?: TurnpikeError }
  | { readonly kind: 'unclaimed' };

export const UNCLAIMED: Verdict = Object.freeze({ kind: 'unclaimed' });

/** One mode of `auth.modes`. Must not throw for a bad credential; what it throws is answered 503, never as accepted. */
export interface Authenticator {
  readonly mode: AuthMode;
  authenticate(credential: Credential | undefined, context: AuthContext, signal: AbortSignal): Verdict | Promise<Verdict>;
}

/** Counts what was decided (`turnpike_inbound_auth_total`). An unavailable mode is a failure. */
export type AuthCount = (mode: AuthMode | 'all', result: 'success' | 'failure') => void;

/** The modes of `auth.modes`, in their order. Fails closed: nobody claims, nobody enters. */
export class Authentication {
  readonly #authenticators: readonly Authenticator[];
  readonly #takesEverything: boolean;

  readonly #count: AuthCount;
  readonly #options: AuthenticationOptions;

  /** `count` is told which mode decided, `all` when none knew the credential. Throws `config/refused` without any authenticator. */
  constructor(authenticators: readonly Authenticator[], count: AuthCount = () => {}, options: AuthenticationOptions = {}) {
    this.#count = count;
    this.#options = options;
    if (authenticators.length === 0) throw new TurnpikeError('config/refused', 'auth.modes names no mode: nobody could be identified');
    this.#authenticators = [...authenticators];
    this.#takesEverything = authenticators.some((one) => one.mode === 'none');
  }

  /** The modes in use, in order. */
  get modes(): readonly AuthMode[] {
    return this.#authenticators.map((one) => one.mode);
  }

  /**
   * Step 3 of protocol.md 1: a credential is present and well formed; nobody is asked. `undefined` only under mode
   * `none`, which takes everything. Throws `auth/missing`, `auth/invalid` (malformed) or `auth/conflict`.
   */
  extract(headers: DistinctHeaders): Credential | undefined {
    const { extractor } = this.#options;
    return extractor === undefined ? this.#extract(headers) : extractor(headers, () => this.#extract(headers));
  }

  #extract(headers: DistinctHeaders): Credential | undefined {
    const extracted = extractCredential(headers);
    if (!extracted.ok && extracted.error === 'conflict') throw new TurnpikeError('auth/conflict', 'Conflicting credentials');
    if (extracted.ok && extracted.value !== undefined) return extracted.value;
    if (this.#takesEverything) return undefined;
    if (extracted.ok) throw new TurnpikeError('auth/missing');
    throw new TurnpikeError('auth/invalid', ERRORS['auth/invalid'].sentence, { reason: 'the credential is malformed' });
  }

  /**
   * Step 6: who it is. At once when no mode had to ask anybody. Rejects with `auth/missing`, `auth/invalid` or `auth/unavailable`, and with
   * the signal's reason when aborted; never throws.
   */
  authenticate(credential: Credential | undefined, context: AuthContext, signal: AbortSignal): Identity | Promise<Identity> {
    try {
      const identity = this.#decide(0, credential, context, signal);
      const { beside: verifier } = this.#options;
      const beside = credential?.beside;
      return beside === undefined || verifier === undefined ? identity : withBeside(identity, verifier, beside, context, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Asks the modes from `first` on. */
  #decide(first: number, credential: Credential | undefined, context: AuthContext, signal: AbortSignal): Identity | Promise<Identity> {
    for (let index = first; index < this.#authenticators.length; index++) {
      const authenticator = this.#authenticators[index] as Authenticator;
      signal.throwIfAborted();
      const verdict = ask(authenticator, credential, context, signal);
      if (!('kind' in verdict)) return this.#decideLater(verdict, index, credential, context, signal);
      if (verdict.kind !== 'unclaimed') return this.#enter(verdict, authenticator.mode);
    }
    if (credential === undefined) throw new TurnpikeError('auth/missing');
    return this.#enter({ kind: 'refused', reason: 'no mode knows the credential' }, 'all');
  }

  async #decideLater(
    answering: Promise<Verdict>,
    index: number,
    credential: Credential | undefined,
    context: AuthContext,
    signal: AbortSignal,
  ): Promise<Identity> {
    const verdict = await answering.catch((error: unknown) => brokenBy(error, signal));
    if (verdict.kind === 'unclaimed') return this.#decide(index + 1, credential, context, signal);
    return this.#enter(verdict, (this.#authenticators[index] as Authenticator).mode);
  }

  #enter(verdict: Decision, mode: AuthMode | 'all'): Identity {
    try {
      const identity = enter(verdict, mode);
      this.#count(mode, 'success');
      return identity;
    } catch (error) {
      this.#count(mode, 'failure');
      throw error;
    }
  }
}

type Decision = Exclude<Verdict, { kind: 'unclaimed' }>;

/** Somebody of ours with a token of GitLab, which is asked about as if it stood alone: it goes nowhere but where that was done. */
async function withBeside(
  deciding: Identity | Promise<Identity>,
  verifier: TokenVerifier,
  beside: Credential,
  context: AuthContext,
  signal: AbortSignal,
): Promise<Identity> {
  const identity = await deciding;
  const verdict = await verifier.verify(beside, context, signal).catch((error: unknown) => brokenBy(error, signal));
  const { credential } = enter(verdict as Decision, 'gitlab');
  return credential === undefined ? identity : { ...identity, credential };
}

function ask(
  authenticator: Authenticator,
  credential: Credential | undefined,
  context: AuthContext,
  signal: AbortSignal,
): Verdict | Promise<Verdict> {
  try {
    return authenticator.authenticate(credential, context, signal);
  } catch (error) {
    return brokenBy(error, signal);
  }
}

function brokenBy(error: unknown, signal: AbortSignal): Verdict {
  signal.throwIfAborted();
  return { kind: 'unavailable', reason: `it failed: ${error instanceof Error ? error.message : String(error)}`, retryAfter: 2 };
}

function enter(verdict: Decision, mode: string): Identity {
  if (verdict.kind !== 'accepted' && verdict.error !== undefined) throw verdict.error;
  if (verdict.kind === 'unavailable') {
    throw new TurnpikeError('auth/unavailable', undefined, { reason: `mode ${mode}: ${verdict.reason}`, retryAfter: verdict.retryAfter });
  }
  if (verdict.kind === 'refused') throw new TurnpikeError('auth/invalid', undefined, { reason: `mode ${mode}: ${verdict.reason}` });
  const { principal, tenant } = verdict.identity;
  // An empty identity would be shared by everybody who has one (identity.md 1, security class 5).
  if (principal.subject === '' || principal.issuer === '' || tenant === '') {
    throw new TurnpikeError('auth/invalid', undefined, { reason: `mode ${mode}: empty issuer, subject or tenant` });
  }
  return verdict.identity;
}
