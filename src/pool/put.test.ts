import { describe, expect, it } from 'vitest';
import type { Thing } from './pool-fixture.ts';
import { key, never, settle, setUp } from './pool-fixture.ts';

/** A thing that is open already, on record as the others are. */
function ready(things: Thing[], name: string): Thing {
  const thing = { name, closed: 0, finish: () => {} };
  things.push(thing);
  return thing;
}

describe('a value that is open already', () => {
  it('is what acquire, find and leaseOf give', async () => {
    const { pool, things, open, opens, finished } = setUp();
    const mine = ready(things, 'mine');
    expect([pool.find('a'), pool.leaseOf('a')]).toEqual([undefined, undefined]);
    pool.put(key('a'), { value: mine });
    const lease = await pool.acquire(key('a'), open('other'), never);
    expect([pool.find('a'), lease.value, pool.leaseOf('a')?.value, opens()]).toEqual([mine, mine, mine, 0]);
    await finished();
  });

  it('replaces: one without leases closes now, one with leases after the last', async () => {
    const { pool, things, finished } = setUp();
    const [first, second, third] = ['1', '2', '3'].map((name) => ready(things, name)) as [Thing, Thing, Thing];
    pool.put(key('a'), { value: first });
    pool.put(key('a'), { value: second });
    await settle();
    expect(first.closed).toBe(1);
    const lease = pool.leaseOf('a');
    pool.put(key('a'), { value: third });
    await settle();
    expect([second.closed, lease?.signal.aborted, pool.find('a')]).toEqual([0, false, third]);
    lease?.release('ok');
    await settle();
    expect(second.closed).toBe(1);
    await finished();
  });

  it('with a grace the one replaced stays open so long, and no longer', async () => {
    const { pool, things, clock, finished } = setUp();
    const [first, second] = ['1', '2'].map((name) => ready(things, name)) as [Thing, Thing];
    pool.put(key('a'), { value: first });
    pool.put(key('a'), { value: second }, 700);
    await clock.advanceAsync(699);
    expect([first.closed, pool.find('a')]).toEqual([0, second]);
    await clock.advanceAsync(1);
    expect([first.closed, second.closed]).toEqual([1, 0]);
    await finished();
  });

  it('one in its grace gives way before one that is handed out, and idleness does not cut it short', async () => {
    const { pool, things, clock, finished } = setUp({ total: 2 });
    const [first, second, other, late] = ['1', '2', '3', '4'].map((name) => ready(things, name)) as [Thing, Thing, Thing, Thing];
    pool.put(key('a'), { value: first });
    await clock.advanceAsync(900, 100);
    pool.put(key('a'), { value: second }, 700);
    await clock.advanceAsync(600, 100);
    expect([first.closed, second.closed]).toEqual([0, 0]);
    pool.put(key('b'), { value: other });
    await settle();
    expect([first.closed, second.closed, other.closed]).toEqual([1, 0, 0]);
    pool.put(key('c'), { value: late });
    await settle();
    expect([second.closed, other.closed]).toEqual([1, 0]);
    await finished();
  });

  it('takes the place of the least recently used one; its own predecessor goes before others, grace or not', async () => {
    const { pool, things, finished } = setUp({ total: 2 });
    const [a, b, c, again] = ['a', 'b', 'c', 'again'].map((name) => ready(things, name)) as [Thing, Thing, Thing, Thing];
    pool.put(key('a'), { value: a });
    pool.put(key('b'), { value: b });
    pool.find('a', true);
    pool.put(key('c'), { value: c });
    await settle();
    expect([a.closed, b.closed, c.closed]).toEqual([0, 1, 0]);
    pool.put(key('c'), { value: again }, 1_000);
    await settle();
    expect([a.closed, c.closed, pool.find('a'), pool.find('c')]).toEqual([0, 1, a, again]);
    await finished();
  });

  it('is refused where everything is leased, and what was there stays', async () => {
    const { pool, things, finished } = setUp({ total: 1 });
    const first = ready(things, 'first');
    pool.put(key('a'), { value: first });
    const lease = pool.leaseOf('a');
    for (const id of ['a', 'b']) expect(() => pool.put(key(id), { value: { name: 'x', closed: 0, finish: () => {} } })).toThrow(/is full/);
    expect(pool.find('a')).toBe(first);
    lease?.release('ok');
    await finished();
    expect(() => pool.put(key('a'), { value: first })).toThrow(/is closed/);
  });

  it('wins over an open under way, which reaches only those who waited', async () => {
    const { pool, things, held, finished } = setUp();
    const slow = held();
    const waiting = pool.acquire(key('a'), slow.open, never);
    await settle();
    const mine = ready(things, 'mine');
    pool.put(key('a'), { value: mine });
    const late = slow.succeed('late');
    const lease = await waiting;
    expect([lease.value, pool.find('a')]).toEqual([late, mine]);
    lease.release('ok');
    await settle();
    expect([late.closed, mine.closed]).toEqual([1, 0]);
    await finished();
  });
});

describe('use without a lease', () => {
  it('puts idleness off, and the order of eviction back; looking does neither', async () => {
    const { pool, things, clock, finished } = setUp();
    const [used, seen] = ['used', 'seen'].map((name) => ready(things, name)) as [Thing, Thing];
    pool.put(key('used'), { value: used });
    pool.put(key('seen'), { value: seen });
    await clock.advanceAsync(900, 100);
    pool.find('used', true);
    pool.find('seen');
    await clock.advanceAsync(300, 100);
    expect([used.closed, seen.closed]).toEqual([0, 1]);
    await finished();
  });

  it('counts errors as leases do: a success starts over, the budget retires', async () => {
    const { pool, things, finished } = setUp({ maxErrorCount: 3 });
    const thing = ready(things, 'a');
    pool.put(key('a'), { value: thing });
    for (const outcome of ['transport-error', 'transport-error', 'ok', 'transport-error', 'transport-error'] as const) pool.record('a', outcome);
    expect([pool.find('a'), pool.current()[0]?.errorCount]).toEqual([thing, 2]);
    pool.record('a', 'transport-error');
    await settle();
    expect([pool.find('a'), thing.closed]).toEqual([undefined, 1]);
    pool.record('a', 'transport-error');
    await finished();
  });

  it('an expired value is found, and not leased', async () => {
    const { pool, things, clock, finished } = setUp();
    const thing = ready(things, 'a');
    pool.put(key('a'), { value: thing, expiresAt: clock.now() });
    expect([pool.find('a'), pool.leaseOf('a'), pool.find('a')]).toEqual([thing, undefined, undefined]);
    await finished();
  });
});

it('what is current: the entries that are handed out, and those being opened', async () => {
  const { pool, things, held, finished } = setUp();
  pool.put(key('a'), { value: ready(things, 'a') });
  const slow = held();
  const waiting = pool.acquire(key('b'), slow.open, never);
  pool.leaseOf('a');
  pool.put(key('a'), { value: ready(things, 'a2') });
  expect(pool.current().map(({ id, state }) => [id, state])).toEqual([
    ['a', 'idle'],
    ['b', 'starting'],
  ]);
  slow.succeed('b');
  (await waiting).release('ok');
  await finished();
});
