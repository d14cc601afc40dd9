import type { AuthContext, Authentication } from '../auth/authenticator.ts';
import type { ChallengeOptions } from '../auth/challenge.ts';
import type { Credential } from '../auth/credential.ts';
import type { Admission } from '../limit/admission.ts';
import type { Services } from '../router/services.ts';
import type { SecurityLog } from '../telemetry/security-log.ts';
import type { BroughtCredentials } from './brought-credentials.ts';
import type { Door } from './door.ts';
import type { Envelopes } from './envelope.ts';
import type { KeepAlive } from './keep-alive.ts';
import type { Listeners } from './listeners.ts';
import type { Metas } from './metas.ts';
import type { Sessions } from './sessions.ts';
import type { EdgeSettings } from './settings.ts';
import type { TrustedProxies } from './steps/address.ts';
import type { Guard } from './steps/guard.ts';
import type { ResponseHeaders } from './steps/response-headers.ts';
import type { Work } from './work.ts';

/** Which credentials the limits of addresses do not stop. */
export interface ProvenCredentials {
  has(credential: Credential, context: AuthContext): boolean;
  /** It was accepted just now. */
  prove(credential: Credential): void;
  /** It was refused just now. */
  forget(credential: Credential): void;
}

/** What every door shares; wired once in gateway.ts and passed as an argument. */
export interface Edge {
  readonly settings: EdgeSettings;
  readonly services: Services;
  readonly authentication: Authentication;
  readonly brought: BroughtCredentials;
  readonly admission: Admission;
  readonly knownGood: ProvenCredentials;
  readonly door: Door;
  readonly proxies: TrustedProxies;
  readonly guard: Guard;
  readonly headers: ResponseHeaders;
  readonly metas: Metas;
  readonly envelopes: Envelopes;
  readonly securityLog: SecurityLog;
  readonly challenge: ChallengeOptions;
  readonly sessions: Sessions;
  readonly keepAlive: KeepAlive;
  readonly listeners: Listeners;
  readonly work: Work;
  /** Aborts when running calls are cut short, too. */
  readonly stopped: AbortSignal;
  /** Says an unexpected error to the operator. */
  report(error: unknown): void;
}
