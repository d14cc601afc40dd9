import { deepEqual } from 'node:assert/strict';
import { ManualClock } from '../core/manual-clock.ts';
import type { Opened } from './entry.ts';
import { KeyedPool } from './keyed-pool.ts';
import type { PoolKey } from './pool-key.ts';
import type { PoolOptions } from './pool-options.ts';
import type { PoolEvent } from './stats.ts';

/** What the pool of a test holds. */
export interface Thing {
  readonly name: string;
  closed: number;
  /** Ends a close that was made to wait. */
  finish: () => void;
}

export const never = new AbortController().signal;
export const key = (id: string, more: Partial<PoolKey> = {}): PoolKey => ({ id, owner: '', tenant: 't', groups: [], ...more });
/** Lets promises settle. */
export const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

/** A pool of things on a manual clock, with everything that happens to them on record. */
export function setUp(options: Partial<PoolOptions<Thing>> & { slowClose?: boolean } = {}) {
  const clock = new ManualClock();
  const events: PoolEvent[] = [];
  const things: Thing[] = [];
  const pool = new KeyedPool<Thing>({
    name: 'test',
    clock,
    total: 10,
    idleTimeout: 1_000,
    sweepInterval: 100,
    maxErrorCount: 3,
    closeDelay: 500,
    queueTimeout: 0,
    close: (thing) => {
      thing.closed++;
      return options.slowClose ? new Promise((resolve) => (thing.finish = resolve)) : Promise.resolve();
    },
    observe: (event) => void events.push(event),
    ...options,
  });
  let opens = 0;
  const make = (name: string): Thing => {
    const thing = { name, closed: 0, finish: () => {} };
    things.push(thing);
    return thing;
  };
  const open = (name: string, expiresAt?: number) => async (): Promise<Opened<Thing>> => {
    opens++;
    return { value: make(name), ...(expiresAt === undefined ? {} : { expiresAt }) };
  };
  /** An open that ends when told to. */
  const held = () => {
    const { promise, resolve, reject } = Promise.withResolvers<Opened<Thing>>();
    const state = { signal: undefined as AbortSignal | undefined };
    return {
      state,
      open: (signal: AbortSignal) => {
        opens++;
        state.signal = signal;
        return promise;
      },
      succeed: (name: string) => {
        const thing = make(name);
        resolve({ value: thing });
        return thing;
      },
      fail: (error: unknown) => reject(error),
    };
  };
  const use = async (id: string, more: Partial<PoolKey> = {}) => {
    const lease = await pool.acquire(key(id, more), open(id), never);
    lease.release('ok');
    return lease.value;
  };
  /** Ends the pool and checks that nothing is left of it: every thing closed once, no timer, no entry. */
  const finished = async () => {
    await pool[Symbol.asyncDispose]();
    deepEqual(
      things.map((thing) => thing.closed),
      things.map(() => 1),
    );
    deepEqual([clock.pending, pool.snapshot()], [0, []]);
  };
  return { clock, events, things, pool, open, held, use, finished, opens: () => opens };
}
