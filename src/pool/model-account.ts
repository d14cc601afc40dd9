import { ManualClock } from '../core/manual-clock.ts';
import type { Opened } from './entry.ts';
import { KeyedPool } from './keyed-pool.ts';
import type { Lease } from './lease.ts';
import type { PoolKey } from './pool-key.ts';

/*
 * Random histories against an account that is kept beside the pool, by the rules of architecture.md decision 4 and
 * aggregator.md section 6. The account sees only what goes in and out: opens, closes, leases, time.
 */

const IDLE = 100;
const SWEEP = 30;
const CLOSE_DELAY = 40;
export const MAX_ERRORS = 2;

export interface World {
  readonly total: number;
  readonly narrow: number;
  readonly queueTimeout: number;
  readonly renewBefore: number;
}

interface Thing {
  readonly key: PoolKey;
  readonly expiresAt: number;
  leases: number;
  errors: number;
  idleSince: number;
  /** Step and time of the moment from which nobody may get it any more. */
  retired?: { step: number; at: number };
  forced: boolean;
  closing?: () => void;
  closed: boolean;
}

interface Flight {
  readonly key: PoolKey;
  readonly signal: AbortSignal;
  readonly heedsAbort: boolean;
  readonly lifetime: number;
  readonly settle: PromiseWithResolvers<Opened<Thing>>;
  retired?: { step: number; at: number };
  forced: boolean;
  done: boolean;
}

export interface Call {
  readonly key: PoolKey;
  readonly step: number;
  readonly controller: AbortController;
  lease?: Lease<Thing>;
  error?: unknown;
  settled: boolean;
  released: boolean;
  /** Made when the value it got was near its expiry. */
  renews: boolean;
  /** Its open was retired before it began. */
  retired?: { step: number; at: number };
}

export type Op =
  | { readonly op: 'acquire'; readonly key: number; readonly heedsAbort: boolean; readonly lifetime: number }
  | { readonly op: 'opened' | 'openFailed' | 'closed' | 'closeFailed' | 'abort' | 'release' | 'error' | 'fail' | 'exit'; readonly pick: number }
  | { readonly op: 'advance' | 'jump'; readonly ms: number }
  | { readonly op: 'retire'; readonly key: number; readonly now: boolean };

/** As `assert`, with a text that fast-check shows. */
export function must(held: boolean, rule: string): asserts held {
  if (!held) throw new Error(`broken: ${rule}`);
}

/** The account of one pool. */
export class Account {
  readonly clock = new ManualClock();
  readonly things: Thing[] = [];
  readonly flights: Flight[] = [];
  readonly calls: Call[] = [];
  readonly world: World;
  readonly keys: readonly PoolKey[];
  readonly pool: KeyedPool<Thing>;
  readonly slowClose: boolean;
  step = 0;
  /** What was found inside callbacks, whose errors the pool would swallow. */
  readonly violations: unknown[] = [];

  constructor(world: World, slowClose: boolean) {
    this.world = world;
    this.slowClose = slowClose;
    const narrow = { name: 'narrow', limit: world.narrow };
    const shape: [string, string, boolean][] = [
      ['a', 'ann', true],
      ['b', 'ann', true],
      ['c', 'ann', false],
      ['d', 'bob', true],
      ['e', 'bob', false],
      ['f', '', false],
    ];
    this.keys = shape.map(([id, owner, inNarrow]) => {
      const own = { name: `owner:${owner}`, limit: 2 };
      return { id, owner, tenant: `t-${owner}`, groups: [...(inNarrow ? [narrow] : []), ...(owner === '' ? [] : [own])] };
    });
    this.pool = new KeyedPool<Thing>({
      name: 'model',
      clock: this.clock,
      total: world.total,
      idleTimeout: IDLE,
      sweepInterval: SWEEP,
      maxErrorCount: MAX_ERRORS,
      closeDelay: CLOSE_DELAY,
      queueTimeout: world.queueTimeout,
      renewBefore: world.renewBefore,
      closeTimeout: 1e9,
      close: (thing) => this.noting(() => this.#close(thing)),
    });
  }

  /** Keeps what a check inside a callback throws. */
  noting<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.violations.push(error);
      throw error;
    }
  }

  /** What may be handed out for a key. */
  current(id: string): Thing | undefined {
    return this.things.find((thing) => thing.key.id === id && thing.retired === undefined && thing.closing === undefined);
  }

  retire(thing: Thing): void {
    thing.retired ??= { step: this.step, at: this.clock.monotonic() };
  }

  open({ key, retired, renews }: Call, heedsAbort: boolean, lifetime: number, signal: AbortSignal): Promise<Opened<Thing>> {
    const rival =
      retired === undefined &&
      this.flights.find((flight) => !flight.done && flight.key.id === key.id && flight.retired === undefined && !flight.signal.aborted);
    must(!rival, `double open of ${key.id}`);
    const held = this.current(key.id);

    must(held === undefined || renews || retired !== undefined, `open of ${key.id} although there is a value`);
    const flight: Flight = {
      key,
      signal,
      heedsAbort,
      lifetime,
      settle: Promise.withResolvers(),
      forced: false,
      done: false,
      ...(retired && { retired }),
    };
    this.flights.push(flight);
    if (heedsAbort) signal.addEventListener('abort', () => this.openFailed(flight), { once: true });
    this.checkCaps();
    return flight.settle.promise;
  }

  opened(flight: Flight): void {
    if (flight.done) return;
    flight.done = true;
    const thing: Thing = {
      key: flight.key,
      expiresAt: this.clock.now() + flight.lifetime,
      leases: 0,
      errors: 0,
      idleSince: this.clock.monotonic(),
      forced: flight.forced,
      closed: false,
    };
    // Opened for nobody, or retired meanwhile: at most those who waited before get it.
    if (flight.retired !== undefined || flight.signal.aborted) thing.retired = { step: flight.retired?.step ?? -1, at: this.clock.monotonic() };
    else {
      const old = this.current(flight.key.id);
      if (old !== undefined) this.retire(old);
    }
    this.things.push(thing);
    flight.settle.resolve({ value: thing, expiresAt: thing.expiresAt });
  }

  openFailed(flight: Flight): void {
    if (flight.done) return;
    flight.done = true;
    flight.settle.reject(new Error('open failed'));
  }

  #close(thing: Thing): Promise<void> {
    must(thing.closing === undefined, `${thing.key.id} closed twice`);
    const overdue = thing.retired !== undefined && this.clock.monotonic() - thing.retired.at >= CLOSE_DELAY;
    if (thing.leases > 0) {
      must(overdue || thing.forced, `${thing.key.id} closed while leased`);
      for (const { lease, released } of this.calls)
        if (lease?.value === thing && !released) must(lease.signal.aborted, 'a lease was cut short and not told');
    }
    this.retire(thing);
    if (!this.slowClose) {
      thing.closing = () => {};
      thing.closed = true;
      return Promise.resolve();
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    thing.closing = () => {
      thing.closed = true;
      if (this.things.indexOf(thing) % 3 === 0) reject(new Error('close failed'));
      else resolve();
    };
    return promise;
  }

  /** What exists and counts against a cap: being opened, open, being closed. */
  #live(group: string | undefined): number {
    const counts = ({ key }: { key: PoolKey }) => group === undefined || key.groups.some(({ name }) => name === group);
    return (
      this.things.filter((thing) => !thing.closed && counts(thing)).length + this.flights.filter((flight) => !flight.done && counts(flight)).length
    );
  }

  #caps(key?: PoolKey): { name: string | undefined; limit: number }[] {
    const groups = key?.groups ?? [...new Map(this.keys.flatMap(({ groups }) => groups).map((group) => [group.name, group])).values()];
    return [...groups, { name: undefined, limit: this.world.total }];
  }

  checkCaps(): void {
    for (const { name, limit } of this.#caps()) must(this.#live(name) <= limit, `cap ${name ?? 'total'} exceeded`);
  }

  check(): void {
    if (this.violations.length > 0) throw this.violations[0];
    this.checkCaps();
    const now = this.clock.monotonic();
    for (const thing of this.things) {
      if (thing.closing !== undefined) continue;
      if (thing.leases === 0) {
        must(thing.retired === undefined, `${thing.key.id} retired without a lease, not closed`);
        must(now - thing.idleSince <= IDLE + SWEEP, `${thing.key.id} idle too long`);
      } else if (thing.retired !== undefined) {
        must(now - thing.retired.at <= CLOSE_DELAY, `${thing.key.id} outlived closeDelay`);
      }
    }
    const outstanding = this.things.filter(({ closing }) => closing === undefined).reduce((sum, { leases }) => sum + leases, 0);
    must(this.pool.stats().leases === outstanding, 'leases are miscounted');
    this.#checkNobodyForgotten();
  }

  /** As long as nothing is on its way out, whoever waits for a place must have good reason. */
  #checkNobodyForgotten(): void {
    if (this.things.some(({ closing, closed }) => closing !== undefined && !closed)) return;
    if (this.flights.some(({ signal, done }) => signal.aborted && !done)) return;
    for (const { key, settled } of this.calls) {
      if (settled || this.flights.some((flight) => !flight.done && flight.key.id === key.id)) continue;
      const blocked = this.#caps(key).some(({ name, limit }) => {
        const spare = this.things.filter(
          ({ key: other, closed, leases }) => !closed && leases === 0 && (name === undefined || other.groups.some((group) => group.name === name)),
        );
        return this.#live(name) + 1 - limit > spare.length;
      });
      must(blocked, `${key.id} waits although there is room`);
      must(this.world.queueTimeout > 0, `${key.id} waits although nobody may`);
    }
  }
}
