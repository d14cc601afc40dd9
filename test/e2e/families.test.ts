import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { DENYLIST } from '../../src/catalog/denylist.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import { type Answered, type LegacyClient, type ModernClient, textOf } from '../security/kit/clients.ts';
import { configurationText, GatewayRig, type Sections } from '../security/kit/gateway.ts';
import { sessionUpstream } from '../security/kit/session-upstream.ts';
import { type ScriptedUpstream, scripted, text, tool } from '../security/kit/upstreams.ts';

/** Upstreams of one family over real connections (aggregator.md section 2, "Families", and acceptance 1 to 8). */
const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function upstreamOf(name: string, tools: readonly JsonObject[], more: object = {}): Promise<ScriptedUpstream> {
  const upstream = await scripted({
    tools,
    act: ({ params }) => text(`${name}: ${String(params.name)} ${JSON.stringify(params.arguments)}`),
    ...more,
  });
  open.push(upstream);
  return upstream;
}

async function gateway(sections: Sections): Promise<GatewayRig> {
  const rig = await GatewayRig.start(sections);
  open.push(rig);
  return rig;
}

const member = (name: string, { url }: { readonly url: string }, more: object = {}) => ({
  ...{ name, type: 'streamable-http', url, family: { name: 'f', instanceArg: 'instance' } },
  ...more,
});

const SAY = tool('say', { inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } });

/** The same tools behind `a`, which is modern, and `b`, which has sessions. */
async function bothEras(tools: readonly JsonObject[] = [SAY]) {
  const a = await upstreamOf('a', tools);
  const b = await sessionUpstream({ tools, act: ({ name, args }) => text(`b: ${name} ${JSON.stringify(args)}`) });
  open.push(b);
  return { a, b };
}

type Client = Pick<ModernClient | LegacyClient, 'call'> & { send(method: string): Promise<Answered> };

/** A stateless client and one with a session, of the same person. */
async function clients(rig: GatewayRig, user: 'alice' | 'bob' = 'alice'): Promise<readonly Client[]> {
  return [rig.modern(user), await rig.session(user)];
}

const listed = async (client: Client) => (await client.send('tools/list')).result.tools as JsonObject[];
const names = async (client: Client) => (await listed(client)).map(({ name }) => name);
/** The instances that a tool is offered for. */
async function instances(client: Client, name: string): Promise<unknown> {
  const found = (await listed(client)).find((one) => one.name === name) as { inputSchema: { properties: JsonObject } } | undefined;
  return (found?.inputSchema.properties.instance as JsonObject | undefined)?.enum;
}

const REQUIRED = (servers: string) => `tool x_f_say is provided by family f on servers ${servers}; the "instance" parameter is required`;

it('1: two members show their tool once, in both eras; a call goes to the one it names, without the argument', async () => {
  const { a, b } = await bothEras();
  const rig = await gateway({ upstreams: [member('b', b), member('a', a)] });
  for (const client of await clients(rig)) {
    expect(await listed(client)).toEqual([
      {
        name: 'x_f_say',
        description: 'Tool say (available on servers: a, b)',
        inputSchema: {
          type: 'object',
          properties: {
            text: { type: 'string' },
            instance: { type: 'string', description: 'Target instance to execute this tool on. Available: a, b', enum: ['a', 'b'] },
          },
          required: ['text', 'instance'],
        },
      },
    ]);
    a.requests.length = 0;
    b.calls.length = 0;
    expect(textOf(await client.call('x_f_say', { text: 'hi', instance: 'a' }))).toBe('a: say {"text":"hi"}');
    expect([a.count('tools/call'), b.calls.length]).toEqual([1, 0]);
    expect(textOf(await client.call('x_f_say', { instance: 'b', text: 'ho' }))).toBe('b: say {"text":"ho"}');
    expect([a.count('tools/call'), b.calls.length]).toEqual([1, 1]);
    for (const own of ['x_a_say', 'x_b_say']) expect((await client.call(own, { text: 'hi' })).error?.message).toBe(`tool not found: ${own}`);
  }
  const records = (await rig.audit(8)).filter(({ tool: called }) => called === 'x_f_say');
  expect(records.map(({ upstream, original, outcome }) => [upstream, original, outcome])).toEqual([
    ...[0, 1].flatMap(() => [
      ['a', 'say', 'ok'],
      ['b', 'say', 'ok'],
    ]),
  ]);
  for (const upstream of ['a', 'b'])
    expect(await rig.metric(`turnpike_tool_calls_total{tool="x_f_say",upstream="${upstream}",outcome="ok"}`)).toBe(2);
});

it('2: one member is a family, too; a call that names nobody is told whom it may name', async () => {
  const a = await upstreamOf('a', [SAY]);
  const rig = await gateway({ upstreams: [member('a', a)] });
  for (const client of await clients(rig)) {
    expect(await names(client)).toEqual(['x_f_say']);
    for (const args of [{ text: 'hi' }, { text: 'hi', instance: '' }, { text: 'hi', instance: 5 }, { text: 'hi', instance: null }])
      expect((await client.call('x_f_say', args)).error).toEqual({ code: -32602, message: REQUIRED('a') });
    expect((await client.call('x_f_say')).error?.message).toBe(REQUIRED('a'));
    expect(textOf(await client.call('x_f_say', { instance: 'a' }))).toBe('a: say {}');
  }
  expect(a.count('tools/call')).toBe(2);
  const records = (await rig.audit(10, 'catalog/tool')).filter(({ outcome }) => outcome === 'refused');
  expect(records[0]).toMatchObject({ tool: 'x_f_say', error: REQUIRED('a') });
  expect(records[0]).not.toHaveProperty('upstream');
});

it('3: an unknown instance is answered with the members in view; one that is out of view reads like one that does not exist', async () => {
  const [a, b, c] = [await upstreamOf('a', [SAY]), await upstreamOf('b', [SAY]), await upstreamOf('c', [SAY])];
  const rig = await gateway({ upstreams: [member('a', a), member('b', b), member('c', c, { tenants: ['blue'] })] });
  for (const client of await clients(rig, 'alice')) {
    expect(await instances(client, 'x_f_say')).toEqual(['a', 'b']);
    for (const instance of ['c', 'd', 'A', 'a ', 'toString'])
      expect((await client.call('x_f_say', { instance })).error).toEqual({
        code: -32602,
        message: `tool x_f_say is not available on server "${instance}" (available: a, b)`,
      });
    expect((await client.call('x_f_say')).error?.message).toBe(REQUIRED('a, b'));
  }
  expect(await instances(rig.modern('bob'), 'x_f_say')).toEqual(['a', 'b', 'c']);
  expect(textOf(await rig.modern('bob').call('x_f_say', { instance: 'c' }))).toBe('c: say {}');
  expect([a, b].map((upstream) => upstream.count('tools/call'))).toEqual([0, 0]);
});

it('4: members that configure different arguments are shown by server, whatever their tools are', async () => {
  const [a, b] = [await upstreamOf('a', [tool('one')]), await upstreamOf('b', [tool('two')])];
  const rig = await gateway({ upstreams: [member('a', a), member('b', b, { family: { name: 'f', instanceArg: 'host' } })] });
  for (const client of await clients(rig)) {
    expect(await names(client)).toEqual(['x_a_one', 'x_b_two']);
    expect(textOf(await client.call('x_b_two', { host: 'b' }))).toBe('b: two {"host":"b"}');
    for (const name of ['x_f_one', 'x_f_two'])
      expect((await client.call(name, { instance: 'a', host: 'b' })).error?.message).toBe(`tool not found: ${name}`);
  }
  const lines = rig.lines.map((line) => JSON.parse(line) as JsonObject).filter(({ rule }) => rule === 'family-fallback');
  expect(lines.map(({ upstream, name }) => [upstream, name])).toEqual([
    ['a', 'f'],
    ['b', 'f'],
  ]);
});

it('5: a tool that one of three describes differently is shown by server, and no other', async () => {
  const { a, b } = await bothEras([SAY, tool('look')]);
  const c = await upstreamOf('c', [SAY, tool('look', { description: 'Looks elsewhere' })]);
  const rig = await gateway({ upstreams: [member('a', a), member('b', b), member('c', c)] });
  for (const client of await clients(rig)) {
    expect(await names(client)).toEqual(['x_f_say', 'x_a_look', 'x_b_look', 'x_c_look']);
    expect((await client.call('x_f_look', { instance: 'a' })).error?.message).toBe('tool not found: x_f_look');
    expect(textOf(await client.call('x_c_look', { instance: 'a' }))).toBe('c: look {"instance":"a"}');
    expect(textOf(await client.call('x_f_say', { instance: 'c' }))).toBe('c: say {}');
  }
  const found = rig.lines.map((line) => JSON.parse(line) as JsonObject).filter(({ rule }) => rule === 'family-fallback');
  expect(found.map(({ upstream }) => upstream)).toEqual(['a', 'b', 'c']);
  expect(await rig.metric('turnpike_catalog_findings_total{kind="family-fallback"}')).toBe(3);
  // They agree again: the family's name is back, and whoever listens hears of it.
  await c.until(() => c.listeners.size > 0);
  const stream = await rig.modern('alice').listen();
  c.script = { ...c.script, tools: [SAY, tool('look')] };
  c.notify('notifications/tools/list_changed');
  await stream.until((messages) => messages.some(({ method }) => method === 'notifications/tools/list_changed'));
  stream.close();
  expect(await names(rig.modern('alice'))).toEqual(['x_f_say', 'x_f_look']);
});

it('6: a member that stops leaves the enum; a call of it is told who is left, and those answer', async () => {
  const [a, b] = [await upstreamOf('a', [SAY]), await scripted({ tools: [SAY] })];
  const health = { interval: '250ms', timeout: '1s', failures: 1, staleFor: '500ms' };
  const rig = await gateway({ upstreams: [member('a', a, { health }), member('b', b, { health })] });
  await b.until(() => b.listeners.size > 0);
  const [modern, session] = [rig.modern('alice'), await rig.session('alice')];
  const streams = [await modern.listen(), await session.listen()];
  expect(await instances(modern, 'x_f_say')).toEqual(['a', 'b']);
  await b[Symbol.asyncDispose]();
  for (const stream of streams) {
    await stream.until((messages) => messages.some(({ method }) => method === 'notifications/tools/list_changed'));
    stream.close();
  }
  for (const client of [modern, session]) {
    expect(await instances(client, 'x_f_say')).toEqual(['a']);
    expect((await client.call('x_f_say', { instance: 'b' })).error?.message).toBe('tool x_f_say is not available on server "b" (available: a)');
    expect(textOf(await client.call('x_f_say', { instance: 'a' }))).toBe('a: say {}');
  }
});

it('7: each of two users has a member of their own, and a call of the one never reaches the other’s', async () => {
  const [a, b] = [await upstreamOf('a', [SAY]), await upstreamOf('b', [SAY])];
  const rig = await gateway({ upstreams: [member('a', a, { tenants: ['red'] }), member('b', b, { tenants: ['blue'] })] });
  const [alice, bob] = [await clients(rig, 'alice'), await clients(rig, 'bob')];
  for (const index of [0, 1]) {
    const [hers, his] = [alice[index] as Client, bob[index] as Client];
    expect(await Promise.all([instances(hers, 'x_f_say'), instances(his, 'x_f_say')])).toEqual([['a'], ['b']]);
    const answers = await Promise.all([
      hers.call('x_f_say', { instance: 'a' }),
      his.call('x_f_say', { instance: 'b' }),
      hers.call('x_f_say', { instance: 'b' }),
      his.call('x_f_say', { instance: 'a' }),
    ]);
    expect(answers.map((answered) => answered.error?.message ?? textOf(answered))).toEqual([
      'a: say {}',
      'b: say {}',
      'tool x_f_say is not available on server "b" (available: a)',
      'tool x_f_say is not available on server "a" (available: b)',
    ]);
  }
  expect([a, b].map((upstream) => upstream.count('tools/call'))).toEqual([2, 2]);
  const text = JSON.stringify([await listed(alice[0] as Client), await listed(alice[1] as Client)]);
  expect(text).not.toContain('"b"');
});

it('8: after a restart a call works before anybody listed', async () => {
  const { a, b } = await bothEras();
  const sections = { upstreams: [member('a', a), member('b', b)] };
  const before = await GatewayRig.start(sections);
  expect(textOf(await before.modern('alice').call('x_f_say', { instance: 'b' }))).toBe('b: say {}');
  await before[Symbol.asyncDispose]();
  const rig = await gateway(sections);
  for (const client of await clients(rig)) expect(textOf(await client.call('x_f_say', { instance: 'b', text: 'x' }))).toBe('b: say {"text":"x"}');
});

it('a reload that adds a member or takes one away is followed by lists, calls and notifications', async () => {
  const [a, b] = [await upstreamOf('a', [SAY]), await upstreamOf('b', [SAY])];
  const rig = await gateway({ upstreams: [member('a', a)] });
  const [modern, session] = [rig.modern('alice'), await rig.session('alice')];
  const streams = [await modern.listen(), await session.listen()];
  const told = (messages: readonly JsonObject[]) => messages.filter(({ method }) => method === 'notifications/tools/list_changed').length;
  const reload = async (upstreams: readonly object[]) => {
    const file = join(rig.folder, 'turnpike.yaml');
    const bytes = Buffer.from(configurationText(rig.folder, { upstreams }));
    await rig.gateway.reload(() => loadConfig({ file, cwd: rig.folder, env: { HOME: rig.folder }, readFile: async () => bytes }));
  };
  await reload([member('a', a), member('b', b)]);
  await until(
    () => instances(modern, 'x_f_say'),
    (all) => (all as string[]).length === 2,
    5_000,
  );
  expect(textOf(await session.call('x_f_say', { instance: 'b' }))).toBe('b: say {}');
  await Promise.all(streams.map((stream) => stream.until((messages) => told(messages) === 1)));
  await reload([member('b', b)]);
  expect(await instances(modern, 'x_f_say')).toEqual(['b']);
  expect((await session.call('x_f_say', { instance: 'a' })).error?.message).toBe('tool x_f_say is not available on server "a" (available: b)');
  await Promise.all(streams.map((stream) => stream.until((messages) => told(messages) === 2)));
  await reload([member('b', b, { family: { name: 'g', instanceArg: 'where' } })]);
  expect(await names(modern)).toEqual(['x_g_say']);
  expect(textOf(await modern.call('x_g_say', { where: 'b' }))).toBe('b: say {}');
  await reload([{ ...member('b', b), family: undefined }]);
  expect(await names(session)).toEqual(['x_b_say']);
  for (const stream of streams) stream.close();
});

describe('policy and names', () => {
  it('each of the 32 names is refused by the family’s name, too, whether a member is named or not; nothing goes upstream', async () => {
    const { a, b } = await bothEras([...DENYLIST.map((name) => tool(name)), SAY]);
    const rig = await gateway({ upstreams: [member('a', a), member('b', b)] });
    for (const client of await clients(rig)) {
      expect(await names(client)).toEqual(['x_f_say']);
      for (const name of DENYLIST) {
        for (const args of [{ instance: 'b' }, {}]) {
          const { result } = await client.call(`x_f_${name}`, args);
          const refused = `tool '${name}' is blocked as it is destructive. Use --yolo flag to allow destructive operations`;
          expect([result.isError, (result.content as JsonObject[])[0]?.text]).toEqual([true, refused]);
          expect((result._meta as JsonObject)['turnpike/refusal']).toEqual({ rule: 'denylist', tool: `x_f_${name}` });
        }
      }
    }
    expect([a.count('tools/call'), b.calls.length]).toEqual([0, 0]);
    const records = await rig.audit(128, 'denylist');
    expect(records).toHaveLength(128);
    expect(new Set(records.map(({ upstream }) => upstream))).toEqual(new Set(['b', undefined]));
  });

  it('a tool that a member hides or refuses is not offered for that member', async () => {
    const tools = [SAY, tool('kubectl_scale'), tool('read_all')];
    const [a, b, c] = [await upstreamOf('a', tools), await upstreamOf('b', tools), await upstreamOf('c', tools)];
    const rig = await gateway({
      policy: { nonDestructive: true, denylist: { except: ['a:kubectl_scale'] } },
      upstreams: [
        member('a', a, { tools: { readOnly: ['*'] } }),
        member('b', b, { tools: { readOnly: ['*'], deny: ['read_*'] } }),
        member('c', c, { tools: { readOnly: ['read_*'] } }),
      ],
    });
    const modern = rig.modern('alice');
    expect(await instances(modern, 'x_f_say')).toEqual(['a', 'b']);
    expect(await instances(modern, 'x_f_kubectl_scale')).toEqual(['a']);
    expect(await instances(modern, 'x_f_read_all')).toEqual(['a', 'c']);
    const said = async (name: string, instance: string) => {
      const answered = await modern.call(name, { instance });
      return answered.error?.message ?? textOf(answered);
    };
    expect(await said('x_f_say', 'c')).toBe("tool 'say' is not allowed in non-destructive mode");
    expect(await said('x_f_kubectl_scale', 'b')).toContain("tool 'kubectl_scale' is blocked as it is destructive.");
    expect(await said('x_f_kubectl_scale', 'a')).toBe('a: kubectl_scale {}');
    expect(await said('x_f_read_all', 'b')).toBe('tool x_f_read_all is not available on server "b" (available: a, c)');
    expect(await said('x_f_read_all', 'c')).toBe('c: read_all {}');
    expect([a, b, c].map((upstream) => upstream.count('tools/call'))).toEqual([1, 0, 1]);
  });

  it('names are made as everywhere, collisions cost all claimants, and only tools have family names', async () => {
    const long = `l${'o'.repeat(90)}ng`;
    const more = { prompts: [{ name: 'p' }], resources: [{ uri: 'note', name: 'note' }] };
    const [a, b, f] = [
      await upstreamOf('a', [tool('f_own'), tool('with space'), tool(long), tool('taken')], more),
      await upstreamOf('b', [tool('f_own'), tool('with space'), tool(long), tool('taken')], more),
      await upstreamOf('f', [tool('taken')]),
    ];
    const rig = await gateway({ upstreams: [member('a', a), member('b', b), { name: 'f', type: 'streamable-http', url: f.url }] });
    const modern = rig.modern('alice');
    const [own, space, cut, ...others] = await modern.toolNames();
    expect([own, space, others]).toEqual(['x_f_own', 'x_f_with_space', []]);
    expect(cut).toMatch(/^x_f_lo+_[0-9a-f]{8}$/);
    expect(textOf(await modern.call(String(cut), { instance: 'b' }))).toBe(`b: ${long} {}`);
    expect((await modern.call('x_f_taken', { instance: 'a' })).error?.message).toBe("tool 'x_f_taken' is ambiguous: provided by a, b, f");
    const prompts = (await modern.send('prompts/list')).result.prompts as JsonObject[];
    expect(prompts.map(({ name }) => name)).toEqual(['x_a_p', 'x_b_p']);
    const resources = (await modern.send('resources/list')).result.resources as JsonObject[];
    expect(resources.map(({ uri }) => uri)).toEqual(['x_a_note', 'x_b_note']);
  });

  it('a toolset narrows the members: by family, server and tool', async () => {
    const tools = [SAY, tool('look')];
    const [a, b, c] = [await upstreamOf('a', tools), await upstreamOf('b', tools), await upstreamOf('c', [SAY])];
    const rig = await gateway({ upstreams: [member('a', a), member('b', b), { name: 'c', type: 'streamable-http', url: c.url }] });
    for (const [toolset, expected] of [
      ['family:f', { x_f_say: ['a', 'b'], x_f_look: ['a', 'b'] }],
      ['server:b', { x_f_say: ['b'], x_f_look: ['b'] }],
      ['tool:x_f_look,server:c', { x_f_look: ['a', 'b'], x_c_say: undefined }],
      ['server:a,tool:x_f_say', { x_f_say: ['a', 'b'], x_f_look: ['a'] }],
    ] as const) {
      const { result } = await rig.modern('alice').send('tools/list', {}, { headers: { 'x-turnpike-toolset': toolset } });
      const found = (result.tools as { name: string; inputSchema: { properties: { instance?: { enum: string[] } } } }[]).map(
        ({ name, inputSchema }) => [name, inputSchema.properties.instance?.enum] as const,
      );
      expect(Object.fromEntries(found)).toEqual(expected);
    }
    const headers = { 'x-turnpike-toolset': 'server:b' };
    const outside = await rig.modern('alice').call('x_f_say', { instance: 'a' }, { headers });
    expect(outside.error?.message).toBe('tool x_f_say is not available on server "a" (available: b)');
    for (const selector of ['family:g', 'family:', 'tool:x_a_say'])
      expect((await rig.modern('alice').send('tools/list', {}, { headers: { 'x-turnpike-toolset': selector } })).error).toMatchObject({
        code: -32602,
        message: `unknown toolset selector '${selector}'`,
      });
  });
});
