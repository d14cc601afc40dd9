import { KnownGood } from './auth/known-good.ts';
import { MalformedCredentialError } from './builtin/gitlab/pool/errors.ts';
import { TurnpikeError } from './core/errors.ts';
import type { ProvenCredentials } from './edge/edge.ts';
import type { Front, FrontParts, StandaloneSettings } from './front.ts';
import { standaloneExtractor } from './gitlab-credentials.ts';
import { StandaloneDoor } from './standalone-door.ts';

/** Seconds, where nothing else says when to come again (gitlab.md 2.5). */
const RETRY_AFTER = 5;
/** An expired session frees its place within a second (gitlab.md 2.5). */
const SWEEP_MS = 500;

/** `turnpike gitlab` over HTTP (gitlab.md 1.1, 1.4, 2.4 to 2.6). */
export function standaloneFront(settings: StandaloneSettings): Front {
  let door: StandaloneDoor | undefined;
  const doorOf = (parts: FrontParts) => {
    door ??= new StandaloneDoor(settings, parts);
    return door;
  };
  return {
    extractor: () => (settings.remote ? standaloneExtractor : undefined),
    ...(settings.remote ? { challenge } : {}),
    hasRates: false,
    wildcardIsJson: true,
    sessions: {
      sweep: SWEEP_MS,
      share: 1,
      full: (max) =>
        new TurnpikeError('session/full', 'Server capacity reached', {
          data: { detail: `Maximum ${max} concurrent sessions allowed. Please try again later.` },
          retryAfter: RETRY_AFTER,
        }),
    },
    edge: (parts) => ({
      door: doorOf(parts),
      knownGood: settings.remote ? pooled(parts) : new KnownGood(parts),
    }),
    ops: (parts) => ({ summary: () => doorOf(parts).summary(), freeFromLoopback: true }),
    problems: ({ sessions }) => (sessions.full ? { sessions: 'full' } : {}),
  };
}

/** One that is in use at the very instance that is meant (gitlab.md 1.3): at another one, it is as new as any other. */
function pooled({ gitlab }: FrontParts): ProvenCredentials {
  return { has: (credential, context) => gitlab.isPooled(credential, context), prove() {}, forget() {} };
}

/** Nobody can sign in here: there is nothing to be discovered. */
function challenge(error: TurnpikeError): string | undefined {
  if (error.code === 'auth/missing' || error instanceof MalformedCredentialError) return 'Bearer';
  return error.code === 'auth/invalid' ? 'Bearer error="invalid_token"' : undefined;
}
