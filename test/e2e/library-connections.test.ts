import { afterEach, expect, it } from 'vitest';
import { until } from '../fixtures/processes.ts';
import { stdioFixture } from '../security/kit/fixtures.ts';
import { GatewayRig, USERS } from '../security/kit/gateway.ts';

/** aggregator.md section 11, 39: what `Gateway.connections` shows of the connections that callers hold. */
let rig: GatewayRig | undefined;
afterEach(async () => {
  await rig?.[Symbol.asyncDispose]();
  rig = undefined;
});

it('39: active with its count while a call runs, idle after, gone after eviction; nobody’s token', async () => {
  const env = { SECRET: 'swordfish' };
  rig = await GatewayRig.start({ upstreams: [{ name: 'up', ...stdioFixture('legacy'), env, protocol: '2025-11-25' }] });
  const { gateway } = rig;
  expect(gateway.connections()).toEqual([]);
  const [alice, bob] = [await rig.session('alice'), await rig.session('bob')];
  expect((await alice.call('x_up_counter')).text).toContain('"connection":1');
  const [idle] = gateway.connections();
  expect(idle).toEqual({
    upstream: 'up',
    principal: '["static","alice"]',
    tenant: 'red',
    state: 'idle',
    requestCount: 1,
    errorCount: 0,
    createdAt: expect.any(Date),
    lastUsedAt: expect.any(Date),
  });
  const running = alice.call('x_up_sleep', { ms: 1_500 });
  const active = await until(
    () => gateway.connections(),
    ([one]) => one?.state === 'active',
    5_000,
  );
  expect(active).toMatchObject([{ requestCount: 2, createdAt: idle?.createdAt }]);
  await running;
  await bob.call('x_up_counter');
  const after = gateway.connections();
  expect(after.map(({ principal, state, requestCount }) => [principal, state, requestCount])).toEqual([
    ['["static","alice"]', 'idle', 2],
    ['["static","bob"]', 'idle', 1],
  ]);
  const shown = JSON.stringify([active, after]);
  for (const secret of ['swordfish', ...Object.values(USERS).map(({ token }) => token), alice.id]) expect(shown).not.toContain(secret);
  await alice.end();
  await until(
    () => gateway.connections(),
    (left) => left.length === 1,
    10_000,
  );
  expect(gateway.connections()).toMatchObject([{ principal: '["static","bob"]' }]);
});
