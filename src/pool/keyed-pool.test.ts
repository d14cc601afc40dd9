import { describe, expect, it } from 'vitest';
import { key, never, settle, setUp } from './pool-fixture.ts';

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
