import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { Entry, type EntrySnapshot, type Opened } from './entry.ts';
import { Holdings } from './holdings.ts';
import { EntryLease, type Lease, type LeaseEnd, type Outcome } from './lease.ts';
import { type Open, Opening } from './opening.ts';
import { type Claim, Places } from './places.ts';
import { type PoolKey, TOTAL } from './pool-key.ts';
import type { PoolOptions, RetireOptions } from './pool-options.ts';
import { type PoolStats, Tally } from './stats.ts';
import { FairQueue } from './waiters.ts';

/**
 * The one pool (architecture.md decision 4, aggregator.md section 6): at most one live value per key, shared by leases.
 *
 * - One open per key at a time; all callers join it, an abort only makes its caller leave, and the last one who leaves
 *   aborts it. Nobody waits for the open of another key. A failed open leaves nothing behind.
 * - A value with leases is not closed: it retires and closes after its last lease, or when `closeDelay` is over
 *   (then `lease.signal` aborts). Only `{now: true}` and dispose cut leases short.
 * - Full: the least recently used value without a lease gives way, the same owner's first; its successor opens after it
 *   is closed. If all are leased, callers wait up to `queueTimeout`, in turn between tenants.
 */
export class KeyedPool<V> {
  readonly #options: PoolOptions<V>;
  readonly #clock: Clock;
  /** What `acquire` may join. */
  readonly #openings = new Map<string, Opening<V>>();
  /** All openings, those that were retired before they ended included. */
  readonly #flying = new Set<Opening<V>>();
  readonly #places: Places<V>;
  readonly #holdings: Holdings<V>;
  readonly #queue = new FairQueue<Opening<V>>();
  readonly #tally: Tally;
  readonly #leaseEnd: LeaseEnd<V>;
  #closed = false;

  constructor(options: PoolOptions<V>) {
    this.#options = options;
    this.#clock = options.clock;
    this.#places = new Places(options.total);
    this.#tally = new Tally(options.name, options.observe);
    this.#holdings = new Holdings(options, this.#places, this.#tally, () => this.#pump());
    this.#leaseEnd = {
      ended: (entry, outcome) => this.#ended(entry, outcome),
      failed: (entry) => {
        this.#holdings.retire(entry, 'failed');
        this.#pump();
      },
    };
  }

  /**
   * A lease on the value of `key`, which `open` makes when there is none. Every lease must be released.
   * @throws what `open` throws; the reason of `signal`; `pool/exhausted` after `queueTimeout` without a place;
   * `pool/closed` after `drain` or dispose, or when what is being opened is retired `now`.
   */
  async acquire(key: PoolKey, open: Open<V>, signal: AbortSignal): Promise<Lease<V>> {
    if (this.#closed) throw this.#closedError();
    signal.throwIfAborted();
    const entry = this.#holdings.current.get(key.id);
    if (entry !== undefined) {
      const refusal = this.#refusal(entry);
      if (refusal === undefined) {
        this.#tally.count('hit');
        const lease = this.#lease(entry);
        this.#renewSoon(entry, key, open);
        return lease;
      }
      this.#holdings.retire(entry, refusal);
    }
    let opening = this.#openings.get(key.id);
    if (opening === undefined) {
      opening = this.#newOpening(key, open, false);
      this.#queue.push(key.tenant, opening);
      this.#pump();
    } else {
      this.#tally.count('join');
      this.#pump();
    }
    return this.#join(opening, signal);
  }

  /**
   * Takes in a value that is open already. Who had its key retires; an open under way reaches only those who wait for it.
   * @param grace milliseconds that the one replaced stays open though it has no lease, where there is room for both.
   * @throws `pool/exhausted` when every place is leased, `pool/closed`: then the value is still the caller's.
   */
  put(key: PoolKey, opened: Opened<V>, grace = 0): void {
    if (this.#closed) throw this.#closedError();
    const replaced = this.#holdings.current.get(key.id);
    const room = this.#places.plan(key);
    if (room === undefined && replaced?.state !== 'idle') throw this.#exhausted(key);
    if (replaced !== undefined) this.#holdings.retire(replaced, 'replaced', room?.length === 0 ? grace : 0);
    for (const claim of this.#places.plan(key) ?? []) {
      this.#holdings.close(claim.entry, 'evicted');
      this.#places.transfer(claim);
    }
    const opening = this.#openings.get(key.id);
    if (opening !== undefined) this.#detach(opening, 'replaced');
    const entry = new Entry<V>(key, this.#clock.now());
    this.#holdings.admit(entry);
    entry.start(opened);
    this.#tally.report('opened', key.id);
    this.#holdings.current.set(key.id, entry);
    this.#holdings.rest(entry);
    this.#pump();
  }

  /** The value that is handed out for `id` now, without a lease: it may be closed at any time. `use` counts against idleness. */
  find(id: string, use = false): V | undefined {
    const entry = this.#holdings.current.get(id);
    if (use && entry !== undefined) {
      entry.touch(this.#clock.now());
      if (entry.leases === 0) this.#holdings.rest(entry);
    }
    return entry?.value;
  }

  /** Whether `acquire` would find a place now: the value is there, is being opened, or something gives way to it. */
  hasRoom(key: PoolKey): boolean {
    return this.#holdings.current.has(key.id) || this.#openings.has(key.id) || this.#places.plan(key) !== undefined;
  }

  /** A lease on the value of `id`, if there is one that may be handed out. */
  leaseOf(id: string): Lease<V> | undefined {
    const entry = this.#holdings.current.get(id);
    const refusal = entry && this.#refusal(entry);
    if (entry === undefined || refusal === undefined) return entry && this.#lease(entry);
    this.#holdings.retire(entry, refusal);
    this.#pump();
    return undefined;
  }

  /** How a use of the value of `id` without a lease ended; counts as the end of a lease does. */
  record(id: string, outcome: Outcome): void {
    const entry = this.#holdings.current.get(id);
    if (entry === undefined) return;
    entry.record(outcome === 'transport-error');
    this.#spend(entry);
    this.#pump();
  }

  /** What is known of the entries that are handed out for their keys now, or are being opened to be. */
  current(): readonly EntrySnapshot[] {
    const openings = [...this.#openings.values()].filter(({ entry }) => !this.#holdings.current.has(entry.key.id));
    return [...this.#holdings.current.values(), ...openings.map(({ entry }) => entry)].map((entry) => entry.snapshot());
  }

  /**
   * Nobody gets the value of `id` any more; it closes after its leases, or at once. Resolves when it is gone, never rejects.
   * @param reason for operators.
   */
  retire(id: string, reason: string, options: RetireOptions = {}): Promise<void> {
    return this.retireWhere((entry) => entry.id === id, reason, options);
  }

  /**
   * As `retire`, for everything that `predicate` accepts, what is still being opened included. Without `now`, callers who
   * wait for such an open still get it; with `now` (session end, sign-out, delete) they get `pool/closed`.
   */
  async retireWhere(predicate: (entry: EntrySnapshot) => boolean, reason: string, options: RetireOptions = {}): Promise<void> {
    const openings = [...this.#flying].filter(({ entry }) => predicate(entry.snapshot()));
    const entries = [...this.#holdings.entries].filter((entry) => predicate(entry.snapshot()));
    for (const opening of openings) {
      if (options.now === true) this.#abandon(opening, new TurnpikeError('pool/closed', `the connection was closed: ${reason}`));
      else this.#detach(opening, reason);
    }
    for (const entry of entries) {
      if (options.now === true) this.#holdings.close(entry, 'forced', reason);
      else this.#holdings.retire(entry, reason);
      if (options.yields === true) this.#places.give(entry);
    }
    this.#pump();
    await Promise.all([...openings.map(({ entry }) => entry.gone), ...entries.map((entry) => entry.gone)]);
  }

  /** Retires the entry that holds exactly this value, if one does: for ends that are noticed without a lease. */
  fail(value: V, reason: string): void {
    for (const entry of [...this.#holdings.entries]) if (entry.hasValue && entry.value === value) this.#holdings.retire(entry, reason);
    this.#pump();
  }

  /** All entries that hold a place. */
  snapshot(): readonly EntrySnapshot[] {
    return [...this.#holdings.entries].map((entry) => entry.snapshot());
  }

  stats(): PoolStats {
    let leases = 0;
    for (const entry of this.#holdings.entries) leases += entry.leases;
    return { entries: this.#holdings.entries.size, idle: this.#places.spare.size, leases, queued: this.#queue.size, counts: this.#tally.counts };
  }

  /**
   * No new work; what runs ends by itself, `closeDelay` at most. Resolves when everything is gone; aborting `signal`
   * cuts the rest short. Callers who wait for a place are turned away, opens in the air reach their callers.
   */
  async drain(signal: AbortSignal): Promise<void> {
    this.#closed = true;
    for (const opening of [...this.#queue]) this.#abandon(opening, this.#closedError());
    const force = () => void this.#forceAll();
    signal.addEventListener('abort', force, { once: true });
    if (signal.aborted) force();
    await this.retireWhere(() => true, 'the pool drains');
    signal.removeEventListener('abort', force);
  }

  /** Closes everything at once, leased or not. Resolves when all is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#forceAll();
  }

  #forceAll(): Promise<void> {
    return this.retireWhere(() => true, 'the pool is closed', { now: true });
  }

  #closedError(): TurnpikeError {
    return new TurnpikeError('pool/closed', `pool ${this.#options.name} is closed`);
  }

  #exhausted(key: PoolKey): TurnpikeError {
    const cap = this.#places.obstacle(key) ?? { name: TOTAL, limit: this.#options.total };
    const text = this.#options.exhausted?.(key, cap) ?? `pool ${this.#options.name} is full (${cap.name}, limit ${cap.limit}); retry later`;
    this.#tally.report('exhausted', key.id, { reason: cap.name });
    return new TurnpikeError('pool/exhausted', text, { retryable: true });
  }

  /** Why an entry must not be handed out. */
  #refusal(entry: Entry<V>): 'expired' | 'unusable' | undefined {
    if (entry.expiresAt <= this.#clock.now()) return 'expired';
    return this.#options.usable?.(entry.value) === false ? 'unusable' : undefined;
  }

  #lease(entry: Entry<V>): Lease<V> {
    entry.beginLease(this.#clock.now());
    this.#places.spare.delete(entry);
    return new EntryLease(entry, this.#leaseEnd);
  }

  #ended(entry: Entry<V>, outcome: Outcome): void {
    if (entry.state === 'closed') return;
    entry.endLease(this.#clock.now(), outcome === 'transport-error');
    if (entry.state === 'draining') {
      if (entry.leases === 0) this.#holdings.close(entry, 'closed');
    } else {
      if (entry.leases === 0) this.#holdings.rest(entry);
      this.#spend(entry);
    }
    this.#pump();
  }

  #spend(entry: Entry<V>): void {
    if (entry.errorCount >= (entry.key.maxErrorCount ?? this.#options.maxErrorCount)) this.#holdings.retire(entry, 'errors');
  }

  #newOpening(key: PoolKey, open: Open<V>, background: boolean): Opening<V> {
    const opening = new Opening(new Entry<V>(key, this.#clock.now()), open, background);
    this.#flying.add(opening);
    this.#openings.set(key.id, opening);
    return opening;
  }

  #join(opening: Opening<V>, signal: AbortSignal): Promise<Lease<V>> {
    const { key } = opening.entry;
    const { clock, queueTimeout } = this.#options;
    const queued = !this.#holdings.entries.has(opening.entry);
    if (queued && queueTimeout <= 0) {
      const error = this.#exhausted(key);
      this.#abandon(opening, error);
      return Promise.reject(error);
    }
    if (queued) this.#tally.report('queued', key.id);
    return opening.join(queued, {
      signal,
      clock,
      queueTimeout,
      exhausted: () => this.#exhausted(key),
      left: (reason) => {
        if (opening.wanted) return;
        this.#abandon(opening, reason);
        this.#pump();
      },
    });
  }

  /** Gives places to whoever waits, as far as there are any. Called after everything that may make room. */
  #pump(): void {
    for (;;) {
      const next = this.#queue.take((opening) => this.#places.plan(opening.entry.key));
      if (next === undefined) return;
      this.#grant(next.item, next.answer);
    }
  }

  /** Moves the claimed places to the opening, which starts when their holders are gone. */
  #grant(opening: Opening<V>, claims: readonly Claim<V>[]): void {
    const { entry } = opening;
    for (const claim of claims) {
      this.#holdings.close(claim.entry, 'evicted');
      this.#places.transfer(claim);
    }
    this.#holdings.admit(entry);
    opening.placed();
    void this.#run(
      opening,
      claims.map((claim) => claim.entry.gone),
    );
  }

  async #run(opening: Opening<V>, room: readonly Promise<void>[]): Promise<void> {
    const { entry, controller } = opening;
    try {
      await Promise.all(room);
      controller.signal.throwIfAborted();
      const opened = await opening.open(controller.signal);
      // Everybody left meanwhile: nobody else knows this value, so it ends here.
      if (entry.state === 'closed') await this.#holdings.destroy(entry, opened.value);
      else this.#opened(opening, opened);
    } catch (error) {
      if (entry.state !== 'closed') this.#openFailed(opening, error);
    }
    if (entry.state === 'closed' && !entry.hasValue) this.#holdings.finish(entry);
  }

  #opened(opening: Opening<V>, opened: { value: V; expiresAt?: number }): void {
    const { entry } = opening;
    const replaced = this.#holdings.current.get(entry.key.id);
    this.#settle(opening);
    entry.start(opened);
    this.#tally.report(opening.background ? 'renewed' : 'opened', entry.key.id);
    if (opening.retiredFor === undefined) this.#holdings.current.set(entry.key.id, entry);
    opening.deliver(() => this.#lease(entry));
    if (entry.leases === 0) this.#holdings.rest(entry);
    if (opening.retiredFor !== undefined) this.#holdings.retire(entry, opening.retiredFor);
    else if (replaced !== undefined) this.#holdings.retire(replaced, 'renewed');
    this.#pump();
  }

  #openFailed(opening: Opening<V>, error: unknown): void {
    this.#settle(opening);
    opening.entry.close();
    this.#tally.report(opening.background ? 'renew-failed' : 'open-failed', opening.entry.key.id, { error });
    opening.refuse(error);
  }

  /** Nobody wants it any more: the open is aborted and its place goes when it has ended. */
  #abandon(opening: Opening<V>, reason: unknown): void {
    const { entry } = opening;
    if (!this.#flying.has(opening)) return;
    this.#settle(opening);
    entry.close();
    opening.refuse(reason);
    if (this.#holdings.entries.has(entry)) this.#holdings.leave(entry);
    else entry.resolveGone();
    opening.controller.abort(reason);
  }

  /** Who waits for it still gets it; who comes now opens anew. */
  #detach(opening: Opening<V>, reason: string): void {
    opening.retiredFor ??= reason;
    opening.background = false;
    this.#forget(opening);
    if (!opening.wanted) this.#abandon(opening, new TurnpikeError('pool/closed', `the connection was closed: ${reason}`));
  }

  #settle(opening: Opening<V>): void {
    opening.deadline?.cancel();
    this.#flying.delete(opening);
    this.#queue.remove(opening.entry.key.tenant, opening);
    this.#forget(opening);
  }

  #forget(opening: Opening<V>): void {
    const { id } = opening.entry.key;
    if (this.#openings.get(id) === opening) this.#openings.delete(id);
  }

  /** Near expiry: the current value is handed out, its successor is opened once beside it, if there is room. */
  #renewSoon(entry: Entry<V>, key: PoolKey, open: Open<V>): void {
    const { renewBefore = 0 } = this.#options;
    if (entry.expiresAt - this.#clock.now() > renewBefore || renewBefore <= 0 || this.#openings.has(key.id)) return;
    const now = this.#clock.monotonic();
    const claims = now < entry.renewNotBefore ? undefined : this.#places.plan(key);
    if (claims === undefined) return;
    // A renewal that fails is not repeated by every call.
    entry.renewNotBefore = now + renewBefore / 10;
    const opening = this.#newOpening(key, open, true);
    opening.deadline = this.#clock.after(renewBefore, () => {
      opening.background = false;
      if (opening.wanted) return;
      this.#abandon(opening, new TurnpikeError('upstream/timeout', 'the renewal took too long'));
      this.#pump();
    });
    this.#grant(opening, claims);
  }
}
