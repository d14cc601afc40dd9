import type { Timer } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { PoolKey } from './pool-key.ts';

/** What `open` gives: the value, and until when it may be handed out (milliseconds since the epoch). */
export interface Opened<V> {
  readonly value: V;
  readonly expiresAt?: number;
}

/** aggregator.md section 6, "Metadata". Entries that drain or are closed are never handed out. */
export type EntryState = 'starting' | 'active' | 'idle' | 'draining' | 'closed';

const NEXT: Readonly<Record<EntryState, readonly EntryState[]>> = {
  starting: ['idle', 'closed'],
  idle: ['active', 'draining', 'closed'],
  active: ['idle', 'draining', 'closed'],
  draining: ['closed'],
  closed: [],
};

/** What may be told about an entry: no value, no secret. Times are milliseconds since the epoch. */
export interface EntrySnapshot {
  readonly id: string;
  readonly owner: string;
  readonly tenant: string;
  readonly state: EntryState;
  readonly createdAt: number;
  readonly lastUsedAt: number;
  /** Leases handed out so far. */
  readonly requestCount: number;
  /** Consecutive transport errors. */
  readonly errorCount: number;
  /** Leases out now. */
  readonly leases: number;
  readonly expiresAt?: number;
}

/** One value of the pool and what is known about it. Knows its states; the pool decides when they change. */
export class Entry<V> {
  readonly key: PoolKey;
  readonly createdAt: number;
  /** Resolves when nothing of the value is left (or closing it took too long). Never rejects. */
  readonly gone: Promise<void>;
  readonly resolveGone: () => void;
  /** Aborts when the value is closed under its leases. */
  readonly forced = new AbortController();
  /** End of the grace period of a draining entry, then of the time that closing may take. */
  timer: Timer | undefined;
  /** Names of the caps it counts against now. */
  readonly held = new Set<string>();
  /** Monotonic milliseconds before which no further renewal is tried. */
  renewNotBefore = Number.NEGATIVE_INFINITY;
  /** Monotonic milliseconds of the end of the last lease. */
  idleSince = 0;
  #state: EntryState = 'starting';
  #opened: Opened<V> | undefined;
  #lastUsedAt: number;
  #leases = 0;
  #requestCount = 0;
  #errorCount = 0;

  constructor(key: PoolKey, now: number) {
    this.key = key;
    this.createdAt = now;
    this.#lastUsedAt = now;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    this.resolveGone = resolve;
  }

  get state(): EntryState {
    return this.#state;
  }

  get leases(): number {
    return this.#leases;
  }

  get errorCount(): number {
    return this.#errorCount;
  }

  get expiresAt(): number {
    return this.#opened?.expiresAt ?? Number.POSITIVE_INFINITY;
  }

  /** The value once it is open. Throws `internal` before. */
  get value(): V {
    if (this.#opened === undefined) throw new TurnpikeError('internal', undefined, { reason: `pool entry is ${this.#state}, it has no value` });
    return this.#opened.value;
  }

  get hasValue(): boolean {
    return this.#opened !== undefined;
  }

  start(opened: Opened<V>): void {
    this.#to('idle');
    this.#opened = opened;
  }

  beginLease(now: number): void {
    if (this.#state !== 'active') this.#to('active');
    this.#leases++;
    this.#requestCount++;
    this.#lastUsedAt = now;
  }

  /** Ends one lease; a success clears the error count, a failure adds to it. */
  endLease(now: number, failed: boolean): void {
    this.#leases--;
    this.#lastUsedAt = now;
    this.#errorCount = failed ? this.#errorCount + 1 : 0;
    if (this.#leases === 0 && this.#state === 'active') this.#to('idle');
  }

  /** Was used without a lease. */
  touch(now: number): void {
    this.#lastUsedAt = now;
  }

  /** How a use without a lease ended; counts as `endLease` does. */
  record(failed: boolean): void {
    this.#errorCount = failed ? this.#errorCount + 1 : 0;
  }

  drain(): void {
    this.#to('draining');
  }

  /** Leases that are still out count no more. */
  close(): void {
    this.#to('closed');
    this.#leases = 0;
  }

  snapshot(): EntrySnapshot {
    const expiresAt = this.#opened?.expiresAt;
    return {
      id: this.key.id,
      owner: this.key.owner,
      tenant: this.key.tenant,
      state: this.#state,
      createdAt: this.createdAt,
      lastUsedAt: this.#lastUsedAt,
      requestCount: this.#requestCount,
      errorCount: this.#errorCount,
      leases: this.#leases,
      ...(expiresAt === undefined ? {} : { expiresAt }),
    };
  }

  #to(state: EntryState): void {
    if (!NEXT[this.#state].includes(state)) {
      throw new TurnpikeError('internal', undefined, { reason: `pool entry cannot go from ${this.#state} to ${state}` });
    }
    this.#state = state;
  }
}
