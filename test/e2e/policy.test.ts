import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DENYLIST } from '../../src/catalog/denylist.ts';
import type { JsonObject } from '../../src/core/mcp.ts';
import { type Answered, type LegacyClient, ModernClient, textOf } from '../security/kit/clients.ts';
import { GatewayRig, type Sections, STATIC_AUTH } from '../security/kit/gateway.ts';
import { type ScriptedUpstream, scripted, tool } from '../security/kit/upstreams.ts';

/** Policy over a real connection: what is refused is not listed, is audited, and no request of it reaches an upstream (aggregator.md section 3). */
let upstream: ScriptedUpstream;
const open: AsyncDisposable[] = [];

beforeAll(async () => {
  upstream = await scripted({
    tools: [
      ...DENYLIST.map((name) => tool(name)),
      tool('wipe', { annotations: { destructiveHint: true } }),
      tool('look', { annotations: { readOnlyHint: true } }),
      tool('read_all'),
      tool('harmless', { annotations: { destructiveHint: false } }),
      tool('secret_one'),
    ],
    prompts: [{ name: 'kubectl_apply' }],
    resources: [{ uri: 'test://one', name: 'one' }],
    act: ({ method }) =>
      method === 'prompts/get' ? { messages: [] } : method === 'resources/read' ? { contents: [] } : { content: [{ type: 'text', text: 'done' }] },
  });
  open.push(upstream);
});
afterAll(async () => {
  for (const one of open.reverse()) await one[Symbol.asyncDispose]();
});

async function gateway(policy: JsonObject, more: JsonObject = {}, sections: Sections = {}): Promise<GatewayRig> {
  const rig = await GatewayRig.start({ policy, upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url, ...more }], ...sections });
  open.push(rig);
  upstream.requests.length = 0;
  return rig;
}

const blocked = (name: string) => `tool '${name}' is blocked as it is destructive. Use --yolo flag to allow destructive operations`;
const refusal = (answered: Answered) => [answered.status, answered.result.isError, textOf(answered), answered.result._meta];

describe('without any setting', () => {
  let rig: GatewayRig;
  let session: LegacyClient;
  beforeAll(async () => {
    rig = await gateway({});
    session = await rig.session('alice');
  });

  it('each of the 32 names is unlisted, refused with the fixed text in both eras, and audited; nothing of it goes upstream', async () => {
    const { result } = await session.send('tools/list');
    const listed = { modern: await rig.modern('alice').toolNames(), legacy: (result.tools as JsonObject[]).map(({ name }) => name) };
    expect(listed.modern).toEqual(['x_up_look', 'x_up_read_all', 'x_up_harmless', 'x_up_secret_one']);
    expect(listed.legacy).toEqual(listed.modern);
    for (const name of DENYLIST) {
      for (const client of [rig.modern('alice'), session]) {
        const answered = await client.call(`x_up_${name}`, {});
        expect(refusal(answered)).toEqual([
          200,
          true,
          blocked(name),
          expect.objectContaining({ 'turnpike/refusal': { rule: 'denylist', tool: `x_up_${name}` } }),
        ]);
      }
    }
    expect(upstream.calls()).toEqual([]);
    const records = (await rig.audit(64)).filter(({ decision }) => decision === 'denylist');
    expect(records).toHaveLength(64);
    expect(new Set(records.map(({ original }) => original))).toEqual(new Set(DENYLIST));
    expect(new Set(records.map(({ outcome, upstream: at, code }) => `${outcome} ${at} ${code}`))).toEqual(new Set(['refused up policy/denied']));
  });

  it('a tool that calls itself destructive is treated alike; other hints refuse nothing and arrive unchanged', async () => {
    expect(refusal(await rig.modern('alice').call('x_up_wipe'))).toEqual([
      200,
      true,
      blocked('wipe'),
      expect.objectContaining({ 'turnpike/refusal': { rule: 'annotations', tool: 'x_up_wipe' } }),
    ]);
    expect(upstream.calls()).toEqual([]);
    const { result } = await rig.modern('alice').send('tools/list');
    expect(result.tools).toEqual(
      expect.arrayContaining([expect.objectContaining({ name: 'x_up_harmless', annotations: { destructiveHint: false } })]),
    );
    expect(textOf(await rig.modern('alice').call('x_up_harmless'))).toBe('done');
  });

  it('prompts and resources are no tools: a prompt of such a name is served', async () => {
    expect((await rig.modern('alice').send('prompts/get', { name: 'x_up_kubectl_apply' })).result).toMatchObject({ messages: [] });
    expect((await rig.modern('alice').send('resources/read', { uri: 'test://one' })).result).toMatchObject({ contents: [] });
  });
});

it('--yolo lists and runs every one of them, and says so at the start', async () => {
  const rig = await gateway({ yolo: true });
  const names = [...DENYLIST, 'wipe'];
  expect(await rig.modern('alice').toolNames()).toEqual(expect.arrayContaining(names.map((name) => `x_up_${name}`)));
  for (const name of names) expect(textOf(await rig.modern('alice').call(`x_up_${name}`))).toBe('done');
  expect(upstream.calls('tools/call').map(({ params }) => params.name)).toEqual(names);
  expect(rig.lines.some((line) => line.includes('policy.yolo') && line.includes('"warn"'))).toBe(true);
  expect(await rig.metrics()).toContain('turnpike_weakened{setting="policy.yolo"} 1');
});

it('a pair lifts one name at one upstream; a further name is refused; annotations may be ignored', async () => {
  const second = { name: 'two', type: 'streamable-http', url: upstream.url };
  const rig = await gateway(
    { denylist: { extra: ['harmless'], except: ['up:cleanup'] }, annotations: 'ignore' },
    {},
    {
      upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }, second],
    },
  );
  const client = rig.modern('alice');
  expect(textOf(await client.call('x_up_cleanup'))).toBe('done');
  expect(textOf(await client.call('x_two_cleanup'))).toBe(blocked('cleanup'));
  expect(textOf(await client.call('x_up_harmless'))).toBe(blocked('harmless'));
  expect(textOf(await client.call('x_up_wipe'))).toBe('done');
  expect(upstream.count('tools/call')).toBe(2);
});

it('allow and deny of an upstream make its tools absent, like a name that never was', async () => {
  const rig = await gateway({ yolo: true }, { tools: { allow: ['*e*', 'look'], deny: ['secret_*'] } });
  const client = rig.modern('alice');
  const listed = await client.toolNames();
  expect(listed).toContain('x_up_look');
  expect(listed).not.toContain('x_up_secret_one');
  for (const name of ['x_up_secret_one', 'x_up_capi_pause_kluster'])
    expect((await client.call(name)).error).toEqual({ code: -32602, message: `tool not found: ${name}` });
  expect(upstream.calls()).toEqual([]);
});

it('non-destructive mode passes what the configuration, or a trusted hint, calls read-only, and --yolo does not lift it', async () => {
  const only = (name: string) => `tool '${name}' is not allowed in non-destructive mode`;
  const rig = await gateway({ nonDestructive: true, yolo: true }, { tools: { readOnly: ['read_*'] } });
  const client = rig.modern('alice');
  expect(textOf(await client.call('x_up_read_all'))).toBe('done');
  expect(textOf(await client.call('x_up_look'))).toBe(only('look'));
  expect(textOf(await client.call('x_up_wipe'))).toBe(only('wipe'));
  expect(await client.toolNames()).toEqual(['x_up_read_all']);
  const trusting = await gateway({ nonDestructive: true }, { tools: { trustAnnotations: true } });
  expect(await trusting.modern('alice').toolNames()).toEqual(['x_up_look']);
  expect(textOf(await trusting.modern('alice').call('x_up_look'))).toBe('done');
});

it('turnpike:read suffices for lists, reads and read-only tools; every other call needs turnpike:write', async () => {
  const token = 'tok-reader-1f0a93';
  const auth = { ...STATIC_AUTH, static: [{ name: 'reader', token, scopes: ['turnpike:read'] }] };
  const rig = await gateway({}, { tools: { readOnly: ['read_*'], trustAnnotations: true } }, { auth });
  const reader = new ModernClient(rig.url, token);
  for (const name of ['x_up_read_all', 'x_up_look']) expect(textOf(await reader.call(name))).toBe('done');
  expect((await reader.send('resources/read', { uri: 'test://one' })).status).toBe(200);
  expect((await reader.send('prompts/get', { name: 'x_up_kubectl_apply' })).status).toBe(200);
  const refused = await reader.call('x_up_harmless');
  expect([refused.status, refused.headers['www-authenticate']]).toEqual([403, 'Bearer scope="turnpike:write", error="insufficient_scope"']);
  expect(upstream.count('tools/call')).toBe(2);
});
