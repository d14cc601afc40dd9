import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { key, never, settle, setUp } from './pool-fixture.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });

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

  it('hands over only the places its successor lacks: the others stay taken until the evicted value is closed', async () => {
    const x = { name: 'x', limit: 1 };
    const { use, pool, open, opens, things } = setUp({ total: 2, slowClose: true, queueTimeout: 1_000 });
    const old = await use('old', { groups: [x] });
    await pool.acquire(key('kept'), open('kept'), never);
    const plain = pool.acquire(key('plain'), open('plain'), never);
    await settle();
    expect([old.closed, opens()]).toEqual([1, 2]);
    const second = pool.acquire(key('second', { groups: [x] }), open('second'), never);
    old.finish();
    const lease = await plain;
    await settle();
    expect(opens()).toBe(3);
    lease.release('ok');
    await settle();
    lease.value.finish();
    expect((await second).value.name).toBe('second');
    expect(things.map(({ closed }) => closed)).toEqual([1, 0, 1, 0]);
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
