import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Entry } from './entry.ts';
import type { Places } from './places.ts';
import type { PoolOptions } from './pool-options.ts';
import type { Tally } from './stats.ts';
import { Sweep } from './sweep.ts';

const CLOSE_TIMEOUT = 30_000;

/** Why an entry closes, as it is counted. */
export type CloseKind = 'evicted' | 'idle' | 'expired' | 'closed' | 'forced';

/**
 * All entries that are not gone, and how they go: retire (no new leases), close (end the value), leave (the place may be
 * claimed), finish (nothing is left). Nothing here waits for anything.
 */
export class Holdings<V> {
  /** All entries that are not gone yet. */
  readonly entries = new Set<Entry<V>>();
  /** What may be handed out. */
  readonly current = new Map<string, Entry<V>>();
  readonly #options: PoolOptions<V>;
  readonly #clock: Clock;
  readonly #places: Places<V>;
  readonly #tally: Tally;
  readonly #sweep: Sweep;
  readonly #onRoom: () => void;

  /** @param onRoom called when there may be room for somebody who waits, for what time brings; callers of the methods see to it themselves. */
  constructor(options: PoolOptions<V>, places: Places<V>, tally: Tally, onRoom: () => void) {
    this.#options = options;
    this.#clock = options.clock;
    this.#places = places;
    this.#tally = tally;
    this.#onRoom = onRoom;
    this.#sweep = new Sweep(options.clock, options.sweepInterval, () => this.#evictIdle());
  }

  admit(entry: Entry<V>): void {
    this.#places.take(entry);
    this.entries.add(entry);
    this.#sweep.arm();
  }

  /** The last lease ended, or the value was opened for nobody. */
  rest(entry: Entry<V>): void {
    entry.idleSince = this.#clock.monotonic();
    // Again at the end, for one that was used without a lease: the order is that of eviction.
    this.#places.spare.delete(entry);
    this.#places.spare.add(entry);
  }

  /**
   * No new leases; closes after the last one or `closeDelay`. Without leases it closes now, or after `grace` milliseconds,
   * for values that are used without one.
   */
  retire(entry: Entry<V>, reason: string, grace = 0): void {
    if (entry.state !== 'idle' && entry.state !== 'active') return;
    this.#tally.report('retired', entry.key.id, { reason });
    const idle = entry.state === 'idle';
    if (idle && grace <= 0) {
      this.close(entry, 'closed');
      return;
    }
    entry.drain();
    // In its grace it stays spare: it gives way before one that is handed out.
    this.#uncurrent(entry);
    const delay = grace > 0 ? grace : (entry.key.closeDelay ?? this.#options.closeDelay);
    entry.timer = this.#clock.after(delay, () => {
      this.close(entry, idle ? 'closed' : 'forced', reason);
      this.#onRoom();
    });
  }

  close(entry: Entry<V>, kind: CloseKind, reason?: string): void {
    if (entry.state === 'closed' || entry.state === 'starting') return;
    const leased = entry.leases > 0;
    entry.close();
    this.#uncurrent(entry);
    this.#places.spare.delete(entry);
    this.leave(entry);
    if (kind !== 'closed') this.#tally.report(kind, entry.key.id, reason === undefined ? {} : { reason });
    void this.destroy(entry, entry.value).then(() => this.finish(entry));
    // Last, because its listeners run now and may call the pool.
    if (leased) entry.forced.abort(new TurnpikeError('pool/closed', `the connection was closed: ${reason ?? kind}`));
  }

  /** The place may be claimed from now on; whoever claims it waits until the entry is gone. */
  leave(entry: Entry<V>): void {
    this.#places.leaving.add(entry);
    entry.timer?.cancel();
    entry.timer = this.#clock.after(this.#options.closeTimeout ?? CLOSE_TIMEOUT, () => {
      this.#tally.report('close-overdue', entry.key.id);
      this.finish(entry);
    });
  }

  /** Ends a value. Never rejects. */
  async destroy(entry: Entry<V>, value: V): Promise<void> {
    // Not in the caller's stack: `close` may call the pool, which is in the middle of something.
    await Promise.resolve();
    try {
      await this.#options.close(value);
      this.#tally.report('closed', entry.key.id);
    } catch (error) {
      this.#tally.report('close-failed', entry.key.id, { error });
    }
  }

  /** Nothing is left of the entry. Idempotent: an overdue close may end after all. */
  finish(entry: Entry<V>): void {
    if (!this.entries.delete(entry)) return;
    entry.timer?.cancel();
    this.#places.leaving.delete(entry);
    this.#places.give(entry);
    entry.resolveGone();
    this.#onRoom();
    if (this.entries.size === 0) this.#sweep.disarm();
  }

  /** By identity: a late event of a replaced entry must not remove its successor. */
  #uncurrent(entry: Entry<V>): void {
    const { id } = entry.key;
    if (this.current.get(id) === entry) this.current.delete(id);
  }

  #evictIdle(): void {
    const now = this.#clock.monotonic();
    for (const entry of [...this.#places.spare]) {
      if (entry.state === 'draining') continue;
      if (entry.expiresAt <= this.#clock.now()) this.close(entry, 'expired');
      else if (now - entry.idleSince >= (entry.key.idleTimeout ?? this.#options.idleTimeout)) this.close(entry, 'idle');
    }
    this.#onRoom();
  }
}
