import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { GatewayRig } from './kit/gateway.ts';
import { type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';
import { head, wire } from './kit/wire.ts';

/** Class 19: the body decides; a header that says something else, or says it twice, ends the request with -32020. */

const REGION = { type: 'string', 'x-mcp-header': 'Region' };
const PRIORITY = { type: 'integer', 'x-mcp-header': 'Priority' };

let upstream: ScriptedUpstream;
let rig: GatewayRig;

beforeAll(async () => {
  upstream = await scripted({
    tools: [
      tool('read'),
      tool('destroy', { annotations: { destructiveHint: true } }),
      tool('mirrored', { inputSchema: { type: 'object', properties: { region: REGION, priority: PRIORITY } } }),
    ],
    prompts: [{ name: 'ask' }],
    resources: [
      { uri: 'test://one', name: 'one' },
      { uri: 'test://ünï', name: 'two' },
    ],
    act: ({ method, params }) => {
      if (method === 'prompts/get') return { messages: [] };
      if (method === 'resources/read') return { contents: [{ uri: params.uri, text: 'x' }], ttlMs: 0, cacheScope: 'private' };
      return { content: [{ type: 'text', text: String(params.name) }] };
    },
  });
  rig = await GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }] });
  await upstream.until(() => upstream.listeners.size > 0);
});
beforeEach(() => {
  upstream.requests.length = 0;
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

type Lines = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A correct request with some header lines replaced, several lines of a name, or none. Case and blanks are written as given. */
async function bent(method: string, params: Record<string, unknown>, lines: Lines, raw: readonly string[] = []) {
  const { body, headers } = rig.modern('alice').request(method, params as never, { id: 'req-1' });
  const replaced = new Set(Object.keys(lines).map((name) => name.toLowerCase()));
  const kept = Object.entries(headers).filter(([name]) => !replaced.has(name));
  const added = Object.entries(lines).flatMap(([name, values]) =>
    values === undefined ? [] : [values].flat().map((value) => [name, value] as const),
  );
  const all = [...kept, ...added].map(([name, value]) => `${name}: ${value}`);
  return wire(rig.port, head('POST /mcp HTTP/1.1', [`Host: 127.0.0.1:${rig.port}`, ...all, ...raw], body));
}

const CALL = { name: 'x_up_read', arguments: {} };
const b64 = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`;

describe('refused before anything reaches an upstream', () => {
  it.each<[string, string, Record<string, unknown>, Lines, string[]?]>([
    ['another method', 'tools/call', CALL, { 'Mcp-Method': 'tools/list' }],
    ['the method in another case', 'tools/call', CALL, { 'Mcp-Method': 'Tools/Call' }],
    ['no method', 'tools/call', CALL, { 'Mcp-Method': undefined }],
    ['an empty method', 'tools/call', CALL, { 'Mcp-Method': '' }],
    ['two methods', 'tools/call', CALL, { 'Mcp-Method': ['tools/call', 'tools/list'] }],
    ['two equal methods', 'tools/call', CALL, { 'Mcp-Method': ['tools/call', 'tools/call'] }],
    ['two methods in two spellings of the header', 'tools/call', CALL, { 'Mcp-Method': 'tools/call' }, ['mcp-METHOD: tools/list']],
    ['an encoded method', 'tools/call', CALL, { 'Mcp-Method': b64('tools/call') }],
    ['another name', 'tools/call', CALL, { 'Mcp-Name': 'x_up_destroy' }],
    ['a harmless name before a body that destroys', 'tools/call', { name: 'x_up_destroy', arguments: {} }, { 'Mcp-Name': 'x_up_read' }],
    ['the name in another case', 'tools/call', CALL, { 'Mcp-Name': 'X_UP_READ' }],
    ['no name', 'tools/call', CALL, { 'Mcp-Name': undefined }],
    ['two names', 'tools/call', CALL, { 'Mcp-Name': ['x_up_read', 'x_up_destroy'] }],
    ['two equal names', 'tools/call', CALL, { 'Mcp-Name': ['x_up_read', 'x_up_read'] }],
    ['another name in base64', 'tools/call', CALL, { 'Mcp-Name': b64('x_up_destroy') }],
    ['broken base64', 'tools/call', CALL, { 'Mcp-Name': '=?base64?%%%?=' }],
    ['base64 with spare bits', 'tools/call', { name: 'x', arguments: {} }, { 'Mcp-Name': '=?base64?eB==?=' }],
    ['base64 that is no UTF-8', 'tools/call', CALL, { 'Mcp-Name': `=?base64?${Buffer.from([0xff, 0xfe]).toString('base64')}?=` }],
    ['base64 with a mark in it', 'tools/call', CALL, { 'Mcp-Name': '=?base64?eF91cF9yZWFk?=?=' }],
    ['a name that looks like the encoding and is not encoded', 'resources/read', { uri: b64('test://one') }, { 'Mcp-Name': b64('test://one') }],
    ['raw UTF-8 in the name', 'resources/read', { uri: 'test://ünï' }, { 'Mcp-Name': Buffer.from('test://ünï').toString('latin1') }],
    ['a prompt by another name', 'prompts/get', { name: 'x_up_ask' }, { 'Mcp-Name': 'x_up_other' }],
    ['a resource by another URI', 'resources/read', { uri: 'test://one' }, { 'Mcp-Name': 'test://two' }],
    ['a resource by the encoded URI', 'resources/read', { uri: 'test://one' }, { 'Mcp-Name': 'test%3A%2F%2Fone' }],
    ['a task by another id', 'tasks/get', { taskId: 'tk1.a' }, { 'Mcp-Name': 'tk1.b' }],
    ['another version', 'tools/call', CALL, { 'MCP-Protocol-Version': '2025-11-25' }],
    ['two versions', 'tools/call', CALL, { 'MCP-Protocol-Version': ['2026-07-28', '2025-11-25'] }],
    ['two equal versions', 'tools/call', CALL, { 'MCP-Protocol-Version': ['2026-07-28', '2026-07-28'] }],
    ['no version', 'tools/call', CALL, { 'MCP-Protocol-Version': undefined }],
    ['another parameter', 'tools/call', { name: 'x_up_mirrored', arguments: { region: 'eu' } }, { 'Mcp-Param-Region': 'us' }],
    ['no parameter', 'tools/call', { name: 'x_up_mirrored', arguments: { region: 'eu' } }, {}],
    ['a parameter the body does not have', 'tools/call', { name: 'x_up_mirrored', arguments: {} }, { 'Mcp-Param-Region': 'us' }],
    ['a parameter that is null in the body', 'tools/call', { name: 'x_up_mirrored', arguments: { region: null } }, { 'Mcp-Param-Region': 'us' }],
    ['two equal parameters', 'tools/call', { name: 'x_up_mirrored', arguments: { region: 'eu' } }, { 'Mcp-Param-Region': ['eu', 'eu'] }],
    [
      'two parameters that make the argument when joined',
      'tools/call',
      { name: 'x_up_mirrored', arguments: { region: 'eu, us' } },
      { 'Mcp-Param-Region': ['eu', 'us'] },
    ],
    ['a number written as text', 'tools/call', { name: 'x_up_mirrored', arguments: { priority: 1 } }, { 'Mcp-Param-Priority': '0x1' }],
    ['another number', 'tools/call', { name: 'x_up_mirrored', arguments: { priority: 1 } }, { 'Mcp-Param-Priority': '2' }],
  ])('%s', async (_name, method, params, lines, raw) => {
    const reply = await bent(method, params, lines, raw);
    expect(reply.status).toBe(400);
    expect(reply.text).toContain('"code":-32020');
    expect(reply.text).toContain('"id":"req-1"');
    expect(upstream.received).toEqual([]);
  });

  it.each<[string, string]>([
    ['folded', 'Mcp-Name: x_up_read\r\n  ,x_up_destroy'],
    ['folded before its value', 'Mcp-Name:\r\n x_up_read'],
    ['with a bare line feed', 'Mcp-Name: x_up_read\nMcp-Name: x_up_destroy'],
    ['with a NUL', 'Mcp-Name: x_up_read\0'],
    ['with a blank before the colon', 'Mcp-Name : x_up_read'],
  ])('a header that is %s', async (_name, line) => {
    const reply = await bent('tools/call', CALL, { 'Mcp-Name': undefined }, [line]);
    expect(reply.status).toBe(400);
    expect(upstream.received).toEqual([]);
  });

  it.each<[string, readonly string[]]>([
    ['two lengths', ['Content-Length: 3', 'Content-Length: 4']],
    ['a length and chunks', ['Content-Length: 3', 'Transfer-Encoding: chunked']],
    ['chunks in two codings', ['Transfer-Encoding: chunked, identity']],
  ])('a body framed by %s', async (_name, lines) => {
    const { body, headers } = rig.modern('alice').request('tools/call', CALL);
    const own = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const reply = await wire(rig.port, head('POST /mcp HTTP/1.1', [`Host: 127.0.0.1:${rig.port}`, ...own, ...lines], body));
    expect(reply.status).toBe(400);
    expect(upstream.received).toEqual([]);
  });
});

describe('members that stand twice, so that two readers would take different ones', () => {
  it.each([
    ['method', '{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"tools/list","params":P}'],
    ['params', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{},"params":P}'],
    ['an escaped method', '{"jsonrpc":"2.0","id":1,"method":"tools/call","m\\u0065thod":"tools/list","params":P}'],
    ['name', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x_up_destroy",REST}'],
    ['an escaped name', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"n\\u0061me":"x_up_destroy",REST}'],
    ['_meta', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{},REST}'],
  ])('%s: refused', async (_name, template) => {
    const { body, headers } = rig.modern('alice').request('tools/call', CALL);
    const params = JSON.stringify((JSON.parse(body) as { params: unknown }).params);
    const sent = template.replace('P}', `${params}}`).replace('REST}', `${params.slice(1)}}`);
    const own = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const reply = await wire(rig.port, head('POST /mcp HTTP/1.1', [`Host: 127.0.0.1:${rig.port}`, ...own], sent));
    expect(reply.status).toBe(400);
    expect(reply.text).toContain('stands twice');
    expect(upstream.received).toEqual([]);
  });
});

describe('what says the same is served, and the upstream gets headers made from the body', () => {
  it.each<[string, string, Record<string, unknown>, Lines]>([
    ['header names in any case', 'tools/call', CALL, { 'MCP-METHOD': 'tools/call', 'mcp-NAME': 'x_up_read' }],
    ['blanks around values', 'tools/call', CALL, { 'Mcp-Method': '  tools/call\t', 'Mcp-Name': ' x_up_read ' }],
    ['the same name in base64', 'tools/call', CALL, { 'Mcp-Name': b64('x_up_read') }],
    ['a number in another form', 'tools/call', { name: 'x_up_mirrored', arguments: { priority: 10 } }, { 'Mcp-Param-Priority': '1e1' }],
  ])('%s', async (_name, method, params, lines) => {
    const reply = await bent(method, params, lines);
    expect(reply.status).toBe(200);
    expect(reply.text).not.toContain('"error"');
    const [call] = upstream.calls(method);
    expect(call?.headers).toMatchObject({ 'mcp-method': method, 'mcp-name': String(params.name).replace('x_up_', '') });
  });

  it('a non-ASCII URI in base64', async () => {
    const reply = await bent('resources/read', { uri: 'test://ünï' }, {});
    expect(reply.text).toContain('"text":"x"');
    expect(upstream.calls('resources/read')[0]?.params.uri).toBe('test://ünï');
  });
});

it('policy reads the body: a destructive tool stays refused under every header that passes, and its name in the header refuses nothing', async () => {
  const refused = await bent('tools/call', { name: 'x_up_destroy', arguments: {} }, {});
  expect(refused.text).toContain("tool 'destroy' is blocked as it is destructive");
  expect(upstream.calls()).toEqual([]);
  const listed = await bent('tools/list', {}, { 'Mcp-Name': 'x_up_destroy' });
  expect(listed.text).toContain('x_up_read');
});

it('a session client cannot slip a parameter header past its body', async () => {
  const session = await rig.session('alice');
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x_up_mirrored', arguments: { priority: 3 } } };
  const reply = await session.post(message, { 'mcp-param-region': 'us', 'mcp-param-priority': '9', 'mcp-name': 'x_up_destroy' });
  expect(reply.status).toBe(200);
  const [call] = upstream.calls('tools/call');
  expect(call?.headers['mcp-param-region']).toBeUndefined();
  expect(call?.headers).toMatchObject({ 'mcp-param-priority': '3', 'mcp-name': 'mirrored' });
});
