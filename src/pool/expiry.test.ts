import { describe, expect, it } from 'vitest';
import { key, never, settle, setUp } from './pool-fixture.ts';

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
