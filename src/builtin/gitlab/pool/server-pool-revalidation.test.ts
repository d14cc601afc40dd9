import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { principalKey } from '../../../core/caller.ts';
import { CredentialRejectedError } from './errors.ts';
import { insufficientScope, unauthorized, unavailable } from './sample-gitlab.ts';
import { A, failure, NEVER, PoolRig, settle } from './sample-pool.ts';

let rig: PoolRig;
beforeEach(() => {
  rig = new PoolRig();
});
afterEach(async () => expect(await rig.end()).toEqual({ timers: 0, running: 0 }));

describe('revalidation', () => {
  const QUARTER = 900_000;

  it('asks every 15 minutes, and counts', async () => {
    await rig.pool.getOrCreate(rig.gitlab.token(1));
    const stop = new AbortController();
    const second = new AbortController();
    rig.pool.startRevalidation(stop.signal);
    rig.pool.startRevalidation(second.signal);
    second.abort();
    expect(rig.clock.pending).toBe(2);
    await rig.clock.advanceAsync(QUARTER - 1);
    expect(rig.gitlab.requests).toHaveLength(1);
    await rig.clock.advanceAsync(1);
    await settle();
    expect([rig.gitlab.requests.length, rig.pool.metrics.revalidationsSucceeded]).toEqual([2, 1]);
    // With the jitter at its lowest: 10 % earlier.
    await rig.clock.advanceAsync(QUARTER * 0.9 - 1);
    expect(rig.gitlab.requests).toHaveLength(2);
    await rig.clock.advanceAsync(1);
    await settle();
    expect([rig.gitlab.requests.length, rig.pool.status]).toEqual([3, 'ok']);
    stop.abort();
    await rig.clock.advanceAsync(3 * QUARTER, 60_000);
    expect(rig.gitlab.requests).toHaveLength(3);
  });

  it('does nothing without a positive interval', async () => {
    rig.open({ revalidateInterval: 0 });
    await rig.pool.getOrCreate(rig.gitlab.token(1));
    rig.pool.startRevalidation(NEVER);
    await rig.clock.advanceAsync(QUARTER, 60_000);
    expect(rig.gitlab.requests).toHaveLength(1);
  });

  it.each<[string, (token: string) => void]>([
    ['401', () => rig.answerAll(unauthorized)],
    ['403', () => rig.answerAll(() => insufficientScope())],
    ['another user', (token) => void rig.gitlab.users.set(token, { id: 666 })],
  ])('%s ends the entry, its calls and its sessions (12)', async (_, spoil) => {
    const token = rig.gitlab.token(42);
    const running = await rig.pool.lease(token);
    await rig.pool.getOrCreate(rig.gitlab.token(43));
    rig.pool.startRevalidation(NEVER);
    await rig.clock.advanceAsync(QUARTER - 1);
    spoil(token);
    const spoilt = rig.gitlab.override;
    rig.gitlab.override = spoilt && ((request) => (request.token === token ? spoilt(request) : undefined));
    await rig.clock.advanceAsync(1);
    await settle();
    expect([rig.pool.has(token), rig.pool.size(), rig.pool.stats().revalidations_failed, rig.pool.stats().revalidations_succeeded]).toEqual([
      false,
      1,
      1,
      1,
    ]);
    expect(rig.ended.map(principalKey)).toEqual([principalKey({ issuer: A, subject: '42' })]);
    expect([running.signal.reason, running.server.disposed]).toEqual([expect.any(CredentialRejectedError), true]);
    expect(rig.pool.stats().evictions).toBe(0);
    running.release();
  });

  it('after a rejection the next request is refused at once, without asking (12)', async () => {
    const token = rig.gitlab.token(1);
    const server = await rig.pool.getOrCreate(token);
    rig.gitlab.users.delete(token);
    expect(await failure(server.call('/projects'))).toMatchObject({ code: 'unauthorized' });
    expect([rig.pool.has(token), rig.pool.metrics.revalidationsFailed, rig.ended]).toEqual([false, 1, [{ issuer: A, subject: '1' }]]);
    expect(rig.gitlab.requests.map(({ path }) => path)).toEqual(['/user', '/projects', '/user']);
    expect(await failure(rig.pool.getOrCreate(token))).toEqual(new CredentialRejectedError());
    expect(rig.gitlab.requests).toHaveLength(3);
  });

  it('a 401 of one call alone changes nothing (12)', async () => {
    const token = rig.gitlab.token(1);
    const server = await rig.pool.getOrCreate(token);
    rig.gitlab.override = ({ path }) => (path === '/user' ? undefined : unauthorized());
    const calls = await Promise.all([1, 2, 3].map(() => failure(server.call('/projects/1/merge_requests/1/merge'))));
    expect(calls).toMatchObject([{ code: 'unauthorized' }, { code: 'unauthorized' }, { code: 'unauthorized' }]);
    // One question for all three.
    expect(rig.gitlab.requests.filter(({ path }) => path === '/user')).toHaveLength(2);
    expect([rig.pool.has(token), rig.ended, rig.pool.metrics]).toMatchObject([true, [], { revalidationsSucceeded: 1, revalidationsFailed: 0 }]);
  });

  it('who cancels does not wait for the verdict', async () => {
    const token = rig.gitlab.token(1);
    const server = await rig.pool.getOrCreate(token);
    rig.gitlab.override = ({ path }) => (path === '/user' ? 'hang' : unauthorized());
    const left = new AbortController();
    const call = failure(server.call('/projects', left.signal));
    await settle();
    left.abort(new Error('left'));
    expect(await call).toMatchObject({ code: 'unauthorized' });
    await rig.clock.advanceAsync(5_000);
    await settle();
    expect(rig.pool.has(token)).toBe(true);
  });

  it.each<[string, () => void]>([
    ['502', () => rig.answerAll(unavailable)],
    ['no answer', () => rig.answerAll(() => 'hang')],
  ])('%s evicts nobody; it is degraded and asks again after 1, 2, 4, 8, 15, 15 minutes (13)', async (_, spoil) => {
    const token = rig.gitlab.token(1);
    await rig.pool.getOrCreate(token);
    rig.pool.startRevalidation(NEVER);
    spoil();
    const asked: number[] = [];
    const started = rig.clock.monotonic();
    let before = 1;
    for (let second = 0; second < 4_500; second += 5) {
      await rig.clock.advanceAsync(5_000);
      await rig.pool.getOrCreate(token);
      if (rig.gitlab.requests.length > before) asked.push(Math.floor((rig.clock.monotonic() - started) / 60_000));
      before = rig.gitlab.requests.length;
    }
    expect(asked.slice(0, 7)).toEqual([15, 16, 18, 22, 30, 45, 60]);
    expect([rig.pool.has(token), rig.pool.status, rig.pool.metrics.revalidationsFailed, rig.ended]).toEqual([true, 'degraded', 0, []]);
    expect(rig.pool.revalidationsSkipped).toBeGreaterThanOrEqual(7);
    rig.gitlab.override = undefined;
    await rig.clock.advanceAsync(QUARTER, 60_000);
    await settle();
    expect([rig.pool.status, rig.pool.metrics.revalidationsSucceeded]).toEqual(['ok', 1]);
  });

  it('1,000 entries: spread, at most 8 at once, nothing after the end (14)', async () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    rig.open({ maxSize: 1_000, random });
    const stop = new AbortController();
    rig.pool.startRevalidation(stop.signal);
    await Promise.all(Array.from({ length: 1_000 }, (_, id) => rig.pool.getOrCreate(rig.gitlab.token(id + 1))));
    const minutes = new Array<number>(15).fill(0);
    for (let minute = 0; minute < 15; minute++) {
      const before = rig.gitlab.requests.length;
      await rig.clock.advanceAsync(60_000, 5_000);
      minutes[minute] = rig.gitlab.requests.length - before;
    }
    // Nobody is asked about who was proven in the last minute and a half.
    expect(minutes[0]).toBe(0);
    expect(Math.max(...minutes)).toBeLessThan(110);
    expect(Math.min(...minutes.slice(2))).toBeGreaterThan(35);
    rig.gitlab.override = () => 'hang';
    rig.gitlab.peak = 0;
    await rig.clock.advanceAsync(240_000, 4_999);
    expect([rig.gitlab.peak, rig.gitlab.running]).toEqual([8, 8]);
    const asked = rig.gitlab.requests.length;
    stop.abort(new Error('the end'));
    await settle();
    // The sweep of the pool is all that is left.
    expect([rig.gitlab.running, rig.clock.pending, rig.gitlab.requests.length]).toEqual([0, 1, asked]);
  });

  it.each([1, 666])('an entry that is gone meanwhile counts no more, be it %d or not', async (id) => {
    rig.open({ maxSize: 1 });
    const token = rig.gitlab.token(1);
    const server = await rig.pool.getOrCreate(token);
    rig.gitlab.override = ({ path, token: of }) => (of !== token ? undefined : path === '/user' ? 'hang' : unauthorized());
    const call = failure(server.call('/x'));
    await settle();
    await rig.pool.getOrCreate(rig.gitlab.token(2));
    rig.gitlab.requests[2]?.answer({ id });
    await call;
    expect([rig.pool.metrics.revalidationsFailed, rig.pool.metrics.revalidationsSucceeded, rig.ended, rig.pool.size()]).toEqual([0, 0, [], 1]);
  });
});
