import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AuthRateLimiter } from './auth-rate-limiter.ts';
import { CredentialRejectedError, isAuthenticationFailure, PoolCapacityError } from './errors.ts';
import { B, failure, PoolRig, settle } from './sample-pool.ts';

let rig: PoolRig;
beforeEach(() => {
  rig = new PoolRig();
});
afterEach(async () => expect(await rig.end()).toEqual({ timers: 0, running: 0 }));

describe('least recently used', () => {
  it('A B C A, then D: B goes (8)', async () => {
    rig.open({ maxSize: 3 });
    const [a = '', b = '', c = '', d = ''] = [1, 2, 3, 4].map((id) => rig.gitlab.token(id));
    for (const token of [a, b, c, a, d]) await rig.pool.getOrCreate(token);
    await settle();
    expect([a, b, c, d].map((token) => rig.pool.has(token))).toEqual([true, false, true, true]);
    expect(rig.made.map(({ disposed }) => disposed)).toEqual([false, true, false, false]);
    expect(rig.pool.stats()).toEqual({
      hits: 1,
      misses: 4,
      evictions: 1,
      revalidations_failed: 0,
      revalidations_succeeded: 0,
      current_size: 3,
      max_size: 3,
      created_at: '2026-01-01T00:00:00.000Z',
    });
  });

  it('with a call running on B, C goes, and the call finishes (8)', async () => {
    rig.open({ maxSize: 3 });
    const [a = '', b = '', c = '', d = ''] = [1, 2, 3, 4].map((id) => rig.gitlab.token(id));
    await rig.pool.getOrCreate(a);
    const running = await rig.pool.lease(b);
    for (const token of [c, a, d]) await rig.pool.getOrCreate(token);
    await settle();
    expect([a, b, c, d].map((token) => rig.pool.has(token))).toEqual([true, true, false, true]);
    expect([running.signal.aborted, running.server.disposed]).toEqual([false, false]);
    expect(await running.server.call('/version')).toMatchObject({ status: 200 });
    running.release();
    running.release();
    await rig.pool.getOrCreate(c);
    expect([rig.pool.has(a), rig.pool.has(b), rig.pool.stats().evictions]).toEqual([false, true, 2]);
  });

  it('all in use: nobody goes, and who comes is told so', async () => {
    rig.open({ maxSize: 2 });
    const leases = await Promise.all([1, 2].map((id) => rig.pool.lease(rig.gitlab.token(id))));
    const refused = await failure(rig.pool.getOrCreate(rig.gitlab.token(3)));
    expect(refused).toEqual(new PoolCapacityError('max 2 instances'));
    expect(refused).toMatchObject({
      message: 'Server capacity reached',
      details: { data: { detail: 'Connection pool is full (max 2 instances). Please try again later.' }, retryAfter: 5 },
    });
    expect([rig.pool.size(), rig.pool.stats().evictions, rig.made.map(({ disposed }) => disposed)]).toEqual([2, 0, [false, false, true]]);
    leases[0]?.release();
    expect((await rig.pool.getOrCreate(rig.gitlab.token(3))).subject).toBe('3');
    leases[1]?.release();
  });

  it('more first calls at once than there are places are all served', async () => {
    rig.open({ maxSize: 3 });
    const servers = await Promise.all(Array.from({ length: 50 }, (_, id) => rig.pool.getOrCreate(rig.gitlab.token(id + 1))));
    expect(servers.map(({ subject }) => Number(subject))).toEqual(Array.from({ length: 50 }, (_, id) => id + 1));
    expect([rig.pool.size(), rig.pool.stats().evictions]).toEqual([3, 47]);
  });

  it('1,000 random tokens take nobody’s place (11)', async () => {
    rig.open({ maxSize: 3 });
    const users = [1, 2, 3].map((id) => rig.gitlab.token(id));
    for (const token of users) await rig.pool.getOrCreate(token);
    const limiter = new AuthRateLimiter(10, 60_000, rig.clock);
    const seen: string[] = [];
    for (let n = 0; n < 1_000; n++) {
      const ip = n < 500 ? '203.0.113.9' : `2001:db8:0:${(n % 2).toString(16)}::${n.toString(16)}`;
      if (limiter.isBlocked(ip)) {
        seen.push(`${ip.slice(0, 12)} 429`);
        continue;
      }
      const error = await failure(rig.pool.getOrCreate(`glpat-${String(n).padStart(20, 'x')}`));
      expect(error).toEqual(new CredentialRejectedError());
      if (isAuthenticationFailure(error)) limiter.recordFailure(ip);
      seen.push(`${ip.slice(0, 12)} 401`);
    }
    expect(users.every((token) => rig.pool.has(token))).toBe(true);
    expect(rig.pool.stats()).toMatchObject({ evictions: 0, current_size: 3 });
    expect(seen.filter((line) => line === '203.0.113.9 401')).toHaveLength(10);
    expect(seen.filter((line) => line.startsWith('2001') && line.endsWith('401'))).toHaveLength(20);
    expect([limiter.isBlocked('203.0.113.10'), limiter.blockedFor('203.0.113.9'), limiter.size]).toEqual([false, 60, 3]);
  });

  it('an hour without use ends an entry, which is no eviction', async () => {
    const [a, b] = [rig.gitlab.token(1), rig.gitlab.token(2)];
    await rig.pool.getOrCreate(a);
    await rig.pool.getOrCreate(b);
    await rig.clock.advanceAsync(1_800_000, 60_000);
    await rig.pool.getOrCreate(b);
    await rig.clock.advanceAsync(1_800_000, 60_000);
    expect([rig.pool.has(a), rig.pool.has(b), rig.pool.stats().evictions, rig.pool.size()]).toEqual([false, true, 0, 1]);
    await settle();
    expect(rig.made.map(({ disposed }) => disposed)).toEqual([true, false]);
    expect(rig.events.map(({ kind }) => kind)).toEqual(['accepted', 'accepted', 'idle']);
  });

  it.each([
    [0, 100],
    [-5, 100],
    [7, 7],
    [2.5, 2],
    [0.5, 1],
  ])('a maximum of %d is %d', (maxSize, expected) => {
    expect(rig.open({ maxSize }).stats().max_size).toBe(expected);
  });
});

describe('a new token of the same user', () => {
  it('takes the place of the old one, and ends no session (4)', async () => {
    rig.open({ maxSize: 1 });
    const [old, fresh] = [rig.gitlab.token(42, 'a'), rig.gitlab.token(42, 'b')];
    const first = await rig.pool.getOrCreate(old);
    const second = await rig.pool.getOrCreate(fresh);
    await settle();
    expect([first.disposed, second.disposed, rig.pool.has(old), rig.pool.has(fresh)]).toEqual([true, false, false, true]);
    expect([rig.ended, rig.pool.stats().evictions, rig.pool.size()]).toEqual([[], 0, 1]);
    expect(rig.events.map(({ kind }) => kind)).toEqual(['accepted', 'replaced', 'accepted']);
    // The old one is as good as before, if it comes again.
    expect((await rig.pool.getOrCreate(old)).subject).toBe('42');
  });

  it('takes no place of anybody else', async () => {
    rig.open({ maxSize: 2 });
    const [other, old, fresh] = [rig.gitlab.token(7), rig.gitlab.token(42, 'a'), rig.gitlab.token(42, 'b')];
    for (const token of [other, old, fresh]) await rig.pool.getOrCreate(token);
    expect([other, old, fresh].map((token) => rig.pool.has(token))).toEqual([true, false, true]);
  });

  it('lets the calls of the old one finish', async () => {
    const [old, fresh] = [rig.gitlab.token(42, 'a'), rig.gitlab.token(42, 'b')];
    const running = await rig.pool.lease(old);
    await rig.pool.getOrCreate(fresh);
    await rig.clock.advanceAsync(3_500_000, 60_000);
    expect([running.signal.aborted, running.server.disposed, rig.pool.has(old)]).toEqual([false, false, false]);
    running.release();
    await settle();
    expect(running.server.disposed).toBe(true);
  });

  it('in turns with the old one, calls running on both: each is asked about anew, and no more places are taken', async () => {
    rig.open({ maxSize: 2 });
    const tokens = [rig.gitlab.token(42, 'a'), rig.gitlab.token(42, 'b')];
    const leases = [];
    for (let turn = 0; turn < 20; turn++) leases.push(await rig.pool.lease(tokens[turn % 2] ?? ''));
    expect([rig.pool.size(), rig.pool.stats().evictions, rig.gitlab.requests.length, rig.ended]).toEqual([1, 0, 20, []]);
    const other = await rig.pool.lease(rig.gitlab.token(7));
    expect(await failure(rig.pool.getOrCreate(rig.gitlab.token(8)))).toBeInstanceOf(PoolCapacityError);
    for (const { server, signal } of leases)
      expect([signal.aborted, server.disposed, (await server.call('/version')) !== undefined]).toEqual([false, false, true]);
    for (const lease of leases) lease.release();
    await settle();
    expect(leases.map(({ server }) => server.disposed)).toEqual(leases.map((_, turn) => turn < 19));
    other.release();
  });

  it('of another instance is another user', async () => {
    await rig.pool.getOrCreate(rig.gitlab.token(42, 'a'));
    await rig.pool.getOrCreate(rig.gitlab.token(42, 'b'), { gitlabUrl: B });
    expect(rig.pool.size()).toBe(2);
  });
});
