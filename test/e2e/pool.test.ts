import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { MARK, newMark, processesWithMark, until } from '../fixtures/processes.ts';
import { type Answered, type LegacyClient, textOf } from '../security/kit/clients.ts';
import { stdioFixture } from '../security/kit/fixtures.ts';
import { GatewayRig } from '../security/kit/gateway.ts';
import { scripted, text, tool } from '../security/kit/upstreams.ts';

/** Connections of callers over a real gateway and real children (aggregator.md section 6, acceptance 26 to 33). One child is always the gateway's own. */
const open: AsyncDisposable[] = [];
let mark: string;
beforeEach(() => {
  mark = newMark();
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
  await until(
    () => processesWithMark(mark),
    (left) => left.length === 0,
    10_000,
  );
});

async function gateway(more: JsonObject = {}, sections: JsonObject = {}): Promise<GatewayRig> {
  const child = { name: 'up', ...stdioFixture('legacy'), env: { [MARK]: mark }, protocol: '2025-11-25' };
  const rig = await GatewayRig.start({ upstreams: [{ ...child, ...more }], ...sections });
  open.push(rig);
  return rig;
}

const children = async () => (await processesWithMark(mark)).length;
const calls = ({ result }: Answered) => (result.structuredContent as JsonObject | undefined)?.connection;
const count = async (client: LegacyClient) => calls(await client.call('x_up_counter'));

describe('an idle connection', () => {
  const SHORT = [{ pool: { idleTimeout: '1s' } }, { pool: { cleanupInterval: '1s' } }] as const;

  it('is closed with its child, and the next call starts one', async () => {
    const rig = await gateway(...SHORT);
    const session = await rig.session('alice');
    expect([await count(session), await count(session), await children()]).toEqual([1, 2, 2]);
    await until(children, (live) => live === 1, 10_000);
    expect([await count(session), await children()]).toEqual([1, 2]);
  });

  it('is none while a call runs: one that takes longer than the idle time completes, and idle counts from its end', async () => {
    const rig = await gateway(...SHORT);
    const session = await rig.session('alice');
    expect(await count(session)).toBe(1);
    expect(textOf(await session.call('x_up_sleep', { ms: 3_000 }))).toMatch(/Slept/);
    expect(await count(session)).toBe(2);
  });
});

it('20 simultaneous calls of one session start one child; another session of that user has its own', async () => {
  const rig = await gateway();
  const [one, other] = [await rig.session('alice'), await rig.session('alice')];
  const counts = await Promise.all(Array.from({ length: 20 }, () => count(one)));
  expect(counts.map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  expect(await children()).toBe(2);
  expect([await count(other), await children()]).toEqual([1, 3]);
});

describe('the error budget', () => {
  const BRIEF = { timeouts: { call: '2s', startup: '20s' }, pool: { maxErrorCount: 3 } };
  const late = async (session: LegacyClient) => {
    expect(textOf(await session.call('x_up_sleep', { ms: 20_000 }))).toBe("tool 'x_up_sleep' timed out after 2s");
  };

  it('three deadlines in a row end a connection: the fourth call has a new child', async () => {
    const session = await (await gateway(BRIEF)).session('alice');
    expect(await count(session)).toBe(1);
    for (let time = 0; time < 3; time++) await late(session);
    expect(await count(session)).toBe(1);
    await until(children, (live) => live === 2, 10_000);
  });

  it('a success between starts over, and a tool that fails is a success', async () => {
    const session = await (await gateway(BRIEF)).session('alice');
    for (let time = 0; time < 2; time++) await late(session);
    expect(await count(session)).toBe(1);
    for (let time = 0; time < 2; time++) await late(session);
    for (let time = 0; time < 5; time++) expect((await session.call('x_up_test_error_handling')).result.isError).toBe(true);
    expect(await count(session)).toBe(2);
  });
});

describe('endpoints of one upstream', () => {
  it('one that refuses connections is passed over, and every call runs once', async () => {
    const upstream = await scripted({ tools: [tool('say')], act: () => text('said') });
    open.push(upstream);
    const endpoints = [
      { url: 'http://127.0.0.1:9/mcp', priority: 0 },
      { url: upstream.url, priority: 1 },
    ];
    const rig = await GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', endpoints }] });
    open.push(rig);
    for (let call = 0; call < 5; call++) expect(textOf(await rig.modern('alice').call('x_up_say'))).toBe('said');
    expect(upstream.count('tools/call')).toBe(5);
  });
});
