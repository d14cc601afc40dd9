import { Authentication, type TokenVerifier } from './auth/authenticator.ts';
import type { ChallengeOptions } from './auth/challenge.ts';
import { GitLabTokens } from './auth/gitlab-token.ts';
import { NoAuthenticator } from './auth/none.ts';
import { StaticTokens } from './auth/static-token.ts';
import { sameValue } from './config/changes.ts';
import type { Config } from './config/schema.ts';
import { LOCAL_ISSUER, type Principal, STATIC_ISSUER } from './core/caller.ts';
import type { Clock } from './core/clock.ts';
import type { JsonObject } from './core/mcp.ts';
import { type Secret, sha256 } from './core/secret.ts';
import type { EdgeSettings } from './edge/settings.ts';
import { TrustedProxies } from './edge/steps/address.ts';
import { Guard } from './edge/steps/guard.ts';
import { ResponseHeaders } from './edge/steps/response-headers.ts';
import type { Front } from './front.ts';
import { mayBringGitLabs } from './gitlab-credentials.ts';
import type { GitLabUpstreams } from './gitlab-upstreams.ts';
import { Admission } from './limit/admission.ts';
import type { RouterSettings } from './router/settings.ts';
import type { Instruments } from './telemetry/instruments.ts';
import { routerSettings } from './wiring.ts';

/** A configuration, and what is made from it and kept for as long as it is in force. Replaced as a whole. */
export interface InForce {
  readonly config: Config;
  readonly router: RouterSettings;
  readonly edge: EdgeSettings;
  readonly authentication: Authentication;
  readonly admission: Admission;
  readonly proxies: TrustedProxies;
  readonly guard: Guard;
  readonly headers: ResponseHeaders;
  readonly challenge: ChallengeOptions;
}

export interface InForceOptions {
  readonly clock: Clock;
  readonly serverInfo: JsonObject;
  readonly instruments: Instruments;
  /** Of mode `gitlab`. */
  readonly gitlab: TokenVerifier;
  readonly front: Front;
}

/** Makes it; of `before` stays what would be made again from the same settings, with what it has counted. Throws `config/invalid`. */
export function inForce(config: Config, { clock, serverInfo, instruments, gitlab, front }: InForceOptions, before?: InForce): InForce {
  const { auth, limits, listen } = config;
  const proving = (one: Config) => [one.auth.modes, one.auth.static, mayBringGitLabs(one)];
  const isSameAuth = before !== undefined && sameValue(proving(before.config), proving(config));
  const limited = ({ limits: { ip, ipBurst, user, userBurst }, auth: { failures } }: Config) => ({ ip, ipBurst, user, userBurst, failures });
  const isSameAdmission = before !== undefined && sameValue(limited(before.config), limited(config));
  const authenticators = () =>
    auth.modes.map((mode) => {
      if (mode === 'none') return new NoAuthenticator();
      if (mode === 'gitlab') return new GitLabTokens(gitlab, { everyBearer: !auth.modes.includes('static') });
      return new StaticTokens(auth.static, clock);
    });
  return {
    config,
    router: routerSettings(config, serverInfo),
    edge: { listen, limits },
    authentication: isSameAuth
      ? before.authentication
      : new Authentication(authenticators(), (mode, result) => instruments.inboundAuth(mode, result).add(), {
          extractor: front.extractor(config),
          beside: gitlab,
        }),
    admission: isSameAdmission
      ? before.admission
      : new Admission({ clock, limits: front.hasRates ? limits : undefined, failures: { max: auth.failures.max, windowMs: auth.failures.window } }),
    proxies: new TrustedProxies(listen.trustedProxies),
    guard: new Guard(listen, front),
    headers: new ResponseHeaders(listen),
    challenge: { publicUrl: listen.publicUrl, metadata: false, ...(front.challenge === undefined ? {} : { own: front.challenge }) },
  };
}

/**
 * Whether a caller who came in under the one configuration has lost under the other what proved who they are, or what it allowed.
 *
 * @param gitlab as it is now
 */
export function revokedBy(before: Config['auth'], after: Config['auth'], gitlab: Pick<GitLabUpstreams, 'admits'>): (principal: Principal) => boolean {
  const proofs = ({ modes, static: entries }: Config['auth']) =>
    new Map(modes.includes('static') ? entries.map((entry) => [entry.name, proofOf(entry)]) : []);
  const [was, is] = [proofs(before), proofs(after)];
  const loses = (mode: Config['auth']['modes'][number]) => before.modes.includes(mode) && !after.modes.includes(mode);
  return ({ issuer, subject }) => {
    if (issuer === LOCAL_ISSUER) return loses('none');
    if (issuer === STATIC_ISSUER) return was.get(subject) !== is.get(subject);
    // Everybody else came with a token of a GitLab.
    return loses('gitlab') || !gitlab.admits(issuer);
  };
}

/** Another token under the same name is another proof: whoever holds the old one must go. */
function proofOf({ token, sha256: hex, tenant, scopes }: Config['auth']['static'][number]): string {
  const digest = token === undefined ? (hex ?? '').toLowerCase() : digestOf(token);
  return JSON.stringify([digest, tenant, [...scopes].sort()]);
}

function digestOf(token: Secret): string {
  return sha256(token.reveal()).toString('hex');
}
