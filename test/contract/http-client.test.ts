import type { IncomingHttpHeaders } from 'node:http';
import { expect, it } from 'vitest';
import { Secret } from '../../src/core/secret.ts';
import { Flight } from '../../src/upstream/http/flight.ts';
import { HttpClient, type HttpClientOptions } from '../../src/upstream/http/http-client.ts';
import type { HttpFailure } from '../../src/upstream/http/http-failure.ts';
import { OriginPools } from '../../src/upstream/http/origin-pools.ts';
import { Route } from '../../src/upstream/http/route.ts';
import { HttpProxy, selfSigned, startRaw, startUpstream } from '../fixtures/http-upstream.ts';

/** Keeps all that it hears. */
class Heard extends Flight {
  status?: number;
  headers?: IncomingHttpHeaders;
  body = '';
  failure?: HttpFailure;
  readonly calls: string[] = [];
  readonly #over = Promise.withResolvers<this>();
  readonly over = this.#over.promise;
  onData = () => {};

  protected head(status: number, headers: IncomingHttpHeaders) {
    this.calls.push('head');
    Object.assign(this, { status, headers });
  }

  protected data(chunk: Buffer) {
    this.body += chunk;
    this.onData();
  }

  protected end() {
    this.calls.push('end');
    this.#over.resolve(this);
  }

  protected failed(failure: HttpFailure) {
    this.calls.push('fail');
    this.failure = failure;
    this.#over.resolve(this);
  }
}

function call(
  client: HttpClient,
  url: string,
  options: { signal?: AbortSignal; body?: string; headers?: Record<string, string>; onData?: () => void } = {},
) {
  const heard = new Heard(new Route(new URL(url)), options.signal ?? AbortSignal.timeout(10_000));
  if (options.onData) heard.onData = options.onData;
  client.dispatch(heard, { method: 'POST', headers: Object.entries(options.headers ?? {}).flat(), body: Buffer.from(options.body ?? '{}') });
  return Object.assign(heard.over, { abort: () => heard.abort() });
}

function client(options: HttpClientOptions = {}) {
  const made = new HttpClient(options);
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close() });
}

it('relays status, headers and body, and reuses its sockets', async () => {
  await using upstream = await startUpstream((response, { body }) => response.writeHead(201, { 'x-a': 'b' }).end(`got ${body}`));
  await using http = client();
  for (let turn = 0; turn < 5; turn++) {
    const heard = await call(http, `${upstream.url}?q=1`, { body: `${turn}` });
    expect(heard).toMatchObject({ status: 201, body: `got ${turn}`, calls: ['head', 'end'] });
    expect(heard.headers?.['x-a']).toBe('b');
  }
  // The socket of an answer is free one turn after the answer, so calls one after the other use two.
  expect(upstream.accepted).toBeLessThanOrEqual(2);
  expect(upstream.requests[0]?.url).toBe('/mcp?q=1');
});

it('destroys idle and busy sockets when closed, and takes no more requests', async () => {
  await using upstream = await startUpstream((response, { body }) => {
    if (body === 'quick') response.end('ok');
    else response.writeHead(200).write('begun');
  });
  const http = new HttpClient();
  await Promise.all([call(http, upstream.url, { body: 'quick' }), call(http, upstream.url, { body: 'quick' })]);
  let begun = () => {};
  const first = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const busy = call(http, upstream.url, { body: 'slow', onData: begun });
  await first;
  expect(upstream.sockets.size).toBe(2);
  await http.close();
  expect((await busy).failure).toMatchObject({ sent: true });
  await upstream.until(() => upstream.sockets.size === 0);
  expect(http.sockets).toBe(0);
  expect((await call(http, upstream.url)).failure).toMatchObject({ kind: 'closed', sent: false });
  await http.close();
});

it('lets a pool go once no socket is left, and makes it again', async () => {
  await using upstream = await startUpstream((response) => response.end('ok'));
  const sockets = new Set<unknown>();
  const pools = new OriginPools({ connections: 4, pipelining: 1 }, sockets);
  const ask = async () => {
    const heard = new Heard(new Route(new URL(upstream.url)), AbortSignal.timeout(10_000));
    const { origin, path } = heard.route;
    pools.dispatch({ origin, path, method: 'POST', headers: [], body: Buffer.from('{}') }, heard);
    return (await heard.over).body;
  };
  const hangUp = async () => {
    for (const socket of upstream.sockets) socket.destroy();
    await upstream.until(() => upstream.sockets.size === 0);
  };
  for (let turn = 0; turn < 2; turn++) {
    expect(await Promise.all([ask(), ask()])).toEqual(['ok', 'ok']);
    expect(pools.size).toBe(1);
    await hangUp();
    while (pools.size > 0) await new Promise((resolve) => setImmediate(resolve));
  }
  // Another origin still has one.
  sockets.add('another');
  await ask();
  await hangUp();
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(pools.size).toBe(1);
  await pools.destroy();
});

it('says that a refused connection, an unknown name and a closed client sent nothing', async () => {
  const gone = await startUpstream(() => undefined);
  const { url, port } = gone;
  await gone[Symbol.asyncDispose]();
  await using http = client();
  const refused = await call(http, url);
  expect(refused.failure).toMatchObject({ kind: 'connect', sent: false, message: `cannot connect to 127.0.0.1:${port} (ECONNREFUSED)` });
  expect((await call(http, 'http://no-such-host.invalid/mcp?key=hidden')).failure).toMatchObject({ kind: 'dns', sent: false });
  expect((await call(http, 'http://no-such-host.invalid/mcp?key=hidden')).failure?.message).not.toContain('hidden');
});

it('gives up a connection that nobody accepts after the connect timeout, and leaves no socket', async () => {
  await using silent = await startRaw(() => undefined);
  await using http = client({ connectTimeoutMs: 200 });
  // TCP connects, TLS never answers.
  const heard = await call(http, `https://127.0.0.1:${silent.port}/`);
  expect(heard.failure).toMatchObject({ kind: 'connect', sent: false, message: `cannot connect to 127.0.0.1:${silent.port} (timed out)` });
  while (http.sockets > 0) await new Promise((resolve) => setImmediate(resolve));
});

it('destroys a socket that still connects when closed', async () => {
  await using silent = await startRaw(() => undefined);
  const http = new HttpClient();
  const pending = call(http, `https://127.0.0.1:${silent.port}/`);
  while (http.sockets === 0) await new Promise((resolve) => setImmediate(resolve));
  await http.close();
  expect((await pending).failure).toMatchObject({ sent: false });
  expect(http.sockets).toBe(0);
});

it('says that a reset after the request may have been processed', async () => {
  await using upstream = await startUpstream((_response, _seen, raw) => raw.socket.resetAndDestroy());
  await using http = client();
  expect((await call(http, upstream.url)).failure).toMatchObject({ kind: 'reset', sent: true });
  expect(upstream.requests).toHaveLength(1);
});

it('says that an answer which is no HTTP, or whose headers are too large, came after sending', async () => {
  await using garbage = await startRaw((socket) => socket.on('data', () => socket.end('SSH-2.0-x\r\n\r\n')));
  await using http = client({ maxHeaderBytes: 1024 });
  expect((await call(http, `http://127.0.0.1:${garbage.port}/`)).failure).toMatchObject({ kind: 'response', sent: true });
  await using large = await startUpstream((response) => response.writeHead(200, { 'x-large': 'x'.repeat(2000) }).end());
  expect((await call(http, large.url)).failure).toMatchObject({ kind: 'response', sent: true, message: /too large/ as never });
});

it('aborts before the first byte as not sent, and does not send it later', async () => {
  await using upstream = await startUpstream((response) => response.end('ok'));
  await using http = client({ maxSockets: 1 });
  expect((await call(http, upstream.url, { signal: AbortSignal.abort() })).failure).toMatchObject({ kind: 'aborted', sent: false });
  let release = () => {};
  upstream.answer = (response) => {
    release = () => response.end('held');
  };
  const holder = call(http, upstream.url, { body: 'holder' });
  await upstream.until(() => upstream.requests.length === 1);
  const abort = new AbortController();
  const queued = call(http, upstream.url, { body: 'queued', signal: abort.signal });
  abort.abort();
  expect((await queued).failure).toMatchObject({ kind: 'aborted', sent: false });
  upstream.answer = (response) => response.end('ok');
  release();
  expect((await holder).body).toBe('held');
  expect((await call(http, upstream.url, { body: 'last' })).body).toBe('ok');
  expect(upstream.requests.map(({ body }) => body)).toEqual(['holder', 'last']);
});

it('aborts a running request as sent and takes its socket down', async () => {
  await using upstream = await startUpstream(() => undefined);
  await using http = client();
  const abort = new AbortController();
  const running = call(http, upstream.url, { signal: abort.signal });
  await upstream.until(() => upstream.requests.length === 1);
  abort.abort();
  expect(await running).toMatchObject({ calls: ['fail'], failure: { kind: 'aborted', sent: true } });
  await upstream.until(() => upstream.sockets.size === 0);
});

it('is silent after an abort by its handle', async () => {
  await using upstream = await startUpstream((response) => response.writeHead(200).write('x'));
  await using http = client();
  const running = call(http, upstream.url, { onData: () => running.abort() });
  await upstream.until(() => upstream.accepted === 1);
  await upstream.until(() => upstream.sockets.size === 0);
  expect(await Promise.race([running, 'silent'])).toBe('silent');
});

it('follows no redirect and names the target host only', async () => {
  await using target = await startUpstream((response) => response.end('never'));
  await using upstream = await startUpstream((response) => response.writeHead(307, { location: `${target.url}?token=hidden` }).end());
  await using http = client();
  const { failure } = await call(http, upstream.url);
  expect(failure).toMatchObject({ kind: 'redirect', sent: true, status: 307 });
  expect(failure?.message).toContain(`redirects to 127.0.0.1:${target.port} (status 307)`);
  expect(failure?.message).not.toContain('hidden');
  expect(target.requests).toHaveLength(0);
  await upstream.until(() => upstream.sockets.size === 0);
});

it('skips interim answers', async () => {
  await using upstream = await startUpstream((response) => {
    response.writeProcessing();
    response.writeEarlyHints({ link: '</a>; rel=preload' });
    response.end('final');
  });
  await using http = client();
  expect(await call(http, upstream.url)).toMatchObject({ status: 200, body: 'final', calls: ['head', 'end'] });
});

it('refuses a header that would break out of its line, unsent', async () => {
  await using upstream = await startUpstream((response) => response.end('ok'));
  await using http = client();
  expect((await call(http, upstream.url, { headers: { 'x-a': 'b\r\nx-c: d' } })).failure).toMatchObject({ kind: 'request', sent: false });
  expect(upstream.accepted).toBe(0);
});

it('trusts its own roots, checks names, and takes serverName and insecureSkipVerify', async () => {
  using pem = selfSigned();
  await using upstream = await startUpstream((response) => response.end('ok'), { cert: pem.cert, key: pem.key });
  await using plain = client();
  expect((await call(plain, upstream.url)).failure).toMatchObject({ kind: 'tls', sent: false, message: /DEPTH_ZERO_SELF_SIGNED_CERT/ as never });
  await using trusting = client({ tls: { caFile: pem.caFile } });
  expect((await call(trusting, upstream.url)).body).toBe('ok');
  await using named = client({ tls: { caFile: pem.caFile, serverName: 'upstream.test' } });
  expect((await call(named, upstream.url)).body).toBe('ok');
  await using misnamed = client({ tls: { caFile: pem.caFile, serverName: 'other.test' } });
  expect((await call(misnamed, upstream.url)).failure).toMatchObject({ kind: 'tls', sent: false });
  await using careless = client({ tls: { insecureSkipVerify: true } });
  expect((await call(careless, upstream.url)).body).toBe('ok');
});

it('presents its certificate, and says which file it cannot read', async () => {
  using pem = selfSigned();
  const tls = { cert: pem.cert, key: pem.key, ca: pem.cert, requestCert: true, rejectUnauthorized: true };
  await using upstream = await startUpstream((response) => response.end('ok'), tls);
  const files = { caFile: pem.caFile, certFile: pem.caFile, keyFile: pem.caFile.replace('cert.pem', 'key.pem') };
  await using mutual = client({ tls: files });
  expect((await call(mutual, upstream.url)).body).toBe('ok');
  await using anonymous = client({ tls: { caFile: pem.caFile } });
  expect((await call(anonymous, upstream.url)).failure).toBeDefined();
  await using unreadable = client({ tls: { caFile: `${pem.caFile}.none` } });
  const { failure } = await call(unreadable, upstream.url);
  expect(failure).toMatchObject({ kind: 'tls', sent: false, message: `tls.caFile '${pem.caFile}.none' cannot be read (ENOENT)` });
});

it('goes through a proxy: absolute form for http, a tunnel for https', async () => {
  using pem = selfSigned();
  await using proxy = await new HttpProxy().listen();
  await using upstream = await startUpstream((response) => response.end('plain'));
  await using secure = await startUpstream((response) => response.end('secure'), { cert: pem.cert, key: pem.key });
  const http = new HttpClient({ proxy: new Secret(proxy.url.replace('//', '//me:pw@')), tls: { caFile: pem.caFile } });
  expect((await call(http, upstream.url)).body).toBe('plain');
  expect((await call(http, secure.url)).body).toBe('secure');
  expect(proxy.targets).toEqual([`POST ${upstream.url}`, `CONNECT 127.0.0.1:${secure.port}`]);
  expect(proxy.authorizations).toEqual(Array(2).fill(`Basic ${Buffer.from('me:pw').toString('base64')}`));
  expect(upstream.requests[0]?.headers['proxy-authorization']).toBeUndefined();
  await http.close();
  await secure.until(() => secure.sockets.size === 0);
  expect(http.sockets).toBe(0);
});

it.each([407, 502])('says that a proxy which refuses (%i) let nothing through', async (status) => {
  using pem = selfSigned();
  await using proxy = await new HttpProxy().listen();
  proxy.refuse = status;
  await using secure = await startUpstream((response) => response.end('secure'), { cert: pem.cert, key: pem.key });
  await using http = client({ proxy: proxy.url, tls: { caFile: pem.caFile } });
  expect((await call(http, secure.url)).failure).toMatchObject({ kind: 'proxy', sent: false });
  if (status === 407) expect((await call(http, 'http://127.0.0.1:9/')).failure).toMatchObject({ kind: 'proxy', sent: false });
});

it('gives up a proxy that never opens the tunnel after the connect timeout', async () => {
  await using silent = await startRaw(() => undefined);
  await using http = client({ proxy: `http://127.0.0.1:${silent.port}`, connectTimeoutMs: 300 });
  expect((await call(http, 'https://127.0.0.1:9/')).failure).toMatchObject({ kind: 'proxy', sent: false, message: /in time/ as never });
  await http.close();
  expect(http.sockets).toBe(0);
});
