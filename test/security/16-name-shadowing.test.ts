import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../fixtures/processes.ts';
import { GatewayRig } from './kit/gateway.ts';
import { type Script, type ScriptedUpstream, scripted, text, tool } from './kit/upstreams.ts';

/** Class 16: a name that two upstreams claim belongs to neither, and no call ever moves from one upstream to another. */

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** Two upstreams whose names make `x_a_b_run` out of different tools. */
async function pair(first: Script, second: Script): Promise<{ rig: GatewayRig; a: ScriptedUpstream; ab: ScriptedUpstream }> {
  const a = await scripted(first);
  const ab = await scripted(second);
  const retry = { initial: '250ms', max: '250ms', jitter: 0 };
  const health = { interval: '250ms', timeout: '1s', failures: 1, staleFor: '500ms' };
  const rig = await GatewayRig.start({
    upstreams: [
      { name: 'a', type: 'streamable-http', url: a.url, retry, health },
      { name: 'a_b', type: 'streamable-http', url: ab.url, retry, health },
    ],
  });
  open.push(a, ab, rig);
  return { rig, a, ab };
}

const NAME = 'x_a_b_run';
const AMBIGUOUS = `tool '${NAME}' is ambiguous: provided by a, a_b`;

describe('a tool that two upstreams claim', () => {
  it('leaves the list and the calls, for both; neighbours stay; both are named', async () => {
    const { rig, a, ab } = await pair({ tools: [tool('b_run'), tool('b_own')] }, { tools: [tool('run'), tool('other')] });
    const client = rig.modern('alice');
    expect(await client.toolNames()).toEqual(['x_a_b_own', 'x_a_b_other']);
    for (const caller of [client, await rig.session('bob')]) {
      const reply = await caller.call(NAME);
      expect(reply.error).toMatchObject({ code: -32602, message: AMBIGUOUS });
    }
    expect([a.calls(), ab.calls()]).toEqual([[], []]);
    expect(rig.lines.filter((line) => line.includes('collision') && line.includes(NAME)).length).toBeGreaterThan(0);
  });

  it('does not move when the second claims it later and the first stops', async () => {
    const { rig, a, ab } = await pair({ tools: [tool('b_run')] }, { tools: [] });
    const client = rig.modern('alice');
    expect(await client.toolNames()).toEqual([NAME]);
    await client.call(NAME);
    expect([a.count('tools/call'), ab.count('tools/call')]).toEqual([1, 0]);

    // The newcomer claims the name while the owner lives: nobody has it.
    await ab.until(() => ab.listeners.size > 0);
    ab.script = { tools: [tool('run')] };
    ab.notify('notifications/tools/list_changed');
    await until(
      () => client.toolNames(),
      (names) => names.length === 0,
      10_000,
    );
    expect((await client.call(NAME)).error?.message).toBe(AMBIGUOUS);

    // The owner stops, and is forgotten even as last known: the newcomer still does not get its calls.
    await a[Symbol.asyncDispose]();
    await until(
      () => rig.gateway.status().upstreams,
      (upstreams) => upstreams.some(({ name, tools }) => name === 'a' && tools === 0),
      10_000,
    );
    for (let attempt = 0; attempt < 3; attempt++) expect((await client.call(NAME)).error?.message).toBe(AMBIGUOUS);
    expect(ab.count('tools/call')).toBe(0);
  });

  it('that one upstream defines twice, differently, is nobody’s', async () => {
    const { rig, ab } = await pair(
      { tools: [] },
      { tools: [tool('run', { description: 'reads' }), tool('run', { description: 'deletes' }), tool('fine')] },
    );
    expect(await rig.modern('alice').toolNames()).toEqual(['x_a_b_fine']);
    expect((await rig.modern('alice').call(NAME)).error?.message).toContain('ambiguous');
    expect(ab.calls()).toEqual([]);
  });

  it('that only differs in what a name may not hold collides after it is made one', async () => {
    const { rig, ab } = await pair({ tools: [] }, { tools: [tool('r un'), tool('r/un'), tool('fine')] });
    expect(await rig.modern('alice').toolNames()).toEqual(['x_a_b_fine']);
    expect((await rig.modern('alice').call('x_a_b_r_un')).error?.message).toContain('ambiguous');
    expect(ab.calls()).toEqual([]);
  });
});

it('a prompt that two claim is nobody’s', async () => {
  const { rig, a, ab } = await pair({ prompts: [{ name: 'b_run' }] }, { prompts: [{ name: 'run' }] });
  const { error } = await rig.modern('alice').send('prompts/get', { name: NAME });
  expect(error?.message).toBe(`prompt '${NAME}' is ambiguous: provided by a, a_b`);
  expect([a.calls(), ab.calls()]).toEqual([[], []]);
});

it('a resource that two claim is read under names that say whose it is, and under no other', async () => {
  const act: Script['act'] = ({ params }) => ({ contents: [{ uri: params.uri, text: 'mine' }], ttlMs: 0, cacheScope: 'private' });
  const { rig, a, ab } = await pair(
    { resources: [{ uri: 'test://one', name: 'one' }], act },
    { resources: [{ uri: 'test://one', name: 'one' }], act },
  );
  const client = rig.modern('alice');
  expect((await client.send('resources/read', { uri: 'test://one' })).error).toBeDefined();
  expect([a.calls(), ab.calls()]).toEqual([[], []]);
  const { result } = await client.send('resources/list');
  expect((result.resources as { uri: string }[]).map(({ uri }) => uri)).toEqual(['turnpike://a/test%3A%2F%2Fone', 'turnpike://a_b/test%3A%2F%2Fone']);
  await client.send('resources/read', { uri: 'turnpike://a_b/test%3A%2F%2Fone' });
  expect([a.count('resources/read'), ab.count('resources/read')]).toEqual([0, 1]);
});

it('under naming passthrough, too, and the policy of the upstream that is called decides', async () => {
  const plain = await scripted({
    tools: [tool('x_other_run', { annotations: { destructiveHint: true } }), tool('cleanup'), tool('list_tools'), tool('core_x')],
    act: () => text('plain'),
  });
  const other = await scripted({ tools: [tool('run')] });
  const rig = await GatewayRig.start({
    upstreams: [
      { name: 'plain', type: 'streamable-http', url: plain.url, naming: 'passthrough' },
      { name: 'other', type: 'streamable-http', url: other.url },
    ],
  });
  open.push(plain, other, rig);
  const client = rig.modern('alice');
  expect(await client.toolNames()).toEqual([]);
  expect((await client.call('x_other_run')).error?.message).toBe("tool 'x_other_run' is ambiguous: provided by other, plain");
  for (const reserved of ['list_tools', 'core_x']) expect((await client.call(reserved)).error?.code).toBe(-32602);
  expect((await client.call('cleanup')).text).toContain('is blocked as it is destructive');
  expect([plain.calls(), other.calls()]).toEqual([[], []]);
});
