import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayRig } from './kit/gateway.ts';
import { type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';

/** Class 9: neither a template of an upstream nor a pattern of ours can make matching slow. */

const many = (count: number, part: string) => Array.from({ length: count }, () => part).join('');
/** Templates that were exponential or polynomial in one library or another (CVE-2026-0621), by what they would do to a backtracking matcher. */
const TEMPLATES: readonly string[] = [
  'evil://{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n}!',
  `evil://${many(16, '{x*}a')}!`,
  `evil://${many(16, '{+x}/')}!`,
  'evil://{/a*}{/b*}{/c*}{/d*}!',
  'evil://{?a*,b*,c*}{&d*,e*}!',
  'evil://{a,b,c,d,e,f,g,h}{a,b,c,d,e,f,g,h}!',
  `evil://${many(500, 'a{x}')}!`,
  'evil://{unclosed',
  'evil://{{{{a}}}}',
  'evil://{a:99999}',
  '{+everything}!',
];
const LONG = 'a'.repeat(8_000);
const URIS: readonly string[] = [
  `evil://${LONG}`,
  `evil://${many(2000, '/a')}`,
  `evil://${many(1000, '?a=b&')}`,
  `evil://${many(3000, 'a,')}`,
  `evil://${'a'.repeat(200_000)}`,
];

let upstream: ScriptedUpstream;
let rig: GatewayRig;

beforeAll(async () => {
  upstream = await scripted({
    tools: [tool('a'.repeat(5_000)), tool('fine')],
    resources: [{ uri: 'test://one', name: 'one' }],
    templates: [...TEMPLATES, ...Array.from({ length: 300 }, (_, index) => `evil://${many(15, '{+x}a')}${index}!`)].map((uriTemplate, index) => ({
      uriTemplate,
      name: `template ${index}`,
    })),
  });
  const pattern = `${many(99, '*a')}*b`;
  rig = await GatewayRig.start({
    upstreams: [
      { name: 'up', type: 'streamable-http', url: upstream.url, tools: { deny: [pattern, `${many(60, '?*')}b`, `${many(30, '[a-z]*')}0`] } },
    ],
  });
  await rig.modern('alice').send('tools/list');
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

/** Processor time of this process for one piece of work, its best of three: other processes share the machine. Milliseconds. */
async function cost(work: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / 1000);
  }
  return best;
}

describe.each(URIS.map((uri) => [`${uri.slice(0, 20)}… (${uri.length})`, uri] as const))('a URI %s', (_name, uri) => {
  it('is answered within 50 ms of work: nothing else can have waited longer for the loop', async () => {
    const client = await rig.session('alice');
    const spent = await cost(async () => {
      const { error } = await client.send('resources/read', { uri });
      expect(error?.code).toBe(-32002);
    });
    expect(spent).toBeLessThan(50);
    expect(upstream.calls('resources/read')).toEqual([]);
  });
});

it('completions and subscriptions of hostile templates are no slower', async () => {
  const client = await rig.session('alice');
  const uri = TEMPLATES[6] ?? '';
  const spent = await cost(() => client.send('completion/complete', { ref: { type: 'ref/resource', uri }, argument: { name: 'x', value: LONG } }));
  const watched = await cost(() => client.send('resources/subscribe', { uri: URIS[0] }));
  expect([spent < 50, watched < 50]).toEqual([true, true]);
});

it('patterns of the configuration do not backtrack on a hostile name, and harmless tools are listed', async () => {
  const started = process.cpuUsage();
  const fresh = await GatewayRig.start({
    upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url, tools: { deny: [`${many(99, '*a')}*b`] } }],
  });
  const names = await fresh.modern('alice').toolNames();
  const { user, system } = process.cpuUsage(started);
  await fresh[Symbol.asyncDispose]();
  expect(names).toHaveLength(2);
  expect((user + system) / 1000).toBeLessThan(2_000);
});

it.each([
  ['longer than 200 characters', 'a'.repeat(201)],
  ['an unclosed class', '[a-'],
  ['an empty class', '[]'],
  ['a range that runs backwards', '[z-a]'],
  ['a negation that tools read in two ways', '[!a]'],
])('a pattern that is %s keeps the gateway from starting', async (_what, pattern) => {
  const starting = GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url, tools: { deny: [pattern] } }] });
  await expect(starting).rejects.toMatchObject({ code: 'config/invalid' });
});

it('hostile header values are compared in linear time', async () => {
  const client = rig.modern('alice');
  const base64 = `=?base64?${'A'.repeat(20_000)}!?=`;
  const spent = await cost(() => client.call('x_up_fine', {}, { headers: { 'mcp-name': base64 } }));
  const accept = await cost(() => client.send('tools/list', {}, { headers: { accept: `${'a/b;'.repeat(5_000)},application/json` } }));
  const toolset = await cost(() => client.send('tools/list', {}, { headers: { 'x-turnpike-toolset': 'tool:a,'.repeat(3_000) } }));
  expect([spent < 50, accept < 50, toolset < 50]).toEqual([true, true, true]);
});
