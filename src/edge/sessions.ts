import { randomBytes } from 'node:crypto';
import { type Caller, LOCAL_ISSUER, principalKey } from '../core/caller.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { JsonObject } from '../core/mcp.ts';
import type { Logger } from '../telemetry/log.ts';
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
  readonly logger?: Logger;
  /** Milliseconds after which one that is over is gone at the latest. Default 60 s. */
  readonly sweep?: number;
  /** Which part of all one principal may have. Default half. */
  readonly share?: number;
  /** What is answered when there is no place. */
  readonly full?: (max: number) => TurnpikeError;
}

const SWEEP_MS = 60_000;
const SHARE = 0.5;
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
  /** Of callers who name no session, by principal and tenant. */
  readonly #implicit = new Map<string, Session>();
  #sweep: Timer | undefined;
  #opened = 0;
  #expired = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#live.size;
  }

  /** How many there were since the start, and how many of them ended because nobody used them. */
  get totals(): { readonly opened: number; readonly expired: number } {
    return { opened: this.#opened, expired: this.#expired };
  }

  /** How many belong to somebody who proved who they are. */
  get authenticated(): number {
    let count = 0;
    for (const { caller } of this.#live.values()) if (caller.principal.issuer !== LOCAL_ISSUER) count++;
    return count;
  }

  /** Whether there is no place left for anybody. */
  get full(): boolean {
    return this.#live.size >= this.#options.max;
  }

  /**
   * Throws `session/full` at the cap, and for a principal who has half of all sessions already: nobody may take the last place
   * from everybody else. `local` is everybody, so it may have them all. The id is 256 random bits and no credential.
   */
  create(caller: Caller, version: string, capabilities: JsonObject, options: { readonly oldTransport?: boolean } = {}): Session {
    const { clock, patience } = this.#options;
    if (!this.#hasPlace(caller)) {
      this.#expire();
      if (!this.#hasPlace(caller))
        throw this.#options.full?.(this.#options.max) ?? new TurnpikeError('session/full', undefined, { retryAfter: RETRY_AFTER_S });
    }
    const owner = principalKey(caller.principal);
    this.#held.set(owner, (this.#held.get(owner) ?? 0) + 1);
    const id = randomBytes(32).toString('base64url');
    const session = new Session({ id, caller: { ...caller, sessionId: id }, version, capabilities, clock, patience, ...options });
    this.#live.set(id, session);
    this.#opened++;
    this.#sweep ??= clock.after(this.#options.sweep ?? SWEEP_MS, () => this.#tick());
    this.#options.logger?.debug('session created', { session: shown(id) });
    return session;
  }

  /** The one session of a caller for requests that name none; opened for the first of them. Throws as `create`. */
  implicit(caller: Caller, version: string): Session {
    const key = implicitKey(caller);
    const known = this.#implicit.get(key);
    if (known !== undefined) return this.own(known, caller);
    const session = this.create(caller, version, {});
    this.#implicit.set(key, session);
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
    session.used();
    if (caller.credential !== undefined) session.bring(caller.credential);
    return session;
  }

  end(session: Session): void {
    if (!this.#live.delete(session.id)) return;
    const key = implicitKey(session.caller);
    if (this.#implicit.get(key) === session) this.#implicit.delete(key);
    const owner = principalKey(session.caller.principal);
    const left = (this.#held.get(owner) ?? 1) - 1;
    if (left === 0) this.#held.delete(owner);
    else this.#held.set(owner, left);
    session.end();
    this.#options.logger?.debug('session closed', { session: shown(session.id) });
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
    const { max, share = SHARE } = this.#options;
    const own = principal.issuer === LOCAL_ISSUER ? max : Math.ceil(max * share);
    return this.#live.size < max && (this.#held.get(principalKey(principal)) ?? 0) < own;
  }

  #tick(): void {
    this.#sweep = undefined;
    this.#expire();
    if (this.#live.size > 0) this.#sweep = this.#options.clock.after(this.#options.sweep ?? SWEEP_MS, () => this.#tick());
  }

  #expire(): void {
    const before = this.#options.clock.monotonic() - this.#options.idle;
    for (const session of [...this.#live.values()]) {
      if (session.inUse || session.lastUse >= before) continue;
      this.#expired++;
      this.end(session);
    }
  }
}

function implicitKey({ principal, tenant }: Caller): string {
  return JSON.stringify([principalKey(principal), tenant]);
}

/** As much of an id as logs show. */
function shown(id: string): string {
  return id.slice(0, 8);
}

function unknown(): TurnpikeError {
  return new TurnpikeError('session/unknown', 'Session not found');
}
