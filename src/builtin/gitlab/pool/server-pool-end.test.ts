import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { insufficientScope, unavailable } from './sample-gitlab.ts';
import { B, failure, NEVER, PoolRig, settle } from './sample-pool.ts';

let rig: PoolRig;
beforeEach(() => {
  rig = new PoolRig();
});
afterEach(async () => expect(await rig.end()).toEqual({ timers: 0, running: 0 }));

describe('the end', () => {
  it('retires all, counts no eviction, ends no session, and takes nobody in', async () => {
    const tokens = [1, 2].map((id) => rig.gitlab.token(id));
    for (const token of tokens) await rig.pool.getOrCreate(token);
    const running = await rig.pool.lease(tokens[0] ?? '');
    rig.gitlab.override = () => 'hang';
    const waiting = failure(rig.pool.getOrCreate(rig.gitlab.token(3)));
    await settle();
    const closed = rig.pool.close();
    expect(await waiting).toMatchObject({ code: 'pool/closed', message: 'server pool is closed' });
    expect(await failure(rig.pool.getOrCreate(tokens[0] ?? ''))).toMatchObject({ message: 'server pool is closed' });
    await settle();
    expect([running.signal.aborted, running.server.disposed, rig.made[1]?.disposed]).toEqual([false, false, true]);
    running.release();
    await closed;
    expect(rig.pool.close()).toBe(closed);
    expect([running.server.disposed, rig.pool.size(), rig.pool.stats().evictions, rig.ended]).toEqual([true, 0, 0, []]);
  });

  it('ends questions that are under way', async () => {
    await rig.pool.getOrCreate(rig.gitlab.token(1));
    rig.pool.startRevalidation(NEVER);
    rig.gitlab.override = () => 'hang';
    await rig.clock.advanceAsync(900_000);
    expect(rig.gitlab.running).toBe(1);
    await rig.pool.close();
    await settle();
    expect([rig.gitlab.running, rig.pool.revalidationsSkipped, rig.pool.status]).toEqual([0, 0, 'ok']);
    rig.pool.startRevalidation(NEVER);
  });

  it('can be cut short', async () => {
    const running = await rig.pool.lease(rig.gitlab.token(1));
    const cut = new AbortController();
    const closed = rig.pool.close(cut.signal);
    await settle();
    cut.abort(new Error('now'));
    await closed;
    expect([running.signal.reason, running.server.disposed]).toMatchObject([{ code: 'pool/closed', message: 'server pool is closed' }, true]);
  });
});

describe('what is said', () => {
  it('is a frozen copy with exactly the names of the page', async () => {
    const snapshot = rig.pool.stats();
    await rig.pool.getOrCreate(rig.gitlab.token(1));
    expect(Object.isFrozen(snapshot)).toBe(true);
    expect(snapshot.misses).toBe(0);
    expect(Object.keys(JSON.parse(JSON.stringify(rig.pool.stats())) as object)).toEqual(
      'hits misses evictions revalidations_failed revalidations_succeeded current_size max_size created_at'.split(' '),
    );
    expect(Object.keys(rig.pool.metrics)).toEqual('hits misses evictions revalidationsFailed revalidationsSucceeded'.split(' '));
  });

  it('holds no token, no part of one, and no name that can be tested (6)', async () => {
    rig.open({ maxSize: 1 });
    const sentinel = 'glpat-SENTINEL0123456789ab';
    rig.gitlab.users.set(sentinel, { id: 1, username: 'one' });
    const said: unknown[] = [];
    const server = await rig.pool.getOrCreate(sentinel);
    const lease = await rig.pool.lease(sentinel);
    said.push(server, lease, { ...lease }, rig.pool.stats(), rig.pool.metrics);
    lease.release();
    rig.gitlab.users.delete(sentinel);
    said.push(await failure(server.call('/x')), await failure(rig.pool.getOrCreate(sentinel)), rig.events, rig.ended, rig.pool);
    for (const spoil of [unavailable, () => insufficientScope()]) {
      rig.gitlab.override = () => spoil();
      said.push(
        await failure(rig.pool.getOrCreate(`${sentinel}2`)),
        await failure(rig.pool.getOrCreate(`${sentinel}3`, { gitlabUrl: `${B}/x?${sentinel}` })),
      );
    }
    const text = [inspect(said, { depth: 20, showHidden: true, getters: true }), JSON.stringify(said)].join('\n');
    for (const part of [sentinel, 'SENTINEL', '0123456789ab']) expect(text).not.toContain(part);
    expect(text).toContain('accepted');
    const [{ fingerprint } = { fingerprint: '' }] = rig.events;
    expect(fingerprint).toMatch(/^[0-9a-f]{8}$/);
    rig.gitlab.users.set(sentinel, { id: 1 });
    rig.gitlab.override = undefined;
    const other = rig.open();
    await other.getOrCreate(sentinel);
    expect(rig.events.at(-1)?.fingerprint).not.toBe(fingerprint);
  });

  it('a listener that throws decides nothing', async () => {
    rig.open({
      observe: () => {
        throw new Error('no');
      },
    });
    expect((await rig.pool.getOrCreate(rig.gitlab.token(1))).subject).toBe('1');
  });
});
