import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { insufficientScope, unavailable } from './sample-gitlab.ts';
import { A, B, failure, NEVER, PoolRig, settle } from './sample-pool.ts';

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

describe('instances that are given up', () => {
  it('lose their entries when their calls end, those of replaced tokens too; others keep theirs, and no session ends', async () => {
    const [one, two] = [rig.gitlab.token(1), rig.gitlab.token(2)];
    const here = await rig.pool.lease(one);
    // A newer token of the same person: the older entry serves its call on.
    await rig.pool.getOrCreate(rig.gitlab.token(1, 'b'));
    const there = await rig.pool.getOrCreate(two, { gitlabUrl: B });
    let isOver = false;
    const over = rig.pool
      .retireInstances((apiUrl) => apiUrl.startsWith('https://gitlab.com/'), 'changed')
      .then(() => {
        isOver = true;
      });
    await settle();
    expect([rig.pool.size(), isOver, here.signal.aborted, here.server.disposed]).toEqual([1, false, false, false]);
    expect(await here.server.call('/x')).toMatchObject({ status: 200 });
    here.release();
    await over;
    expect([here.server.disposed, rig.made[1]?.disposed, there.disposed, rig.pool.stats().evictions, rig.ended]).toEqual([true, true, false, 0, []]);
    expect(await rig.pool.getOrCreate(two, { gitlabUrl: B })).toBe(there);
    expect(await rig.pool.getOrCreate(one)).not.toBe(here.server);
  });

  it('are asked again about whoever is being admitted there, over a client that is made then', async () => {
    const clients: string[] = [];
    rig.open({
      clients: (apiUrl, credential) => {
        clients.push(apiUrl);
        return rig.gitlab.clients(apiUrl, credential);
      },
    });
    let answer: 'hang' | undefined = 'hang';
    rig.gitlab.override = () => answer;
    const admitted = [rig.pool.lease(rig.gitlab.token(1)), rig.pool.lease(rig.gitlab.token(2), { gitlabUrl: B })] as const;
    await settle();
    answer = undefined;
    await rig.pool.retireInstances((apiUrl) => apiUrl.startsWith('https://gitlab.com/'), 'changed');
    const first = await admitted[0];
    expect([first.server.subject, clients.length, rig.gitlab.requests.length, rig.gitlab.running]).toEqual(['1', 3, 3, 1]);
    rig.gitlab.requests[1]?.answer({ id: 2 });
    const second = await admitted[1];
    expect([rig.pool.size(), rig.pool.stats().misses, rig.events.map(({ kind }) => kind)]).toEqual([2, 2, ['accepted', 'accepted']]);
    first.release();
    second.release();
  });

  it('one credential can be given up by itself', async () => {
    const [one, two] = [rig.gitlab.token(1), rig.gitlab.token(2)];
    const [first, second] = [await rig.pool.getOrCreate(one), await rig.pool.getOrCreate(two)];
    await rig.pool.retire(one, { gitlabUrl: A }, 'gone');
    expect([first.disposed, second.disposed, rig.pool.has(one), rig.pool.has(two)]).toEqual([true, false, false, true]);
    await rig.pool.retire(one, {}, 'gone');
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
