import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import type { Answered } from './kit/clients.ts';
import { HttpFixture, stdioFixture } from './kit/fixtures.ts';
import { GatewayRig } from './kit/gateway.ts';

/** Class 7: what an upstream keeps for one session or person is never met by another, whatever the pool does. The upstream counts. */

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

interface Caller {
  call(name: string, args?: JsonObject): Promise<Answered>;
}

/** How often the upstream was called on the connection that served this call. */
async function count(caller: Caller): Promise<number> {
  const reply = await caller.call('x_up_counter');
  expect(reply.text).toContain('"connection"');
  return Number((reply.result.structuredContent as { connection: number }).connection);
}

async function rigFor(upstream: JsonObject, sections: JsonObject = {}): Promise<GatewayRig> {
  const rig = await GatewayRig.start({ upstreams: [{ name: 'up', ...upstream }], ...sections });
  open.push(rig);
  return rig;
}

/** A session upstream over HTTP that everybody reaches with one credential. */
async function remote(more: JsonObject = {}, sections: JsonObject = {}): Promise<{ rig: GatewayRig; upstream: HttpFixture }> {
  const upstream = await HttpFixture.start('legacy');
  open.push(upstream);
  return { upstream, rig: await rigFor({ type: 'streamable-http', url: upstream.url, headers: { 'X-Api-Key': 'one-for-all' }, ...more }, sections) };
}

/** Calls of two people, of two sessions of one person, and of the same people without a session, interleaved. */
async function interleaved(rig: GatewayRig): Promise<void> {
  const alice = await rig.session('alice');
  const alice2 = await rig.session('alice');
  const bob = await rig.session('bob');
  const carol = await rig.session('carol');
  const stateless = [rig.modern('alice'), rig.modern('bob'), rig.modern('carol')];
  const all: Caller[] = [alice, alice2, bob, carol, ...stateless];
  for (let round = 1; round <= 3; round++) {
    for (const caller of round % 2 === 0 ? all.toReversed() : all) expect(await count(caller)).toBe(round);
  }
  // Another client of the same person without a session is that person.
  expect(await count(rig.modern('alice'))).toBe(4);
}

describe('counts never continue from one to another', () => {
  it('over HTTP, with one upstream credential', async () => {
    const { rig, upstream } = await remote();
    await upstream.clear();
    await interleaved(rig);
    expect(await upstream.logged('initialize')).toHaveLength(7);
    expect(new Set((await upstream.logged('tools/call')).map(({ headers }) => headers?.['mcp-session-id'])).size).toBe(7);
  });

  it.each(['legacy', 'modern'] as const)('over stdio, %s', async (era) => {
    const rig = await rigFor(stdioFixture(era));
    await interleaved(rig);
  });

  it('with all calls at once', async () => {
    const { rig } = await remote();
    const sessions = await Promise.all(Array.from({ length: 12 }, (_, index) => rig.session(index % 2 === 0 ? 'alice' : 'bob')));
    const counts = await Promise.all(sessions.flatMap((session) => [count(session), count(session), count(session)]));
    for (let index = 0; index < sessions.length; index++) expect(counts.slice(index * 3, index * 3 + 3).toSorted()).toEqual([1, 2, 3]);
  });

  it('after a session ended, another one gets a connection of its own', async () => {
    const { rig } = await remote();
    const first = await rig.session('alice');
    expect([await count(first), await count(first)]).toEqual([1, 2]);
    await first.end();
    expect(await count(await rig.session('alice'))).toBe(1);
    expect(await count(await rig.session('bob'))).toBe(1);
  });

  it('after an idle connection was closed', async () => {
    const { rig } = await remote({ pool: { idleTimeout: '1s' } }, { pool: { cleanupInterval: '1s' } });
    const alice = await rig.session('alice');
    const bob = await rig.session('bob');
    expect([await count(alice), await count(alice)]).toEqual([1, 2]);
    await until(
      () => rig.metric('turnpike_pool_entries{pool="upstream-connections"}'),
      (entries) => entries === 0,
      10_000,
    );
    expect(await count(bob)).toBe(1);
    expect(await count(alice)).toBe(1);
  });

  it('when room is made for another caller', async () => {
    const { rig } = await remote({ pool: { maxConnections: 2 } });
    const sessions = await Promise.all([rig.session('alice'), rig.session('bob'), rig.session('carol')]);
    for (let round = 0; round < 3; round++) for (const session of sessions) expect(await count(session)).toBe(1);
  });
});

describe('one connection for all', () => {
  it('exists only under `sharing: shared`', async () => {
    const { rig } = await remote({ sharing: 'shared' });
    const counts = [await count(await rig.session('alice')), await count(await rig.session('bob')), await count(rig.modern('carol'))];
    expect(counts).toEqual([1, 2, 3]);
  });

  it('is not used by a client that can be asked something', async () => {
    const { rig } = await remote({ sharing: 'shared' });
    const asked = { capabilities: { elicitation: {}, sampling: {} } };
    const alice = await rig.session('alice', asked);
    const bob = await rig.session('bob', asked);
    expect([await count(alice), await count(bob), await count(alice), await count(rig.modern('carol'))]).toEqual([1, 1, 2, 1]);
  });

  it('`sharing: principal` joins the sessions of one person and no others', async () => {
    const { rig } = await remote({ sharing: 'principal' });
    const sessions = [await rig.session('alice'), await rig.session('alice'), await rig.session('bob'), await rig.session('carol')];
    const counts: number[] = [];
    for (const session of sessions) counts.push(await count(session));
    expect(counts).toEqual([1, 2, 1, 1]);
  });
});

it.each(['legacy', 'modern'] as const)('a connection that failed (%s, stdio) is never handed out again', async (era) => {
  const rig = await rigFor({ ...stdioFixture(era), retry: { initial: '100ms' } });
  const alice = await rig.session('alice');
  const bob = await rig.session('bob');
  expect([await count(alice), await count(alice), await count(bob)]).toEqual([1, 2, 1]);
  const crashed = await alice.call('x_up_crash');
  expect(crashed.text).toContain('the outcome is unknown');
  expect(await count(alice)).toBe(1);
  expect(await count(bob)).toBe(2);
});
