import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { Opened } from './entry.ts';
import { KeyedPool } from './keyed-pool.ts';
import type { PoolKey } from './pool-key.ts';
import type { PoolOptions } from './pool-options.ts';
import type { PoolEvent } from './stats.ts';

interface Thing {
  readonly name: string;
  closed: number;
  /** Ends a close that was made to wait. */
  finish: () => void;
}

const never = new AbortController().signal;
const key = (id: string, more: Partial<PoolKey> = {}): PoolKey => ({ id, owner: '', tenant: 't', groups: [], ...more });
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

function setUp(options: Partial<PoolOptions<Thing>> & { slowClose?: boolean } = {}) {
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
  const finished = async () => {
    await pool[Symbol.asyncDispose]();
    expect(clock.pending).toBe(0);
    expect(things.map((thing) => thing.closed)).toEqual(things.map(() => 1));
    expect(pool.snapshot()).toEqual([]);
  };
  return { clock, events, things, pool, open, held, use, finished, opens: () => opens };
}

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('opening', () => {
  it('shares one open and one value between callers of a key, each with its own lease', async () => {
    const { pool, held, opens, finished } = setUp();
    const one = held();
    const leases = [pool.acquire(key('a'), one.open, never), pool.acquire(key('a'), one.open, never)];
    await settle();
    one.succeed('a');
    const [first, second] = await Promise.all(leases);
    const third = await pool.acquire(key('a'), one.open, never);
    expect(opens()).toBe(1);
    expect(first?.value).toBe(second?.value);
    expect(third.value).toBe(first?.value);
    expect(pool.snapshot()[0]).toMatchObject({ state: 'active', leases: 3, requestCount: 3 });
    await finished();
  });

  it('does not wait for the open of another key', async () => {
    const { pool, held, use } = setUp();
    const stuck = held();
    const left = new AbortController();
    const waiting = pool.acquire(key('stuck'), stuck.open, left.signal);
    expect((await use('other')).name).toBe('other');
    left.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });

  it('lets a caller leave without ending the open of the others', async () => {
    const { pool, held, finished } = setUp();
    const one = held();
    const left = new AbortController();
    const leaving = pool.acquire(key('a'), one.open, left.signal);
    const staying = pool.acquire(key('a'), one.open, never);
    await settle();
    left.abort(new Error('left'));
    await expect(leaving).rejects.toThrow('left');
    expect(one.state.signal?.aborted).toBe(false);
    const thing = one.succeed('a');
    expect((await staying).value).toBe(thing);
    await finished();
  });

  it('aborts the open when the last caller leaves, and closes what it opened nevertheless', async () => {
    const { pool, held, use, finished } = setUp();
    const one = held();
    const left = new AbortController();
    const leaving = pool.acquire(key('a'), one.open, left.signal);
    await settle();
    left.abort(new Error('left'));
    await expect(leaving).rejects.toThrow('left');
    expect(one.state.signal?.aborted).toBe(true);
    expect((await use('a')).name).toBe('a');
    const late = one.succeed('late');
    await settle();
    expect(late.closed).toBe(1);
    await finished();
  });

  it('never calls the open of a caller who had aborted before', async () => {
    const { pool, open, opens } = setUp();
    await expect(pool.acquire(key('a'), open('a'), AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    expect(opens()).toBe(0);
  });

  it('keeps nothing of a failed open: all callers get its error, the next one opens again', async () => {
    const { pool, held, use, clock, events } = setUp();
    const one = held();
    const results = [pool.acquire(key('a'), one.open, never), pool.acquire(key('a'), one.open, never)].map((lease) => lease.catch(String));
    await settle();
    one.fail(new Error('no such server'));
    expect(await Promise.all(results)).toEqual(['Error: no such server', 'Error: no such server']);
    expect(pool.snapshot()).toEqual([]);
    expect(clock.pending).toBe(0);
    expect(events.map(({ kind }) => kind)).toEqual(['open-failed']);
    expect((await use('a')).name).toBe('a');
  });

  it('survives an open that throws synchronously', async () => {
    const { pool, clock } = setUp();
    const bad = () => {
      throw new Error('at once');
    };
    await expect(pool.acquire(key('a'), bad, never)).rejects.toThrow('at once');
    expect(clock.pending).toBe(0);
  });
});

describe('idle eviction', () => {
  it('counts idle time from the end of the last lease, and is at most one sweep late', async () => {
    const { pool, open, clock, things, finished } = setUp();
    const lease = await pool.acquire(key('a'), open('a'), never);
    await clock.advanceAsync(5_050, 50);
    expect(things[0]?.closed).toBe(0);
    lease.release('ok');
    await clock.advanceAsync(990, 10);
    expect(things[0]?.closed).toBe(0);
    await clock.advanceAsync(110, 10);
    expect(things[0]?.closed).toBe(1);
    await finished();
  });

  it('follows the idle time of the key', async () => {
    const { use, clock } = setUp();
    const quick = await use('quick', { idleTimeout: 200 });
    const slow = await use('slow');
    await clock.advanceAsync(300, 10);
    expect([quick.closed, slow.closed]).toEqual([1, 0]);
  });

  it('runs one timer only while there are entries', async () => {
    const { use, clock } = setUp();
    expect(clock.pending).toBe(0);
    await Promise.all([use('a'), use('b'), use('c')]);
    expect(clock.pending).toBe(1);
    await clock.advanceAsync(1_100, 10);
    expect(clock.pending).toBe(0);
  });

  it('is not disturbed by a wall clock that jumps', async () => {
    const { use, clock } = setUp();
    const thing = await use('a');
    clock.jump(1_000_000);
    await clock.advanceAsync(500, 10);
    clock.jump(-2_000_000);
    await clock.advanceAsync(400, 10);
    expect(thing.closed).toBe(0);
    await clock.advanceAsync(200, 10);
    expect(thing.closed).toBe(1);
  });
});

describe('retiring', () => {
  it('closes an idle entry at once and a leased one after its last lease', async () => {
    const { pool, open, use, finished } = setUp();
    const idle = await use('idle');
    const one = await pool.acquire(key('a'), open('a'), never);
    const two = await pool.acquire(key('a'), open('a'), never);
    void pool.retire('idle', 'reload');
    const gone = pool.retire('a', 'reload');
    await settle();
    expect(idle.closed).toBe(1);
    expect(pool.snapshot()[0]).toMatchObject({ id: 'a', state: 'draining', leases: 2 });
    one.release('ok');
    await settle();
    expect(one.value.closed).toBe(0);
    two.release('ok');
    await gone;
    expect(one.value.closed).toBe(1);
    expect(one.signal.aborted).toBe(false);
    await finished();
  });

  it('never hands out a draining entry; its successor is a new value with an error count of 0', async () => {
    const { pool, open, finished } = setUp();
    const old = await pool.acquire(key('a'), open('old'), never);
    (await pool.acquire(key('a'), open('old'), never)).release('transport-error');
    void pool.retire('a', 'reload');
    const fresh = await pool.acquire(key('a'), open('new'), never);
    expect(fresh.value.name).toBe('new');
    expect(pool.snapshot().map(({ state, errorCount }) => [state, errorCount])).toEqual([
      ['draining', 1],
      ['active', 0],
    ]);
    old.release('ok');
    await settle();
    expect([old.value.closed, fresh.value.closed]).toEqual([1, 0]);
    await finished();
  });

  it('cuts leases short when closeDelay is over, and tells them', async () => {
    const { pool, open, clock, finished } = setUp();
    const lease = await pool.acquire(key('a'), open('a'), never);
    void pool.retire('a', 'reload');
    await clock.advanceAsync(499);
    expect([lease.signal.aborted, lease.value.closed]).toEqual([false, 0]);
    await clock.advanceAsync(1);
    expect([lease.signal.aborted, lease.value.closed]).toEqual([true, 1]);
    expect(lease.signal.reason).toEqual(code('pool/closed'));
    lease.release('ok');
    await finished();
  });

  it('closes at once with `now`, leased or still opening', async () => {
    const { pool, open, held, finished } = setUp();
    const lease = await pool.acquire(key('a', { owner: 'ann' }), open('a'), never);
    const one = held();
    const opening = pool.acquire(key('b', { owner: 'ann' }), one.open, never);
    const other = await pool.acquire(key('c', { owner: 'bob' }), open('c'), never);
    await settle();
    const gone = pool.retireWhere((entry) => entry.owner === 'ann', 'signed out', { now: true });
    await expect(opening).rejects.toEqual(code('pool/closed'));
    expect(lease.signal.aborted).toBe(true);
    expect(one.state.signal?.aborted).toBe(true);
    const late = one.succeed('late');
    await gone;
    expect([lease.value.closed, late.closed, other.value.closed]).toEqual([1, 1, 0]);
    await finished();
  });

  it('an open that is retired still reaches its callers, but nobody else', async () => {
    const { pool, open, held, finished } = setUp();
    const one = held();
    const before = pool.acquire(key('a'), one.open, never);
    await settle();
    void pool.retire('a', 'reload');
    const after = await pool.acquire(key('a'), open('new'), never);
    const old = one.succeed('old');
    expect((await before).value).toBe(old);
    expect(after.value.name).toBe('new');
    expect((await pool.acquire(key('a'), open('x'), never)).value).toBe(after.value);
    (await before).release('ok');
    await settle();
    expect(old.closed).toBe(1);
    await finished();
  });

  it('retires by identity: a late failure of a replaced value leaves its successor alone', async () => {
    const { pool, open, use, finished } = setUp();
    const old = await pool.acquire(key('a'), open('old'), never);
    old.fail();
    const fresh = await use('a');
    old.fail();
    pool.fail(old.value, 'exit');
    await settle();
    expect([old.value.closed, fresh.closed]).toEqual([1, 0]);
    pool.fail(fresh, 'exit');
    await settle();
    expect(fresh.closed).toBe(1);
    await finished();
  });

  it('does not hand out a value that says it is unusable', async () => {
    const dead = new Set<string>();
    const { pool, open, use, finished } = setUp({ usable: (thing) => !dead.has(thing.name) });
    const old = await use('a');
    dead.add('a');
    const fresh = await pool.acquire(key('a'), open('b'), never);
    expect(fresh.value.name).toBe('b');
    await settle();
    expect(old.closed).toBe(1);
    await finished();
  });
});

describe('error budget', () => {
  it('retires at maxErrorCount consecutive transport errors; a success starts over', async () => {
    const { pool, open, finished } = setUp();
    const turn = async (outcome: 'ok' | 'transport-error') => {
      const lease = await pool.acquire(key('a'), open('a'), never);
      lease.release(outcome);
      lease.release(outcome);
      return lease.value;
    };
    const thing = await turn('transport-error');
    await turn('transport-error');
    await turn('ok');
    await turn('transport-error');
    expect(await turn('transport-error')).toBe(thing);
    expect(thing.closed).toBe(0);
    expect(await turn('transport-error')).toBe(thing);
    await settle();
    expect(thing.closed).toBe(1);
    expect(await turn('ok')).not.toBe(thing);
    expect(pool.snapshot().find(({ state }) => state === 'idle')?.errorCount).toBe(0);
    await finished();
  });

  it('retires on fail() at any count, the other leases keep their value until they end', async () => {
    const { pool, open, finished } = setUp();
    const one = await pool.acquire(key('a'), open('a'), never);
    const two = await pool.acquire(key('a'), open('a'), never);
    one.fail();
    expect((await pool.acquire(key('a'), open('b'), never)).value.name).toBe('b');
    await settle();
    expect(one.value.closed).toBe(0);
    two.release('ok');
    await settle();
    expect(one.value.closed).toBe(1);
    await finished();
  });
});

describe('caps', () => {
  it('evicts the least recently used entry without a lease, the same owner first', async () => {
    const { use, pool, open, things, finished } = setUp({ total: 3 });
    await use('a1', { owner: 'ann' });
    await use('b1', { owner: 'bob' });
    await use('b2', { owner: 'bob' });
    await use('b1', { owner: 'bob' });
    await use('b3', { owner: 'bob' });
    const closed = () => things.filter((thing) => thing.closed > 0).map(({ name }) => name);
    expect(closed()).toEqual(['b2']);
    const held = await pool.acquire(key('a1', { owner: 'ann' }), open('a1'), never);
    await use('a2', { owner: 'ann' });
    expect(closed()).toEqual(['b1', 'b2']);
    held.release('ok');
    await finished();
  });

  it('opens the successor only after the evicted value is closed', async () => {
    const { pool, use, open, opens, finished, things, clock } = setUp({ total: 1, slowClose: true, closeTimeout: 10_000 });
    const old = await use('a');
    const next = pool.acquire(key('b'), open('b'), never);
    await settle();
    expect([old.closed, opens()]).toEqual([1, 1]);
    old.finish();
    const lease = await next;
    expect(lease.value.name).toBe('b');
    lease.release('ok');
    const disposed = finished();
    await settle();
    for (const thing of things) thing.finish();
    await disposed;
    expect(clock.pending).toBe(0);
  });

  it('gives a place away when its close takes longer than closeTimeout', async () => {
    const { pool, use, open, clock, events } = setUp({ total: 1, slowClose: true, closeTimeout: 2_000 });
    await use('a');
    const next = pool.acquire(key('b'), open('b'), never);
    await clock.advanceAsync(2_000, 100);
    (await next).release('ok');
    expect(events.map(({ kind }) => kind)).toContain('close-overdue');
  });

  it('fails at once when every place is leased and there is no queue, naming the cap', async () => {
    const groups = [{ name: 'upstream:S', limit: 1 }];
    const { pool, open, use } = setUp({
      exhausted: (_, cap) => `connection limit reached for upstream 'S' (limit ${cap.limit}); retry later`,
    });
    await pool.acquire(key('a', { groups }), open('a'), never);
    const error: unknown = await pool.acquire(key('b', { groups }), open('b'), never).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TurnpikeError);
    expect(error).toMatchObject({ code: 'pool/exhausted', message: "connection limit reached for upstream 'S' (limit 1); retry later" });
    await use('c');
    expect(pool.stats()).toMatchObject({ entries: 2, leases: 1, queued: 0, counts: { exhausted: 1 } });
  });

  it('makes room in every cap that is full, with as few closes as possible', async () => {
    const x = { name: 'x', limit: 1 };
    const y = { name: 'y', limit: 1 };
    const { use, things, pool } = setUp({ total: 3 });
    await use('z');
    await use('x', { groups: [x] });
    await use('y', { groups: [y] });
    await use('xy', { groups: [x, y] });
    expect(things.filter((thing) => thing.closed).map(({ name }) => name)).toEqual(['x', 'y']);
    expect(pool.snapshot().map(({ id }) => id)).toEqual(['z', 'xy']);
  });

  it('evicts nothing when eviction could not make enough room', async () => {
    const x = { name: 'x', limit: 1 };
    const y = { name: 'y', limit: 1 };
    const { use, pool, open } = setUp();
    const idle = await use('x', { groups: [x] });
    await pool.acquire(key('y', { groups: [y] }), open('y'), never);
    await expect(pool.acquire(key('xy', { groups: [x, y] }), open('xy'), never)).rejects.toEqual(code('pool/exhausted'));
    expect(idle.closed).toBe(0);
  });
});

describe('queue', () => {
  it('waits up to queueTimeout for a lease to end', async () => {
    const { pool, open, clock, finished } = setUp({ total: 1, queueTimeout: 300 });
    const first = await pool.acquire(key('a'), open('a'), never);
    const second = pool.acquire(key('b'), open('b'), never);
    await clock.advanceAsync(299);
    first.release('ok');
    (await second).release('ok');
    expect(first.value.closed).toBe(1);
    await finished();
  });

  it('refuses after queueTimeout, each caller by its own time', async () => {
    const { pool, open, clock, finished } = setUp({ total: 1, queueTimeout: 300 });
    const first = await pool.acquire(key('a'), open('a'), never);
    const early = pool.acquire(key('b'), open('b'), never);
    await clock.advanceAsync(200);
    const late = pool.acquire(key('b'), open('b'), never);
    const refused = expect(early).rejects.toEqual(code('pool/exhausted'));
    await clock.advanceAsync(100);
    await refused;
    first.release('ok');
    expect((await late).value.name).toBe('b');
    await finished();
  });

  it('serves tenants in turn, and one tenant in order of arrival', async () => {
    const { pool, open, finished } = setUp({ total: 1, queueTimeout: 1_000 });
    const order: string[] = [];
    const first = await pool.acquire(key('first'), open('first'), never);
    const waiting = ['a1', 'a2', 'a3', 'b1', 'c1', 'b2'].map(async (id) => {
      const lease = await pool.acquire(key(id, { tenant: id.charAt(0) }), open(id), never);
      order.push(id);
      lease.release('ok');
    });
    await settle();
    first.release('ok');
    await Promise.all(waiting);
    expect(order).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
    await finished();
  });

  it('does not let those who wait for one full cap hold up the others', async () => {
    const { pool, open, use } = setUp({ queueTimeout: 1_000 });
    const groups = [{ name: 'narrow', limit: 1 }];
    await pool.acquire(key('a', { groups }), open('a'), never);
    const left = new AbortController();
    const stuck = pool.acquire(key('b', { groups }), open('b'), left.signal);
    await use('c');
    left.abort(new Error('gone'));
    await expect(stuck).rejects.toThrow('gone');
    expect(pool.stats().queued).toBe(0);
  });
});

describe('expiry', () => {
  it('near expiry hands out the current value and renews it once in the background', async () => {
    const { pool, open, held, clock, opens, finished } = setUp({ renewBefore: 100, idleTimeout: 10_000 });
    const expiresAt = clock.now() + 1_000;
    const old = await pool.acquire(key('a'), open('old', expiresAt), never);
    await clock.advanceAsync(899);
    (await pool.acquire(key('a'), open('x'), never)).release('ok');
    expect(opens()).toBe(1);
    await clock.advanceAsync(1);
    const renewal = held();
    for (let call = 0; call < 3; call++) {
      const lease = await pool.acquire(key('a'), renewal.open, never);
      expect(lease.value).toBe(old.value);
      lease.release('ok');
    }
    expect(opens()).toBe(2);
    const fresh = renewal.succeed('new');
    await settle();
    expect((await pool.acquire(key('a'), open('x'), never)).value).toBe(fresh);
    expect(old.value.closed).toBe(0);
    old.release('ok');
    await settle();
    expect(old.value.closed).toBe(1);
    await finished();
  });

  it('renews an expired value before use, by the wall clock', async () => {
    const { pool, open, clock, finished } = setUp();
    const old = await pool.acquire(key('a'), open('old', clock.now() + 1_000), never);
    old.release('ok');
    clock.jump(1_000);
    const fresh = await pool.acquire(key('a'), open('new', clock.now() + 1_000), never);
    expect(fresh.value.name).toBe('new');
    await settle();
    expect(old.value.closed).toBe(1);
    await finished();
  });

  it('sweeps expired values that nobody uses', async () => {
    const { pool, open, clock } = setUp({ idleTimeout: 1e9 });
    const lease = await pool.acquire(key('a'), open('a', clock.now() + 300), never);
    lease.release('ok');
    await clock.advanceAsync(299, 10);
    expect(lease.value.closed).toBe(0);
    await clock.advanceAsync(100, 10);
    expect(lease.value.closed).toBe(1);
  });

  it('keeps the current value when a renewal fails, and does not repeat it with every call', async () => {
    const { pool, open, clock, opens, events, finished } = setUp({ renewBefore: 100 });
    const old = await pool.acquire(key('a'), open('old', clock.now() + 50), never);
    const bad = async () => {
      opensBad++;
      throw new Error('token endpoint down');
    };
    let opensBad = 0;
    for (let call = 0; call < 5; call++) {
      (await pool.acquire(key('a'), bad, never)).release('ok');
      await settle();
    }
    expect([opens(), opensBad]).toEqual([1, 1]);
    expect(events.at(-1)).toMatchObject({ kind: 'renew-failed', error: new Error('token endpoint down') });
    await clock.advanceAsync(10);
    (await pool.acquire(key('a'), bad, never)).release('ok');
    await settle();
    expect(opensBad).toBe(2);
    old.release('ok');
    await finished();
  });

  it('gives up a renewal after renewBefore, unless a caller waits for it', async () => {
    const { pool, open, held, clock, finished } = setUp({ renewBefore: 100, idleTimeout: 1e9 });
    for (const joined of [false, true]) {
      const id = joined ? 'joined' : 'alone';
      (await pool.acquire(key(id), open('old', clock.now() + 50), never)).release('ok');
      const renewal = held();
      (await pool.acquire(key(id), renewal.open, never)).release('ok');
      await clock.advanceAsync(60);
      const waiting = joined ? pool.acquire(key(id), renewal.open, never) : undefined;
      await clock.advanceAsync(40);
      expect(renewal.state.signal?.aborted).toBe(!joined);
      const thing = renewal.succeed('new');
      expect((await waiting)?.value).toBe(joined ? thing : undefined);
    }
    await finished();
  });

  it('skips a renewal for which there is no room', async () => {
    const { pool, open, clock, opens, finished } = setUp({ renewBefore: 100, total: 1 });
    const lease = await pool.acquire(key('a'), open('a', clock.now() + 50), never);
    (await pool.acquire(key('a'), open('b'), never)).release('ok');
    await settle();
    expect(opens()).toBe(1);
    lease.release('ok');
    await finished();
  });
});

describe('ends', () => {
  it('drain turns away new and queued work, lets leases and opens in the air end, and resolves when all is gone', async () => {
    const { pool, open, held, finished } = setUp({ total: 2, queueTimeout: 1_000 });
    const lease = await pool.acquire(key('a'), open('a'), never);
    const one = held();
    const opening = pool.acquire(key('b'), one.open, never);
    await settle();
    const queued = pool.acquire(key('c'), open('c'), never);
    let drained = false;
    const drain = pool.drain(never).then(() => {
      drained = true;
    });
    await expect(queued).rejects.toEqual(code('pool/closed'));
    await expect(pool.acquire(key('a'), open('a'), never)).rejects.toEqual(code('pool/closed'));
    one.succeed('b');
    (await opening).release('ok');
    await settle();
    expect(drained).toBe(false);
    lease.release('ok');
    await drain;
    await finished();
  });

  it('drain cuts the rest short when its signal aborts', async () => {
    const { pool, open, finished } = setUp();
    const lease = await pool.acquire(key('a'), open('a'), never);
    const deadline = new AbortController();
    const drain = pool.drain(deadline.signal);
    deadline.abort();
    await drain;
    expect([lease.signal.aborted, lease.value.closed]).toEqual([true, 1]);
    await finished();
  });

  it('dispose closes everything, and waits for it', async () => {
    const { pool, open, use, things, finished } = setUp();
    await pool.acquire(key('a'), open('a'), never);
    await use('b');
    await pool[Symbol.asyncDispose]();
    expect(things.map(({ closed }) => closed)).toEqual([1, 1]);
    await expect(pool.acquire(key('a'), open('a'), never)).rejects.toEqual(code('pool/closed'));
    await finished();
  });

  it('reports a close that rejects or throws, and frees the place', async () => {
    for (const close of [() => Promise.reject(new Error('no')), () => raise(new Error('no'))]) {
      const { pool, use, events, clock } = setUp({ close, total: 1 });
      await use('a');
      await use('b');
      expect(events.filter(({ kind }) => kind === 'close-failed')).toMatchObject([{ id: 'a', error: new Error('no') }]);
      await pool[Symbol.asyncDispose]();
      expect(clock.pending).toBe(0);
    }
  });

  it('survives an observer that throws', async () => {
    const { use, pool } = setUp({ observe: () => raise(new Error('telemetry')) });
    const thing = await use('a');
    await pool[Symbol.asyncDispose]();
    expect(thing.closed).toBe(1);
  });

  it('shows snapshots without values', async () => {
    const { pool, use, clock } = setUp();
    const at = clock.now();
    await use('a', { owner: 'ann' });
    expect(pool.snapshot()).toEqual([
      { id: 'a', owner: 'ann', tenant: 't', state: 'idle', createdAt: at, lastUsedAt: at, requestCount: 1, errorCount: 0, leases: 0 },
    ]);
  });
});

function raise(error: Error): never {
  throw error;
}
