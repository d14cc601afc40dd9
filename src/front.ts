import type { Extractor } from './auth/authenticator.ts';
import type { ChallengeOptions } from './auth/challenge.ts';
import { KnownGood } from './auth/known-good.ts';
import type { Config } from './config/schema.ts';
import type { Clock } from './core/clock.ts';
import { GatewayDoor } from './edge/door.ts';
import type { Edge, ProvenCredentials } from './edge/edge.ts';
import type { OpsOptions } from './edge/ops.ts';
import type { Sessions, SessionsOptions } from './edge/sessions.ts';
import { gatewayExtractor } from './gitlab-credentials.ts';
import type { GitLabOnDemand } from './gitlab-on-demand.ts';
import type { Admission } from './limit/admission.ts';
import type { Logger } from './telemetry/log.ts';

/** What the standalone GitLab server was told, beside its configuration (gitlab.md 2.1). */
export interface StandaloneSettings {
  readonly maxRequestsPerMinute: number;
  /** `REMOTE_AUTHORIZATION` */
  readonly remote: boolean;
  /** `ENABLE_DYNAMIC_API_URL` */
  readonly dynamic: boolean;
}

/** What a front may ask of the gateway behind it. */
export interface FrontParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: () => Config;
  readonly sessions: Sessions;
  readonly admission: () => Admission;
  readonly gitlab: Pick<GitLabOnDemand, 'isPooled'>;
}

/** How requests come in, where that is not the same for everybody: the gateway's own ways, or those of the standalone server (gitlab.md 2). */
export interface Front {
  extractor(config: Config): Extractor | undefined;
  readonly challenge?: NonNullable<ChallengeOptions['own']>;
  /** Whether `limits` hold: rates of addresses and principals. */
  readonly hasRates: boolean;
  /** A client that takes anything gets JSON, and no stream. */
  readonly wildcardIsJson: boolean;
  readonly sessions: Pick<SessionsOptions, 'sweep' | 'share' | 'full'>;
  edge(parts: FrontParts): Pick<Edge, 'door' | 'knownGood'>;
  ops(parts: FrontParts): Pick<OpsOptions, 'summary' | 'freeFromLoopback'>;
  /** What is not ready besides, by name. */
  problems(parts: FrontParts): Readonly<Record<string, string>>;
}

export const GATEWAY_FRONT: Front = Object.freeze({
  extractor: gatewayExtractor,
  hasRates: true,
  wildcardIsJson: false,
  sessions: {},
  edge({ clock, gitlab, config, admission }) {
    const known = new KnownGood({ clock });
    const knownGood: ProvenCredentials = {
      // One of GitLab's that was not used for some minutes is still in use as long as its server is (gitlab.md 1.3).
      has(credential, context) {
        const { beside } = credential;
        // Who is let in by a Bearer must not try tokens of GitLab at will.
        if (beside !== undefined) return known.has(credential) && gitlab.isPooled(beside, context);
        return known.has(credential) || (config().auth.modes.includes('gitlab') && gitlab.isPooled(credential, context));
      },
      prove: (credential) => known.prove(credential),
      forget(credential) {
        // It may have been the other one that was refused.
        if (credential.beside === undefined) known.forget(credential);
      },
    };
    return { knownGood, door: new GatewayDoor(admission) };
  },
  ops: () => ({}),
  problems: () => ({}),
} satisfies Front);
