import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import { textOf } from '../security/kit/clients.ts';
import { GatewayRig, type Sections } from '../security/kit/gateway.ts';
import { type ScriptedUpstream, scripted, text, tool } from '../security/kit/upstreams.ts';

/** What is listed, under which names, and that calls follow it to the upstream (aggregator.md sections 1 and 2, protocol.md section 13). */
const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function upstreamOf(tools: readonly JsonObject[]): Promise<ScriptedUpstream> {
  const upstream = await scripted({ tools, act: ({ params }) => text(`it is ${String(params.name ?? params.uri)}`) });
  open.push(upstream);
  return upstream;
}

async function gateway(sections: Sections): Promise<GatewayRig> {
  const rig = await GatewayRig.start(sections);
  open.push(rig);
  return rig;
}

const entry = (name: string, { url }: ScriptedUpstream, more: object = {}) => ({ name, type: 'streamable-http', url, ...more });

it('a tool whose x-mcp-header stands on a number is absent, its neighbours are present, and one warning names it', async () => {
  const broken = { inputSchema: { type: 'object', properties: { share: { type: 'number', 'x-mcp-header': 'Share' } } } };
  const upstream = await upstreamOf([tool('before'), tool('broken', broken), tool('after')]);
  const rig = await gateway({ upstreams: [entry('up', upstream)] });
  expect(await rig.modern('alice').toolNames()).toEqual(['x_up_before', 'x_up_after']);
  const { result } = await (await rig.session('bob')).send('tools/list');
  expect((result.tools as JsonObject[]).map(({ name }) => name)).toEqual(['x_up_before', 'x_up_after']);
  expect((await rig.modern('alice').call('x_up_broken', { share: 0.5 })).error).toEqual({ code: -32602, message: 'tool not found: x_up_broken' });
  expect(upstream.calls()).toEqual([]);
  const warnings = rig.lines.map((line) => JSON.parse(line) as JsonObject).filter(({ level, name }) => level === 'warn' && name === 'broken');
  expect(warnings).toEqual([expect.objectContaining({ upstream: 'up', kind: 'tools', dropped: true })]);
});

it('a tool that an upstream adds or takes away is followed by lists, calls and notifications', async () => {
  const upstream = await upstreamOf([tool('first')]);
  const rig = await gateway({ upstreams: [entry('up', upstream)] });
  await upstream.until(() => upstream.listeners.size > 0);
  const session = await rig.session('bob');
  const [modern, legacy] = [await rig.modern('alice').listen(), await session.listen()];
  const told = (messages: readonly JsonObject[]) => messages.filter(({ method }) => method === 'notifications/tools/list_changed').length;
  const change = async (tools: JsonObject[], times: number) => {
    upstream.script = { ...upstream.script, tools };
    upstream.notify('notifications/tools/list_changed');
    await Promise.all([modern, legacy].map((stream) => stream.until((messages) => told(messages) === times)));
  };
  expect((await rig.modern('alice').call('x_up_second')).error?.message).toBe('tool not found: x_up_second');
  await change([tool('first'), tool('second')], 1);
  expect(await rig.modern('alice').toolNames()).toEqual(['x_up_first', 'x_up_second']);
  expect(textOf(await rig.modern('alice').call('x_up_second'))).toBe('it is second');
  expect(textOf(await session.call('x_up_second'))).toBe('it is second');
  await change([tool('second')], 2);
  expect(await rig.modern('alice').toolNames()).toEqual(['x_up_second']);
  expect((await session.call('x_up_first')).error?.message).toBe('tool not found: x_up_first');
  expect(upstream.count('tools/call')).toBe(2);
  for (const stream of [modern, legacy]) stream.close();
});

it('names: prefix and toolPrefix, no doubling, foreign characters, a length limit; the upstream hears its own name', async () => {
  const long = `a${'b'.repeat(100)}`;
  const original = ['git_search', 'plain', 'with/slash', long];
  const upstream = await upstreamOf(original.map((name) => tool(name)));
  const rig = await gateway({ catalog: { prefix: 'z' }, upstreams: [entry('github', upstream, { toolPrefix: 'git' })] });
  const names = await rig.modern('alice').toolNames();
  expect(names.slice(0, 3)).toEqual(['z_git_search', 'z_git_plain', 'z_git_with_slash']);
  expect(names[3]).toMatch(/^z_git_ab+_[0-9a-f]{8}$/);
  expect(names[3]).toHaveLength(64);
  for (const [index, name] of names.entries()) expect(textOf(await rig.modern('alice').call(name))).toBe(`it is ${original[index]}`);
  expect((await rig.modern('alice').call('plain')).error?.message).toBe('tool not found: plain');
});

describe('X-Turnpike-Toolset', () => {
  it('narrows what is listed and called to the union of its selectors, per request, in both eras', async () => {
    const [a, b] = [await upstreamOf([tool('one'), tool('two')]), await upstreamOf([tool('one'), tool('two')])];
    const rig = await gateway({ upstreams: [entry('a', a), entry('b', b)] });
    const headers = { 'x-turnpike-toolset': 'server:a, tool:x_b_two' };
    const modern = rig.modern('alice');
    const names = async (more: object) => ((await modern.send('tools/list', {}, more)).result.tools as JsonObject[]).map(({ name }) => name);
    expect(await names({ headers })).toEqual(['x_a_one', 'x_a_two', 'x_b_two']);
    expect(await names({})).toHaveLength(4);
    expect(textOf(await modern.call('x_b_two', {}, { headers }))).toBe('it is two');
    expect((await modern.call('x_b_one', {}, { headers })).error).toEqual({ code: -32602, message: 'tool not found: x_b_one' });
    const session = await rig.session('bob');
    const listed = await session.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, headers);
    expect(listed.messages).toEqual([expect.objectContaining({ result: { tools: [expect.anything(), expect.anything(), expect.anything()] } })]);
    expect(b.calls().map(({ params }) => params.name)).toEqual(['two']);
    for (const selector of ['server:c', 'tool:x_b_none', 'preset:full', 'nonsense'])
      expect((await modern.send('tools/list', {}, { headers: { 'x-turnpike-toolset': selector } })).error).toMatchObject({
        code: -32602,
        message: `unknown toolset selector '${selector}'`,
      });
  });
});

it('an upstream gets its configured headers and its own credential, and nothing of the caller’s', async () => {
  const upstream = await upstreamOf([tool('say')]);
  const folder = await mkdtemp(join(tmpdir(), 'turnpike-key-'));
  open.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) });
  await writeFile(join(folder, 'key'), 'key-of-up\n');
  const value = `\${file:${join(folder, 'key')}}`;
  const own = { headers: { 'X-Region': 'eu' }, auth: { mode: 'header', header: { name: 'X-Api-Key', value } } };
  const rig = await gateway({ upstreams: [entry('up', upstream, own)] });
  const foreign = {
    cookie: 'a=b',
    'x-actor-token': 'actor',
    'impersonate-user': 'root',
    'x-forwarded-for': '203.0.113.1',
    'mcp-param-more': 'kept',
    'x-turnpike-toolset': 'server:up',
  };
  await rig.modern('alice').call('x_up_say', {}, { headers: foreign });
  const session = await rig.session('bob');
  await session.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x_up_say', arguments: {} } }, foreign);
  const seen = await until(
    () => upstream.calls('tools/call'),
    (all) => all.length === 2,
    5_000,
  );
  for (const { headers } of seen) {
    expect(headers).toMatchObject({ 'x-region': 'eu', 'x-api-key': 'key-of-up', 'mcp-method': 'tools/call', 'mcp-name': 'say' });
    for (const name of ['authorization', 'cookie', 'x-actor-token', 'impersonate-user', 'x-forwarded-for', 'mcp-session-id', 'x-turnpike-toolset'])
      expect(headers[name]).toBeUndefined();
  }
  expect(seen.map(({ headers }) => headers['mcp-param-more'])).toEqual(['kept', undefined]);
  expect(JSON.stringify(upstream.requests)).not.toMatch(/tok-alice|tok-bob/);
});
