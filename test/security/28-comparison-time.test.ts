import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GatewayRig, USERS } from './kit/gateway.ts';
import { get, type Reply, send } from './kit/http.ts';
import { type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';

/**
 * Class 28: a token that is nearly right takes the path of one that is quite wrong. Every comparison is of equal-length digests and
 * none stops early. (That no source compares a secret with `==` or `===` is what src/auth/secret-comparison.test.ts reads the sources for.)
 */

vi.mock('node:crypto', async (original) => {
  const module = await original<typeof import('node:crypto')>();
  return { ...module, timingSafeEqual: vi.fn(module.timingSafeEqual) };
});

const OPERATIONS = 'ops-token-0123456789abcdef';
let upstream: ScriptedUpstream;
let rig: GatewayRig;
const compare = vi.mocked((await import('node:crypto')).timingSafeEqual);

beforeAll(async () => {
  upstream = await scripted({ tools: [tool('read')] });
  rig = await GatewayRig.start({
    upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }],
    telemetry: { metrics: { token: OPERATIONS } },
  });
});
beforeEach(() => {
  compare.mockClear();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

/** What an answer shows, and which comparisons it took. */
async function path(request: () => Promise<Reply>): Promise<{ readonly shown: unknown; readonly compared: readonly string[] }> {
  compare.mockClear();
  const { status, headers, text } = await request();
  const { date: _date, ...others } = headers;
  return { shown: { status, headers: others, text }, compared: compare.mock.calls.map(([a, b]) => `${a.byteLength}/${b.byteLength}`) };
}

const nearMisses = (token: string) => [
  `${token}x`,
  token.slice(0, -1),
  `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`,
  `x${token.slice(1)}`,
  token.toUpperCase(),
  token.toLowerCase() === token ? `${token.charAt(0).toUpperCase()}${token.slice(1)}` : token.toLowerCase(),
  `${token}=`,
  'z',
  'z'.repeat(4000),
];

describe.each(Object.entries(USERS))('the static token of %s', (_name, { token }) => {
  it('is compared with every row, over 32 bytes, whatever comes', async () => {
    const ask = (bearer: string) => () => send(rig.url, 'POST', { 'content-type': 'application/json', authorization: `Bearer ${bearer}` }, '{}');
    const paths = [];
    for (const bearer of nearMisses(token)) paths.push(await path(ask(bearer)));
    const [first] = paths;
    expect(first).toMatchObject({ shown: { status: 401 }, compared: Array(Object.keys(USERS).length).fill('32/32') });
    for (const other of paths) expect(other).toEqual(first);
    // A hit takes as many comparisons as a miss.
    expect((await path(ask(token))).compared).toEqual(first?.compared);
    expect(upstream.calls()).toEqual([]);
  });
});

it('the operations token of /metrics is compared once, over 32 bytes', async () => {
  const url = rig.url.replace(/mcp$/, 'metrics');
  const ask = (bearer: string) => () => get(url, { authorization: `Bearer ${bearer}` });
  const paths = [];
  for (const bearer of nearMisses(OPERATIONS)) paths.push(await path(ask(bearer)));
  const [first] = paths;
  expect(first).toMatchObject({ shown: { status: 401 }, compared: ['32/32'] });
  for (const other of paths) expect(other).toEqual(first);
  expect(await path(ask(OPERATIONS))).toMatchObject({ shown: { status: 200 }, compared: ['32/32'] });
});

it('near misses of sealed texts get one answer', async () => {
  const client = rig.modern('alice');
  const sealed = `rs1.${'A'.repeat(120)}`;
  const answers = [sealed, `${sealed}A`, sealed.slice(0, -1), `tk1.${'A'.repeat(120)}`, 'rs1.', ''].map((requestState) =>
    client.send('tools/call', { name: 'x_up_read', arguments: {}, requestState, inputResponses: {} }, { id: 1 }),
  );
  const texts = (await Promise.all(answers)).map(({ text }) => text);
  expect(new Set(texts)).toEqual(new Set(['{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid or expired request state"}}']));
  expect(upstream.calls()).toEqual([]);
});
