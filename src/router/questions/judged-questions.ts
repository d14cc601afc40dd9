import { type Caller, principalKey } from '../../core/caller.ts';
import type { Era } from '../../core/mcp.ts';
import type { Profile } from '../../upstream/profile.ts';
import type { Services } from '../services.ts';
import { guardQuestion, type Verdict } from './questions.ts';

/** Whom a question is for, and who asks. */
export interface Asked {
  readonly services: Services;
  readonly caller: Caller;
  readonly era: Era;
  readonly upstream: string;
  readonly profile: Profile;
}

/** What becomes of a question that the client could be asked; one that must not be asked is counted and audited (security class 17). */
export function judge({ services, caller, era, upstream, profile }: Asked, method: string, params: Buffer): Verdict {
  const { settings, instruments, audit, fingerprint } = services;
  const verdict = guardQuestion(method, params, { profile, blockSecretForms: settings.bridge.blockSecretForms });
  if (verdict.kind === 'ask') return verdict;
  const { issuer, subject } = caller.principal;
  instruments.bridgeRefused(verdict.why).add();
  audit.record({
    requestId: method,
    tenant: caller.tenant,
    principal: { fingerprint: fingerprint.of('principal', principalKey(caller.principal)), issuer, subject },
    era,
    method,
    tool: '',
    upstream,
    decision: `bridge/${verdict.why}`,
    outcome: 'refused',
    durationMs: 0,
    bytesIn: params.length,
    bytesOut: 0,
    ...(caller.sessionId === undefined ? {} : { session: fingerprint.of('session', caller.sessionId) }),
  });
  return verdict;
}
