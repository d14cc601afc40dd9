import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Caller, type Principal, principalKey } from './core/caller.ts';
import type { ErrorCode } from './core/errors.ts';
import { ASSUMED_LEGACY_VERSION, type JsonObject } from './core/mcp.ts';
import { type Message, MessageError } from './edge/classify.ts';
import type { Door } from './edge/door.ts';
import type { Session } from './edge/session.ts';
import type { FrontParts, StandaloneSettings } from './front.ts';
import { FixedWindows, overRate } from './limit/fixed-window.ts';

const DRAINING = 'Server is shutting down';

/** The ways of `turnpike gitlab` (gitlab.md 2.4 to 2.6): a budget for each minute, sessions that nobody asked for, and its numbers. */
export class StandaloneDoor implements Door {
  readonly draining = DRAINING;
  readonly #settings: StandaloneSettings;
  readonly #parts: FrontParts;
  readonly #windows: FixedWindows;
  readonly #startedAt: number;
  /** Sessions that were told that they cannot choose. */
  readonly #told = new WeakSet<Session>();
  #authFailures = 0;
  #processed = 0;
  #rejectedByRate = 0;
  #rejectedByCapacity = 0;

  constructor(settings: StandaloneSettings, parts: FrontParts) {
    const { clock } = parts;
    this.#settings = settings;
    this.#parts = parts;
    this.#windows = new FixedWindows({ clock, max: settings.maxRequestsPerMinute });
    this.#startedAt = clock.monotonic();
  }

  /** Every request counts; what a client only says, or answers, does not. */
  charge(principal: Principal, messages: readonly Message[], response: ServerResponse): void {
    let units = 0;
    for (const { kind } of messages) if (kind === 'request') units++;
    if (units === 0) return;
    const budget = this.#windows.take(principalKey(principal), units);
    const { allowed, limit, remaining, reset } = budget;
    response.setHeader('ratelimit-limit', String(limit));
    response.setHeader('ratelimit-remaining', String(remaining));
    response.setHeader('ratelimit-reset', String(Math.ceil(reset)));
    if (allowed) this.#processed += units;
    else {
      this.#rejectedByRate++;
      const [only] = messages.length === 1 ? messages : [];
      const { code, message, details } = overRate(budget);
      throw new MessageError(only?.kind === 'request' ? only.id : undefined, code, message, details);
    }
  }

  sessionFor(caller: Caller, messages: readonly Message[]): Session | undefined {
    const asks = this.#settings.remote && messages.some(({ kind }) => kind !== 'response');
    return asks ? this.#parts.sessions.implicit(caller, ASSUMED_LEGACY_VERSION) : undefined;
  }

  entered(session: Session, { headers }: IncomingMessage): void {
    if (this.#settings.dynamic || (headers['x-gitlab-api-url'] ?? '') === '' || this.#told.has(session)) return;
    this.#told.add(session);
    this.#parts.logger.info('X-GitLab-API-URL is ignored: ENABLE_DYNAMIC_API_URL is false');
  }

  credentialRefused(): void {
    this.#authFailures++;
  }

  refused(code: ErrorCode): void {
    if (code === 'session/full') this.#rejectedByCapacity++;
  }

  /** `/metrics` (gitlab.md 2.6): these keys and no others. */
  summary(): JsonObject {
    const { clock, config, sessions } = this.#parts;
    const { limits } = config();
    const { opened, expired } = sessions.totals;
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
    return {
      activeSessions: sessions.size,
      totalSessions: opened,
      expiredSessions: expired,
      authFailures: this.#authFailures,
      requestsProcessed: this.#processed,
      rejectedByRateLimit: this.#rejectedByRate,
      rejectedByCapacity: this.#rejectedByCapacity,
      authenticatedSessions: sessions.authenticated,
      uptime: (clock.monotonic() - this.#startedAt) / 1000,
      memoryUsage: { rss, heapTotal, heapUsed, external },
      config: {
        maxSessions: limits.sessions,
        maxRequestsPerMinute: this.#settings.maxRequestsPerMinute,
        sessionTimeoutSeconds: limits.sessionIdle / 1000,
        remoteAuthEnabled: this.#settings.remote,
      },
    };
  }
}
