import type http from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { HttpUpstream, startUpstream } from '../fixtures/http-upstream.ts';
import { until } from '../fixtures/processes.ts';
import { stdioFixture } from './kit/fixtures.ts';
import { GatewayRig } from './kit/gateway.ts';
import { event, json, type Received, type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';
import { head, wire } from './kit/wire.ts';

/** Class 27: a call is repeated only when it certainly did not run. The upstream counts what it executed. */

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const TOOLS = [
  tool('write'),
  tool('read', { annotations: { readOnlyHint: true } }),
  tool('put', { annotations: { idempotentHint: true } }),
  tool('claims', { annotations: { readOnlyHint: true, destructiveHint: false } }),
];

async function rigFor(
  act: (received: Received, response: http.ServerResponse, attempt: number) => JsonObject | undefined,
  more: JsonObject = {},
): Promise<{ rig: GatewayRig; upstream: ScriptedUpstream }> {
  let attempt = 0;
  const upstream = await scripted({ tools: TOOLS, act: (received, response) => act(received, response, ++attempt) });
  open.push(upstream);
  const rig = await GatewayRig.start({
    upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url, tools: { trustAnnotations: true }, ...more }],
  });
  open.push(rig);
  return { rig, upstream };
}

const LOST = "upstream 'up' closed the connection after the request was sent; the outcome is unknown";
const fault = (code: number) => ({ isError: true, _meta: { 'turnpike/error': { code, upstream: 'up' } } });

const cut = (_received: Received, response: http.ServerResponse): undefined => void response.socket?.destroy();
const cutLater = (received: Received, response: http.ServerResponse): undefined => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(
    event({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: (received.params._meta as JsonObject).progressToken as string, progress: 1 },
    }),
  );
  setTimeout(() => response.socket?.destroy(), 50);
};
const halfAnAnswer = (_received: Received, response: http.ServerResponse): undefined => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 }).write('{"jsonrpc":"2.0","id":');
  setTimeout(() => response.socket?.destroy(), 20);
};
const endWithoutAnswer = (_received: Received, response: http.ServerResponse): undefined =>
  void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(':\n\n');

describe('a write whose answer is lost runs once, and the caller is told that its outcome is unknown', () => {
  it.each([
    ['cut at once', cut],
    ['cut after a notification', cutLater],
    ['cut in the middle of the answer', halfAnAnswer],
    ['ended without an answer', endWithoutAnswer],
  ])('%s', async (_how, act) => {
    const { rig, upstream } = await rigFor(act);
    for (const client of [rig.modern('alice'), await rig.session('bob')]) {
      const before = upstream.count('tools/call');
      const reply = await client.call('x_up_write');
      expect(reply.result).toMatchObject({ ...fault(-31003), content: [{ text: LOST }] });
      expect(upstream.count('tools/call')).toBe(before + 1);
    }
  });

  it('kill -9 of a child in the middle of the call', async () => {
    const rig = await GatewayRig.start({ upstreams: [{ name: 'up', ...stdioFixture('legacy'), sharing: 'shared', retry: { initial: '100ms' } }] });
    open.push(rig);
    const client = rig.modern('alice');
    const writing = client.call('x_up_write', { key: 'k', delayMs: 20_000 });
    await client.call('x_up_counter');
    await client.call('x_up_crash').catch(() => undefined);
    expect((await writing).result).toMatchObject({ ...fault(-31003), content: [{ text: LOST }] });
    // The next process has not been asked to write.
    expect((await client.call('x_up_read', { key: 'k' })).result.structuredContent).toEqual({ count: 0 });
  });
});

describe('what is repeated after a cut', () => {
  const once = (received: Received, response: http.ServerResponse, attempt: number) =>
    attempt === 1 ? cut(received, response) : { content: [{ type: 'text', text: `attempt ${attempt}` }] };

  it.each(['read', 'put'])('a trusted %s, once', async (name) => {
    const { rig, upstream } = await rigFor(once);
    const reply = await rig.modern('alice').call(`x_up_${name}`);
    expect(reply.result.content).toMatchObject([{ text: 'attempt 2' }]);
    expect(upstream.count('tools/call')).toBe(2);
  });

  it.each(['read', 'put'])('a trusted %s is not repeated a second time', async (name) => {
    const { rig, upstream } = await rigFor(cut);
    expect((await rig.modern('alice').call(`x_up_${name}`)).result).toMatchObject(fault(-31003));
    expect(upstream.count('tools/call')).toBe(2);
  });

  it.each(['read', 'put', 'claims'])('not %s, when nobody trusts what the upstream says of itself', async (name) => {
    const { rig, upstream } = await rigFor(once, { tools: { trustAnnotations: false } });
    expect((await rig.modern('alice').call(`x_up_${name}`)).result).toMatchObject(fault(-31003));
    expect(upstream.count('tools/call')).toBe(1);
  });

  it('not a call that the client has given up', async () => {
    const { rig, upstream } = await rigFor((_received, response) => void setTimeout(() => response.socket?.destroy(), 300));
    const { body, headers } = rig.modern('alice').request('tools/call', { name: 'x_up_read', arguments: {} });
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    // Hanging up is the cancel of this revision.
    await wire(rig.port, head('POST /mcp HTTP/1.1', [`Host: 127.0.0.1:${rig.port}`, ...lines], body), { deadlineMs: 150 });
    expect(upstream.count('tools/call')).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(upstream.count('tools/call')).toBe(1);
  });
});

describe('no repeat, whatever the tool says of itself', () => {
  it.each([500, 502, 503, 504, 429, 408])('on %i', async (status) => {
    const { rig, upstream } = await rigFor((_received, response) => void json(response, status, { error: 'no' }));
    const reply = await rig.modern('alice').call('x_up_write');
    expect(reply.result.isError ?? reply.error !== undefined).toBe(true);
    expect(upstream.count('tools/call')).toBe(1);
  });

  it.each(['write', 'read'])('on a time-out of %s; the call is cancelled upstream', async (name) => {
    const gone: boolean[] = [];
    const { rig, upstream } = await rigFor((_received, response) => void response.once('close', () => gone.push(true)), {
      timeouts: { call: '500ms' },
    });
    const reply = await rig.modern('alice').call(`x_up_${name}`);
    expect(reply.result).toMatchObject({ ...fault(-31002), content: [{ text: `tool 'x_up_${name}' timed out after 0.5s` }] });
    expect(upstream.count('tools/call')).toBe(1);
    await until(
      () => gone.length,
      (count) => count === 1,
      2_000,
    );
  });

  it('on a redirect, which is not followed', async () => {
    const canary = await startUpstream((response) => void response.writeHead(200).end());
    open.push(canary);
    for (const status of [301, 302, 303, 307, 308]) {
      const { rig, upstream } = await rigFor((_received, response) => void response.writeHead(status, { location: canary.url }).end());
      expect((await rig.modern('alice').call('x_up_write')).text).toMatch(/"isError":true|"error"/);
      expect(upstream.count('tools/call')).toBe(1);
    }
    expect(canary.requests).toEqual([]);
  });

  it('on garbage, and on an answer to another request', async () => {
    const answers = [
      'nonsense',
      '{}',
      '[]',
      '{"jsonrpc":"2.0","id":987654,"result":{}}',
      '{"jsonrpc":"2.0","error":{"code":-32603,"message":"no id"}}',
    ];
    for (const body of answers) {
      const { rig, upstream } = await rigFor((_received, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(body));
      const reply = await rig.modern('alice').call('x_up_write');
      expect(reply.text).toMatch(/"isError":true|"error"/);
      expect(upstream.count('tools/call')).toBe(1);
    }
  });
});

it('a request that was certainly not sent may go out again, and runs once', async () => {
  const { rig, upstream } = await rigFor(() => ({ content: [] }));
  const client = rig.modern('alice');
  await client.call('x_up_write');
  const { port } = upstream;
  await upstream[Symbol.asyncDispose]();
  const down = await client.call('x_up_write');
  expect(down.result).toMatchObject(fault(-31001));
  expect(upstream.count('tools/call')).toBe(1);
  // Back on the same port: the idle sockets of before are dead, and the call still runs once.
  const again = new HttpUpstream(
    (response, seen) =>
      void json(response, 200, { jsonrpc: '2.0', id: (JSON.parse(seen.body) as JsonObject).id, result: { resultType: 'complete', content: [] } }),
  );
  open.push(again);
  await new Promise<void>((resolve) => again.server.listen(port, '127.0.0.1', resolve));
  const up = await client.call('x_up_write');
  expect(up.result.isError).toBeUndefined();
  expect(again.requests.filter(({ body }) => body.includes('"tools/call"'))).toHaveLength(1);
});

describe('refused unprocessed: 404 to a session', () => {
  /** A session upstream that forgets its sessions; what it refuses it did not run. */
  async function forgetful(forget: (session: string, calls: number) => boolean): Promise<{ rig: GatewayRig; upstream: HttpUpstream; ran: string[] }> {
    const ran: string[] = [];
    let sessions = 0;
    let calls = 0;
    const upstream = await startUpstream((response, { method, body, headers }) => {
      if (method !== 'POST') return void response.writeHead(405).end();
      const { id, method: asked, params } = JSON.parse(body) as { id?: number; method: string; params?: JsonObject };
      const result = (value: JsonObject, more: http.OutgoingHttpHeaders = {}) =>
        response.writeHead(200, { 'content-type': 'application/json', ...more }).end(JSON.stringify({ jsonrpc: '2.0', id, result: value }));
      if (asked === 'server/discover') return void json(response, 400, { jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } });
      if (asked === 'initialize') {
        const made = `s${++sessions}`;
        return void result(
          { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'f', version: '1' } },
          { 'mcp-session-id': made },
        );
      }
      if (id === undefined) return void response.writeHead(202).end();
      if (asked === 'tools/list') return void result({ tools: TOOLS });
      if (asked !== 'tools/call') return void result({});
      if (forget(String(headers['mcp-session-id']), ++calls)) return void response.writeHead(404).end();
      ran.push(`${headers['mcp-session-id']} ${String(params?.name)}`);
      result({ content: [] });
    });
    open.push(upstream);
    const rig = await GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }] });
    open.push(rig);
    return { rig, upstream, ran };
  }

  it('one new handshake, one more request, one execution', async () => {
    const { rig, upstream, ran } = await forgetful((_session, calls) => calls === 2);
    const client = rig.modern('alice');
    await client.call('x_up_write');
    const reply = await client.call('x_up_write');
    expect(reply.result.isError).toBeUndefined();
    expect(ran).toHaveLength(2);
    expect(new Set(ran).size).toBe(2);
    expect(upstream.requests.filter(({ body }) => body.includes('"tools/call"'))).toHaveLength(3);
  });

  it('twice: the caller is told, and nothing ran', async () => {
    const { rig, upstream, ran } = await forgetful(() => true);
    const reply = await rig.modern('alice').call('x_up_write');
    expect(reply.text).toContain("upstream 'up' lost its session");
    expect(ran).toEqual([]);
    expect(upstream.requests.filter(({ body }) => body.includes('"tools/call"'))).toHaveLength(2);
  });
});
