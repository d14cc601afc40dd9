import { randomBytes } from 'node:crypto';
import { type Caller, principalKey } from '../../core/caller.ts';
import { TurnpikeError } from '../../core/errors.ts';
import type { Exchange } from '../../core/exchange.ts';
import type { Answer } from '../../core/mcp.ts';
import { invalidState, type State } from '../carried-state.ts';

export interface ParkingLimits {
  readonly perPrincipal: number;
  readonly perUpstream: number;
  readonly total: number;
}

/** A call that may wait here (`parked-call.ts`). */
export interface Parked {
  readonly id: string;
  readonly caller: Caller;
  readonly upstream: string;
  resume(exchange: Exchange, round: number, responses: Buffer | undefined): Promise<Answer>;
  /** Resolves when the call is over at its upstream. */
  end(reason: unknown): Promise<void>;
}

/** Answers that are kept for repeated retries, in bytes of all calls together; beyond, the oldest of whoever has most are dropped early. */
const MAX_REPLAY_BYTES = 64 * 1024 * 1024;

/**
 * The calls that wait in this process for an answer of their client (protocol.md section 10, "ML"). A place is held from the
 * first question to the end of the call; the record stays a little longer for repeated retries.
 */
export class ParkingLot {
  /** Names this process in sealed handles. */
  readonly node = randomBytes(8).toString('base64url');
  readonly #limits: () => ParkingLimits;
  readonly #records = new Map<string, Parked>();
  readonly #places = new Set<Parked>();
  readonly #taken = new Map<string, number>();
  /** Kept answers, the oldest first: the way to drop each, and whose it is. */
  readonly #replays = new Map<() => void, string>();
  /** Their bytes by principal. */
  readonly #kept = new Map<string, number>();
  #replayBytes = 0;

  /** @param limits asked at every admission: they may change */
  constructor(limits: ParkingLimits | (() => ParkingLimits)) {
    this.#limits = typeof limits === 'function' ? limits : () => limits;
  }

  /** Calls that hold a place. */
  get size(): number {
    return this.#places.size;
  }

  /** What is kept, repeated answers included. */
  get records(): number {
    return this.#records.size;
  }

  newId(): string {
    return randomBytes(16).toString('base64url');
  }

  /** Whether the call has, or now gets, a place. */
  admit(call: Parked): boolean {
    if (this.#places.has(call)) return true;
    const { perPrincipal, perUpstream, total } = this.#limits();
    const [principal, upstream] = groupsOf(call);
    const isFull = this.size >= total || this.#held(principal) >= perPrincipal || this.#held(upstream) >= perUpstream;
    if (isFull) return false;
    this.#places.add(call);
    this.#records.set(call.id, call);
    for (const group of [principal, upstream]) this.#taken.set(group, this.#held(group) + 1);
    return true;
  }

  /** The call is over; its record stays. */
  leave(call: Parked): void {
    if (!this.#places.delete(call)) return;
    for (const group of groupsOf(call)) {
      const left = this.#held(group) - 1;
      if (left > 0) this.#taken.set(group, left);
      else this.#taken.delete(group);
    }
  }

  forget(call: Parked): void {
    this.leave(call);
    this.#records.delete(call.id);
  }

  /** Counts an answer that is kept for a caller; `drop` lets go of it. Returns the function that drops it, once. */
  keep(caller: Caller, bytes: number, drop: () => void): () => void {
    const owner = principalOf(caller);
    const once = () => {
      if (!this.#replays.delete(once)) return;
      this.#count(owner, -bytes);
      drop();
    };
    this.#replays.set(once, owner);
    this.#count(owner, bytes);
    while (this.#replayBytes > MAX_REPLAY_BYTES) this.#dropOldestOf(this.#greatest());
    return once;
  }

  /**
   * A retry with a handle. Throws `upstream/lost` when its call waited in a process that is no more, `state/invalid` when
   * the handle is spent.
   */
  resume(
    exchange: Exchange,
    { node, id, round }: Extract<State, { kind: 'park' }>,
    upstream: string,
    responses: Buffer | undefined,
  ): Promise<Answer> {
    if (node !== this.node) throw new TurnpikeError('upstream/lost', 'The call that waited for this answer is gone.', { upstream, retryable: false });
    const call = this.#records.get(id);
    if (call === undefined) throw invalidState();
    return call.resume(exchange, round, responses);
  }

  /** Ends all that wait, or those of some callers (protocol.md section 10, "ML", step 9). */
  async end(reason: unknown, isMeant: (caller: Caller) => boolean = () => true): Promise<void> {
    await Promise.all([...this.#places].filter(({ caller }) => isMeant(caller)).map((call) => call.end(reason)));
  }

  #held(group: string): number {
    return this.#taken.get(group) ?? 0;
  }

  #count(owner: string, bytes: number): void {
    this.#replayBytes += bytes;
    const left = (this.#kept.get(owner) ?? 0) + bytes;
    if (left > 0) this.#kept.set(owner, left);
    else this.#kept.delete(owner);
  }

  /** Who keeps most: nobody's answers give way to those of somebody who has more. */
  #greatest(): string | undefined {
    let greatest: string | undefined;
    for (const [owner, bytes] of this.#kept) if (greatest === undefined || bytes > (this.#kept.get(greatest) ?? 0)) greatest = owner;
    return greatest;
  }

  #dropOldestOf(owner: string | undefined): void {
    const [oldest] = [...this.#replays].find(([, whose]) => whose === owner) ?? [];
    oldest?.();
  }
}

function principalOf(caller: Caller): string {
  return `p:${JSON.stringify([caller.tenant, principalKey(caller.principal)])}`;
}

function groupsOf({ caller, upstream }: Parked): readonly [string, string] {
  return [principalOf(caller), `u:${upstream}`];
}
