import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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
const MAX_ERRORS = 2;

interface World {
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

interface Call {
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

type Op =
  | { readonly op: 'acquire'; readonly key: number; readonly heedsAbort: boolean; readonly lifetime: number }
  | { readonly op: 'opened' | 'openFailed' | 'closed' | 'closeFailed' | 'abort' | 'release' | 'error' | 'fail' | 'exit'; readonly pick: number }
  | { readonly op: 'advance' | 'jump'; readonly ms: number }
  | { readonly op: 'retire'; readonly key: number; readonly now: boolean };

class Account {
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
    expect(rival, `double open of ${key.id}`).toBeFalsy();
    const held = this.current(key.id);

    expect(held === undefined || renews || retired !== undefined, `open of ${key.id} although there is a value`).toBe(true);
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
    expect(thing.closing, `${thing.key.id} closed twice`).toBeUndefined();
    const overdue = thing.retired !== undefined && this.clock.monotonic() - thing.retired.at >= CLOSE_DELAY;
    if (thing.leases > 0) {
      expect(overdue || thing.forced, `${thing.key.id} closed while leased`).toBe(true);
      for (const { lease, released } of this.calls) if (lease?.value === thing && !released) expect(lease.signal.aborted).toBe(true);
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
    for (const { name, limit } of this.#caps()) expect(this.#live(name), `cap ${name ?? 'total'}`).toBeLessThanOrEqual(limit);
  }

  check(): void {
    if (this.violations.length > 0) throw this.violations[0];
    this.checkCaps();
    const now = this.clock.monotonic();
    for (const thing of this.things) {
      if (thing.closing !== undefined) continue;
      if (thing.leases === 0) {
        expect(thing.retired, `${thing.key.id} retired without a lease, not closed`).toBeUndefined();
        expect(now - thing.idleSince, `${thing.key.id} idle`).toBeLessThanOrEqual(IDLE + SWEEP);
      } else if (thing.retired !== undefined) {
        expect(now - thing.retired.at, `${thing.key.id} outlived closeDelay`).toBeLessThanOrEqual(CLOSE_DELAY);
      }
    }
    const outstanding = this.things.filter(({ closing }) => closing === undefined).reduce((sum, { leases }) => sum + leases, 0);
    expect(this.pool.stats().leases).toBe(outstanding);
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
      expect(blocked, `${key.id} waits although there is room`).toBe(true);
      expect(this.world.queueTimeout).toBeGreaterThan(0);
    }
  }
}

const pickOf = <T>(items: readonly T[], pick: number): T | undefined => items[pick % Math.max(1, items.length)];

async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

function run(account: Account, op: Op): void {
  const { pool, clock, calls } = account;
  const out = calls.filter(({ lease, released }) => lease !== undefined && !released);
  switch (op.op) {
    case 'acquire': {
      const key = account.keys[op.key] as PoolKey;
      const call: Call = { key, step: account.step, controller: new AbortController(), settled: false, released: false, renews: false };
      const held = account.current(key.id);
      if (held !== undefined && held.expiresAt <= clock.now()) account.retire(held);
      const expected = account.current(key.id);
      call.renews = expected !== undefined && expected.expiresAt - clock.now() <= account.world.renewBefore;
      calls.push(call);
      pool
        .acquire(key, (signal) => account.noting(() => account.open(call, op.heedsAbort, op.lifetime, signal)), call.controller.signal)
        .then(
          (lease) => {
            call.settled = true;
            call.lease = lease;
            const thing = lease.value;
            thing.leases++;
            account.noting(() => {
              expect(thing.key.id).toBe(key.id);
              expect(thing.closing, 'a closed value was handed out').toBeUndefined();
              if (thing.retired !== undefined) expect(thing.retired.step, 'a retired value was handed out').toBeGreaterThan(call.step);
              if (expected !== undefined) expect(thing === expected, 'a value was there').toBe(true);
            });
          },
          (error: unknown) => {
            call.settled = true;
            call.error = error;
          },
        )
        .catch(() => {}); // Noted already.
      return;
    }
    case 'opened':
    case 'openFailed': {
      const flight = pickOf(
        account.flights.filter(({ done }) => !done),
        op.pick,
      );
      if (flight !== undefined) account[op.op](flight);
      return;
    }
    case 'closed':
    case 'closeFailed':
      pickOf(
        account.things.filter(({ closing, closed }) => closing !== undefined && !closed),
        op.pick,
      )?.closing?.();
      return;
    case 'abort': {
      const call = pickOf(
        calls.filter(({ settled }) => !settled),
        op.pick,
      );
      call?.controller.abort(new Error('caller left'));
      return;
    }
    case 'release':
    case 'error':
    case 'fail': {
      const call = pickOf(out, op.pick);
      if (call?.lease === undefined) return;
      const thing = call.lease.value;
      call.released = true;
      thing.leases--;
      if (thing.leases === 0) thing.idleSince = clock.monotonic();
      thing.errors = op.op === 'release' ? 0 : thing.errors + 1;
      if (op.op === 'fail' || thing.errors >= MAX_ERRORS) account.retire(thing);
      if (op.op === 'fail') call.lease.fail();
      else call.lease.release(op.op === 'release' ? 'ok' : 'transport-error');
      call.lease.release('transport-error');
      return;
    }
    case 'exit': {
      const thing = pickOf(account.things, op.pick);
      if (thing === undefined) return;
      account.retire(thing);
      pool.fail(thing, 'exit');
      return;
    }
    case 'advance':
      clock.advance(op.ms);
      return;
    case 'jump':
      clock.jump(op.ms);
      return;
    case 'retire': {
      const { id } = account.keys[op.key] as PoolKey;
      const mark = { step: account.step, at: clock.monotonic() };
      for (const call of calls) if (call.key.id === id) call.retired ??= mark;
      for (const target of [...account.things, ...account.flights]) {
        if (target.key.id !== id) continue;
        target.retired ??= mark;
        if (op.now) target.forced = true;
      }
      void pool.retire(id, 'told to', { now: op.now });
    }
  }
}

const picks = fc.nat({ max: 5 });
const one = (op: 'opened' | 'openFailed' | 'closed' | 'closeFailed' | 'abort' | 'release' | 'error' | 'fail' | 'exit') =>
  picks.map((pick): Op => ({ op, pick }));
const operations = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('acquire' as const),
      key: picks,
      heedsAbort: fc.boolean(),
      lifetime: fc.constantFrom(15, 60, 1e9),
    }),
  },
  { weight: 7, arbitrary: one('opened') },
  { weight: 1, arbitrary: one('openFailed') },
  { weight: 4, arbitrary: one('closed') },
  { weight: 2, arbitrary: one('abort') },
  { weight: 6, arbitrary: one('release') },
  { weight: 2, arbitrary: one('error') },
  { weight: 1, arbitrary: one('fail') },
  { weight: 1, arbitrary: one('exit') },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: fc.constantFrom(1, 10, 35, 120) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('jump' as const), ms: fc.constantFrom(-1000, -20, 20, 1000) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('retire' as const), key: picks, now: fc.boolean() }) },
);

const worlds = fc.record({
  total: fc.integer({ min: 1, max: 4 }),
  narrow: fc.integer({ min: 1, max: 2 }),
  queueTimeout: fc.constantFrom(0, 25),
  renewBefore: fc.constantFrom(0, 20),
});

describe('the keyed pool against its account', () => {
  it('keeps every rule in random histories', async () => {
    const property = fc.asyncProperty(worlds, fc.boolean(), fc.array(operations, { maxLength: 80, size: 'max' }), async (world, slowClose, ops) => {
      const account = new Account(world, slowClose);
      for (const op of ops) {
        account.step++;
        run(account, op);
        await settle();
        account.check();
      }
      account.step++;
      for (const target of [...account.things, ...account.flights]) target.forced = true;
      const end = account.pool[Symbol.asyncDispose]();
      for (let round = 0; round < 3; round++) {
        await settle();
        for (const flight of account.flights) account.opened(flight);
        await settle();
        for (const thing of account.things) if (!thing.closed) thing.closing?.();
      }
      await end;
      await settle();
      expect(account.violations).toEqual([]);
      expect(account.calls.filter(({ settled }) => !settled)).toEqual([]);
      expect(account.things.filter(({ closed }) => !closed).length).toBe(0);
      expect(account.pool.snapshot()).toEqual([]);
      expect(account.clock.pending).toBe(0);
    });
    await fc.assert(property, { numRuns: runs(600) });
  });

  it('serves tenants in turn whatever comes and goes', async () => {
    const actions = fc.oneof(
      { weight: 3, arbitrary: fc.record({ wait: fc.constantFrom('x', 'y', 'z') }) },
      { weight: 1, arbitrary: fc.record({ leave: fc.nat({ max: 9 }) }) },
      { weight: 2, arbitrary: fc.constant({ serve: true }) },
    );
    const property = fc.asyncProperty(fc.array(actions, { maxLength: 60, size: 'max' }), async (history) => {
      const clock = new ManualClock();
      const options = { name: 'fair', clock, total: 1, idleTimeout: 1e6, sweepInterval: 1e6, maxErrorCount: 9, closeDelay: 9, queueTimeout: 1e6 };
      const pool = new KeyedPool<string>({ ...options, close: () => Promise.resolve() });
      const waiting: { id: string; tenant: string; controller: AbortController; passed: Map<string, number> }[] = [];
      const open = (id: string) => () => Promise.resolve({ value: id });
      let holder = await pool.acquire({ id: 'first', owner: '', tenant: 'w', groups: [] }, open('first'), new AbortController().signal);
      let served: { tenant: string; lease: Lease<string> } | undefined;
      let count = 0;
      const serve = async () => {
        holder.release('ok');
        await settle();
        if (waiting.length === 0) return;
        expect(served, 'somebody waits, nobody is served').toBeDefined();
        const { tenant, lease } = served as { tenant: string; lease: Lease<string> };
        const line = waiting.filter((other) => other.tenant === tenant);
        expect(lease.value, 'first come, first served within a tenant').toBe(line[0]?.id);
        waiting.splice(waiting.indexOf(line[0] as (typeof waiting)[number]), 1);
        for (const other of waiting) {
          if (other.tenant === tenant) other.passed.clear();
          else other.passed.set(tenant, (other.passed.get(tenant) ?? 0) + 1);
          expect(Math.max(0, ...other.passed.values()), `${other.id} was passed over`).toBeLessThanOrEqual(1);
        }
        holder = lease;
        served = undefined;
      };
      for (const action of history) {
        if ('wait' in action) {
          const id = `${action.wait}${count++}`;
          const controller = new AbortController();
          waiting.push({ id, tenant: action.wait, controller, passed: new Map() });
          pool.acquire({ id, owner: '', tenant: action.wait, groups: [] }, open(id), controller.signal).then(
            (lease) => {
              served = { tenant: action.wait, lease };
            },
            () => {},
          );
        } else if ('leave' in action) {
          const [gone] = waiting.splice(action.leave % Math.max(1, waiting.length), 1);
          gone?.controller.abort(new Error('left'));
        } else if (waiting.length > 0) {
          await serve();
        }
        await settle();
      }
      while (waiting.length > 0) await serve();
      await pool[Symbol.asyncDispose]();
      expect(clock.pending).toBe(0);
    });
    await fc.assert(property, { numRuns: runs(200) });
  });
});

/** A longer search by hand: change the factor here. */
function runs(usual: number): number {
  return usual;
}
