import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ConfigDocument, configFrom, createGateway, type Gateway, type GatewayOverrides, type HandleOptions } from '../../src/index.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { type ScriptedUpstream, scripted, text, tool } from '../security/kit/upstreams.ts';

/** A gateway in somebody's own `node:http` server, as docs/guides/library.md describes it. */
let folder: string;
let upstream: ScriptedUpstream;
const open: { close(): Promise<unknown> }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnpike-library-'));
  upstream = await scripted({ tools: [tool('say')], act: () => text('said') });
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  await upstream[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function gatewayOf(document: ConfigDocument = {}, overrides: GatewayOverrides = {}): Promise<Gateway> {
  const upstreams: ConfigDocument['upstreams'] = [{ name: 'up', type: 'streamable-http', url: upstream.url }];
  const telemetry = { audit: { file: join(folder, 'audit.jsonl') } };
  const config = await configFrom({ upstreams, telemetry, ...document }, { cwd: folder });
  const gateway = await createGateway(config, { listener: false, logger: silentLogger, ...overrides });
  open.push({ close: async () => gateway[Symbol.asyncDispose]() });
  await gateway.start(AbortSignal.timeout(5_000));
  await gateway.settled(AbortSignal.timeout(5_000));
  return gateway;
}

/** The embedder's own server: `/hello` is theirs, `at` is the gateway's. */
async function serverOf(gateway: Gateway, at = '/mcp', options?: HandleOptions): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    if (request.url?.startsWith(at) === true) void gateway.handle(request, response, options);
    else response.end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({
    close: async () => {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  });
  return { server, port: (server.address() as AddressInfo).port };
}

async function client(url: string, headers: Record<string, string> = {}): Promise<Client> {
  const one = new Client({ name: 'embedded', version: '1' });
  await one.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  open.push(one);
  return one;
}

const call = async (one: Client) => ((await one.callTool({ name: 'x_up_say', arguments: {} })).content as { text: string }[])[0]?.text;

describe('a gateway in a server of yours', () => {
  it('answers on its path, and the rest of the server is untouched', async () => {
    const gateway = await gatewayOf();
    const { port } = await serverOf(gateway);
    const one = await client(`http://127.0.0.1:${port}/mcp`);
    expect((await one.listTools()).tools.map(({ name }) => name)).toEqual(['x_up_say']);
    expect(await call(one)).toBe('said');
    expect(await (await fetch(`http://127.0.0.1:${port}/hello`)).text()).toBe('hello');
    expect(gateway.status().upstreams).toMatchObject([{ name: 'up', state: 'connected', tools: 1 }]);
  });

  it('can stand at another path, in another server, twice', async () => {
    const gateway = await gatewayOf();
    const first = await serverOf(gateway, '/tools', { path: '/mcp' });
    const second = await serverOf(gateway);
    expect(await call(await client(`http://127.0.0.1:${first.port}/tools/mcp`))).toBe('said');
    expect(await call(await client(`http://127.0.0.1:${second.port}/mcp`))).toBe('said');
    const health = await serverOf(gateway, '/live', { path: '/healthz' });
    expect(await (await fetch(`http://127.0.0.1:${health.port}/live?probe=1`)).json()).toEqual({ status: 'ok' });
  });

  it('opens no listener of its own', async () => {
    const taken = await serverOf(await gatewayOf());
    // The same port again: it would fail to start if it listened.
    const second = await gatewayOf({ listen: { port: taken.port } });
    expect(second.endpoint).toBe(`http://127.0.0.1:${taken.port}/mcp`);
  });

  it('checks what its own listener checks: Host, Origin, path, credential', async () => {
    const gateway = await gatewayOf({ auth: { modes: ['static'], static: [{ name: 'ann', token: 'tok-of-ann-123456' }] } });
    const { port } = await serverOf(gateway, '/');
    const url = `http://127.0.0.1:${port}/mcp`;
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
    const post = (headers: Record<string, string> = {}) =>
      fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } }).then(({ status }) => status);
    expect(await post({ authorization: 'Bearer wrong' })).toBe(401);
    expect(await post()).toBe(401);
    expect(await post({ origin: 'https://evil.example' })).toBe(403);
    expect(await statusFor(port, '/mcp', { host: 'evil.example' })).toBe(403);
    expect((await fetch(`http://127.0.0.1:${port}/elsewhere`)).status).toBe(404);
    expect(await call(await client(url, { authorization: 'Bearer tok-of-ann-123456' }))).toBe('said');
  });

  it('without authentication serves nobody but this machine, wherever the server listens', async () => {
    const gateway = await gatewayOf();
    let from: string | undefined = '10.1.2.3';
    const server = createServer((request, response) => {
      Object.defineProperty(request.socket, 'remoteAddress', { value: from, configurable: true });
      void gateway.handle(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push({
      close: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
    const { port } = server.address() as AddressInfo;
    expect(await statusFor(port, '/mcp', {})).toBe(401);
    // A session request without a session: it was let in.
    for (from of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) expect(await statusFor(port, '/mcp', {})).toBe(400);
  });

  it('says so when the body was read before, and does not hang', async () => {
    const lines: string[] = [];
    const logger = { ...silentLogger, error: (message: string, fields?: object) => void lines.push(message + JSON.stringify(fields)) };
    const gateway = await gatewayOf({}, { logger });
    const server = createServer((request, response) => {
      request.resume().once('end', () => void gateway.handle(request, response));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push({ close: () => new Promise((resolve) => server.close(resolve)) });
    const { port } = server.address() as AddressInfo;
    const headers = { 'content-type': 'application/json', connection: 'close' };
    const { status } = await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', body: '{}', headers });
    expect([status, lines.join()]).toEqual([500, expect.stringContaining('in front of body parsers')]);
  });
});

describe('the ends of a gateway and of its server are apart', () => {
  it('draining answers 503 and lets the server go on', async () => {
    const gateway = await gatewayOf();
    const { port } = await serverOf(gateway);
    const one = await client(`http://127.0.0.1:${port}/mcp`);
    await gateway.drain(AbortSignal.timeout(2_000));
    await expect(call(one)).rejects.toThrow(/shutting down|503/);
    expect(await (await fetch(`http://127.0.0.1:${port}/hello`)).text()).toBe('hello');
    await gateway[Symbol.asyncDispose]();
    const { status } = await fetch(`http://127.0.0.1:${port}/mcp`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
    });
    expect([status, await (await fetch(`http://127.0.0.1:${port}/hello`)).text()]).toEqual([503, 'hello']);
  });

  it('dispose ends what runs and the streams of sessions, so that the server can close', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    upstream.script = {
      tools: [tool('say')],
      act: async () => {
        await held;
        return text('late');
      },
    };
    const gateway = await gatewayOf();
    const { port, server } = await serverOf(gateway);
    const one = await client(`http://127.0.0.1:${port}/mcp`);
    const running = call(one).catch((error: unknown) => String(error));
    while (upstream.count('tools/call') === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await gateway[Symbol.asyncDispose]();
    expect(await running).toMatch(/shut down|closed|unknown|terminated/);
    release();
    await one.close();
    server.closeIdleConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('a configuration as an object', () => {
  it('names every key that is wrong', async () => {
    const wrong = { listen: { prot: 1 }, upstreams: [{ name: '9', type: 'stdio' }] } as unknown as ConfigDocument;
    await expect(configFrom(wrong, { cwd: folder })).rejects.toMatchObject({
      code: 'config/invalid',
      message: expect.stringMatching(/listen\.prot.*did you mean "port".*upstreams\[0\]/s),
    });
  });

  it('reads no variable that it was not given, and keeps values in memory', async () => {
    const document: ConfigDocument = {
      upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url, headers: { 'X-Key': `$${'{env:KEY}'}` } }],
    };
    await expect(configFrom(document, { cwd: folder })).rejects.toThrow(/KEY/);
    const config = await configFrom(document, { cwd: folder, env: { KEY: 'k', TURNPIKE_LISTEN_PORT: '1234' } });
    expect([config.listen.port, config.store.type, config.store.dir]).toEqual([1234, 'memory', join(folder, '.turnpike')]);
    vi.stubEnv('TURNPIKE_LISTEN_PORT', '1234');
    expect((await configFrom({}, { cwd: folder })).listen.port).toBe(8080);
    vi.unstubAllEnvs();
  });
});

/** The status of a POST without a session, over a raw request: fetch sets its own Host. */
async function statusFor(port: number, path: string, headers: Record<string, string>): Promise<number | undefined> {
  const request = httpRequest({ host: '127.0.0.1', port, path, method: 'POST', headers: { 'content-type': 'application/json', ...headers } });
  request.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }));
  const [response] = await once(request, 'response');
  response.resume();
  return response.statusCode;
}
