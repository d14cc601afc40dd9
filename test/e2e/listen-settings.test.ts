import https from 'node:https';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { Authority } from '../fixtures/authority.ts';
import { GatewayRig, type Sections } from '../security/kit/gateway.ts';
import { get, type Reply, send } from '../security/kit/http.ts';
import { event, scripted, text, tool } from '../security/kit/upstreams.ts';
import { head, wire } from '../security/kit/wire.ts';

/** The section `listen`, as clients meet it. */
const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function gateway(listen: object, sections: Sections = {}): Promise<GatewayRig> {
  const upstream = await scripted({ tools: [tool('say')], act: () => text('said') });
  open.push(upstream);
  const rig = await GatewayRig.start({ listen, upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }], ...sections });
  open.push(rig);
  return rig;
}

/** One request over TLS that trusts `ca` alone. */
function secure(url: string, ca: Buffer, headers: Readonly<Record<string, string>>, body: string, method = 'POST'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = https.request(url, { method, headers, ca, agent: false }, (response) => {
      let said = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        said += piece;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text: said, messages: [] }));
    });
    request.once('error', reject);
    request.end(body);
  });
}

describe('listen.tls', () => {
  it('serves both eras over HTTPS, TLS 1.2 and up, with HSTS; plain HTTP gets nothing', async () => {
    using authority = new Authority();
    const rig = await gateway({ tls: authority.files });
    const { ca } = authority;
    expect(rig.url).toMatch(/^https:/);
    const { headers, body } = rig.modern('alice').request('tools/call', { name: 'x_up_say', arguments: {} });
    const modern = await secure(rig.url, ca, headers, body);
    expect([modern.status, modern.headers['strict-transport-security']]).toEqual([200, 'max-age=31536000; includeSubDomains']);
    expect(modern.text).toContain('said');
    const { authorization = '' } = headers;
    const plain = { authorization, 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    const opened = await secure(rig.url, ca, plain, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }));
    const session = String(opened.headers['mcp-session-id']);
    const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'x_up_say', arguments: {} } };
    expect((await secure(rig.url, ca, { ...plain, 'mcp-session-id': session }, JSON.stringify(call))).text).toContain('said');
    expect((await secure(rig.url, ca, { ...plain, 'mcp-session-id': session }, '', 'DELETE')).status).toBe(204);

    await expect(send(rig.url.replace('https:', 'http:'), 'POST', headers, body)).rejects.toThrow();
    const version = (maxVersion: tls.SecureVersion) =>
      new Promise<string | null>((resolve) => {
        const options = { host: '127.0.0.1', port: rig.port, ca, minVersion: 'TLSv1' as const, maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' };
        const socket = tls.connect(options, () => {
          resolve(socket.getProtocol());
          socket.destroy();
        });
        socket.once('error', () => resolve(null));
      });
    expect([await version('TLSv1.1'), await version('TLSv1.2'), await version('TLSv1.3')]).toEqual([null, 'TLSv1.2', 'TLSv1.3']);
  });

  it('a certificate that cannot be read keeps the gateway from starting, by its key', async () => {
    using authority = new Authority();
    const tls = { certFile: authority.files.certFile, keyFile: `${authority.files.keyFile}.none` };
    await expect(GatewayRig.start({ listen: { tls } })).rejects.toThrow(/listen\.tls\.keyFile/);
  });
});

it('who waits to be told to go on is told in order, also behind an earlier request of the connection', async () => {
  const rig = await gateway({});
  const { headers, body } = rig.modern('alice').request('tools/call', { name: 'x_up_say', arguments: {} });
  const lines = Object.entries({ host: `127.0.0.1:${rig.port}`, ...headers }).map(([name, value]) => `${name}: ${value}`);
  const request = (...more: readonly string[]) => head('POST /mcp HTTP/1.1', [...lines, ...more], body);
  const waiting = request('expect: 100-continue', 'connection: close');
  const bodyAt = waiting.length - body.length;
  const statuses = async (pieces: readonly string[]) => {
    const { text: said } = await wire(rig.port, pieces, { untilClosed: true, pauseMs: 200 });
    // A status line is where an answer begins, or within another one.
    return [said.match(/HTTP\/1\.1 \d{3}/g), said.match(/HTTP\/1\.1 [24]\d\d(?:(?!\r\n\r\n\{).)*HTTP\/1\.1/gs)];
  };
  const told = ['HTTP/1.1 200', 'HTTP/1.1 100', 'HTTP/1.1 200'];
  expect(await statuses([waiting.slice(0, bodyAt), body])).toEqual([told.slice(1), null]);
  expect(await statuses([request() + waiting.slice(0, bodyAt), body])).toEqual([told, null]);
  // Who is refused before its turn need not be told.
  const refused = waiting.replace('application/json', 'text/plain');
  expect(await statuses([request() + refused])).toEqual([['HTTP/1.1 200', 'HTTP/1.1 415'], null]);
});

it('every answer carries the headers of security.md; HSTS only where it is asked for', async () => {
  const rig = await gateway({});
  const hsts = await gateway({ hsts: true });
  const paths = ['mcp', 'healthz', 'readyz', 'metrics', 'nothing-here'];
  const answers = await Promise.all(paths.map((path) => get(rig.url.replace(/mcp$/, path))));
  answers.push(await rig.modern('alice').send('tools/list'), await rig.modern().send('tools/list'));
  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'strict-origin-when-cross-origin',
      'content-security-policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    expect(headers['strict-transport-security']).toBeUndefined();
  }
  expect((await get(hsts.url.replace(/mcp$/, 'healthz'))).headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains');
});

it('listen.streaming: false answers as JSON only, whatever the upstream says besides, refuses listen, and has no GET', async () => {
  const upstream = await scripted({
    tools: [tool('say')],
    act: ({ message }, response) => {
      const said = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'a line' } };
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(event(said) + event({ jsonrpc: '2.0', id: message.id, result: { resultType: 'complete', ...text('said') } }));
      return undefined;
    },
  });
  open.push(upstream);
  const start = async (listen: object) => {
    const rig = await GatewayRig.start({ listen, upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }] });
    open.push(rig);
    const session = await rig.session('alice');
    await session.send('logging/setLevel', { level: 'debug' });
    const meta = { 'io.modelcontextprotocol/logLevel': 'debug' };
    const answers = [await session.call('x_up_say'), await rig.modern('alice').call('x_up_say', {}, { meta })];
    for (const { text } of answers) expect(text).toContain('said');
    return { rig, session, types: answers.map(({ headers }) => headers['content-type']) };
  };
  const { rig, session, types } = await start({ streaming: false });
  expect(types).toEqual(['application/json', 'application/json']);
  expect((await session.listen()).status).toBe(405);
  expect((await rig.modern('alice').send('subscriptions/listen', { notifications: {} })).status).toBe(406);
  expect((await start({})).types).toEqual(['text/event-stream', 'text/event-stream']);
});

describe('listen.trustedProxies', () => {
  const limits = { ip: 1, ipBurst: 3 };
  const from = async (rig: GatewayRig, forwarded: string) => {
    const lines = [`Host: 127.0.0.1:${rig.port}`, 'Content-Type: application/json', 'Authorization: Bearer wrong', `X-Forwarded-For: ${forwarded}`];
    return (await wire(rig.port, head('POST /mcp HTTP/1.1', lines, '{}'))).status;
  };

  it('of a proxy that is trusted the client is the last hop that is none', async () => {
    const rig = await gateway({ trustedProxies: ['127.0.0.1', '10.0.0.0/8'] }, { limits });
    for (let attempt = 0; attempt < 3; attempt++) expect(await from(rig, '198.51.100.7, 203.0.113.9, 10.1.2.3')).toBe(401);
    expect(await from(rig, '198.51.100.8, 203.0.113.9, 10.9.9.9')).toBe(429);
    expect(await from(rig, '203.0.113.9, 203.0.113.10')).toBe(401);
  });

  it('nobody else may say whom it speaks for', async () => {
    const rig = await gateway({}, { limits });
    const statuses = [];
    for (let attempt = 0; attempt < 5; attempt++) statuses.push(await from(rig, `203.0.113.${attempt}`));
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
  });
});
