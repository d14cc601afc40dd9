import { randomBytes } from 'node:crypto';
import { type Caller, LOCAL_ISSUER, principalKey } from '../core/caller.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { JsonObject } from '../core/mcp.ts';
import { Session } from './session.ts';

export interface SessionsOptions {
  readonly clock: Clock;
  /** `limits.sessions`. */
  readonly max: number;
  /** `limits.sessionIdle`, milliseconds. */
  readonly idle: number;
  /** As `SessionOptions.patience`. */
  readonly patience: number;
  /** A session ended: its upstream connections go, at once. */
  readonly onEnd: (session: Session) => void;
}

const SWEEP_MS = 60_000;
const RETRY_AFTER_S = 30;

/**
 * The live legacy sessions by id. Not a `KeyedPool`: a full pool makes room by closing the least recently used entry, and a
 * flood of sessions must never close somebody else's (docs/adr/0002).
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #live = new Map<string, Session>();
  /** How many of them each principal has. */
  readonly #held = new Map<string, number>();
  #sweep: Timer | undefined;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#live.size;
  }

  /**
   * Throws `session/full` at the cap, and for a principal who has half of all sessions already: nobody may take the last place
   * from everybody else. `local` is everybody, so it may have them all. The id is 256 random bits and no credential.
   */
  create(caller: Caller, version: string, capabilities: JsonObject, options: { readonly oldTransport?: boolean } = {}): Session {
    const { clock, patience } = this.#options;
    if (!this.#hasPlace(caller)) {
      this.#expire();
      if (!this.#hasPlace(caller)) throw new TurnpikeError('session/full', undefined, { retryAfter: RETRY_AFTER_S });
    }
    const owner = principalKey(caller.principal);
    this.#held.set(owner, (this.#held.get(owner) ?? 0) + 1);
    const id = randomBytes(32).toString('base64url');
    const session = new Session({ id, caller: { ...caller, sessionId: id }, version, capabilities, clock, patience, ...options });
    this.#live.set(id, session);
    this.#sweep ??= clock.after(SWEEP_MS, () => this.#tick());
    return session;
  }

  /** Whether an id names a live session (check 4: no allocation, no counter). Throws `session/unknown`. */
  find(id: string): Session {
    const session = this.#live.get(id);
    if (session === undefined) throw unknown();
    return session;
  }

  /** The session if it is this principal's; another's is answered as an unknown one (security class 5). */
  own(session: Session, caller: Caller): Session {
    const isOwner = principalKey(session.caller.principal) === principalKey(caller.principal) && session.caller.tenant === caller.tenant;
    if (!isOwner || session.ended.aborted) throw unknown();
    session.lastUse = this.#options.clock.monotonic();
    return session;
  }

  end(session: Session): void {
    if (!this.#live.delete(session.id)) return;
    const owner = principalKey(session.caller.principal);
    const left = (this.#held.get(owner) ?? 1) - 1;
    if (left === 0) this.#held.delete(owner);
    else this.#held.set(owner, left);
    session.end();
    this.#options.onEnd(session);
    if (this.#live.size > 0) return;
    this.#sweep?.cancel();
    this.#sweep = undefined;
  }

  /** Ends those of callers who may not come in any more. */
  endOf(isGone: (caller: Caller) => boolean): void {
    for (const session of [...this.#live.values()]) if (isGone(session.caller)) this.end(session);
  }

  endAll(): void {
    for (const session of [...this.#live.values()]) this.end(session);
  }

  #hasPlace({ principal }: Caller): boolean {
    const { max } = this.#options;
    const share = principal.issuer === LOCAL_ISSUER ? max : Math.ceil(max / 2);
    return this.#live.size < max && (this.#held.get(principalKey(principal)) ?? 0) < share;
  }

  #tick(): void {
    this.#sweep = undefined;
    this.#expire();
    if (this.#live.size > 0) this.#sweep = this.#options.clock.after(SWEEP_MS, () => this.#tick());
  }

  #expire(): void {
    const before = this.#options.clock.monotonic() - this.#options.idle;
    for (const session of [...this.#live.values()]) if (!session.inUse && session.lastUse < before) this.end(session);
  }
}

function unknown(): TurnpikeError {
  return new TurnpikeError('session/unknown', 'Session not found');
}
