import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import net from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../test/fixtures/authority.ts';
import { systemClock } from '../core/clock.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { privateHosts } from './address-guard.ts';
import type { Resolve } from './guarded-lookup.ts';
import { type HostTarget, parseHostEntry } from './host-entry.ts';
import { Origin, type OriginOptions, originOf } from './origin.ts';
import { type ProxyServer, proxyChoice } from './proxy-choice.ts';
import { TestProxy, TestServer } from './server-fixture.ts';
import { trustedRoots } from './trusted-roots.ts';

let authority: Authority;
beforeAll(() => {
  authority = new Authority('IP:127.0.0.1,DNS:git.test,DNS:proxy.test,DNS:localhost');
});
afterAll(() => authority[Symbol.dispose]());

const NONE = privateHosts([]);
const hello = (_request: unknown, response: { end(text: string): void }) => response.end('hello');

function targetOf(url: string): HostTarget {
  const entry = parseHostEntry(url.replace(/^https:\/\//, ''));
  if (!entry.ok || entry.value.kind !== 'exact') throw new TypeError(url);
  return entry.value.target;
}

function originFor(url: string, options: Partial<OriginOptions> = {}) {
  const target = targetOf(url);
  const origin = new Origin({ target, connections: 4, clock: systemClock, timeoutMs: 5000, ...options });
  const get = async (path = '/') => {
    const { statusCode, body } = await request(originOf(target) + path, { dispatcher: origin.dispatcher });
    return `${statusCode} ${await body.text()}`;
  };
  return { origin, get, [Symbol.asyncDispose]: () => origin.close() };
}

const resolved =
  (...answers: string[][]): Resolve =>
  (_host, _options, callback) => {
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    const addresses: LookupAddress[] = (answer ?? []).map((address) => ({ address, family: net.isIPv6(address) ? 6 : 4 }));
    setImmediate(callback, null, addresses);
  };

describe('the guard', () => {
  it.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.1',
    '017700000001',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '0.0.0.0',
    '[::]',
    '[::1]',
  ])('opens no socket to the literal %s', async (host) => {
    await using server = await TestServer.start(hello);
    await using client = originFor(`http://${host}:${server.port}`, { rule: NONE });
    await expect(client.get()).rejects.toMatchObject({ name: 'AddressRefused' });
    expect(client.origin.sockets).toBe(0);
    expect(server.connections).toBe(0);
  });

  it('opens no socket for a name of this machine', async () => {
    await using server = await TestServer.start(hello);
    await using client = originFor(`http://localhost:${server.port}`, { rule: NONE });
    await expect(client.get()).rejects.toMatchObject({ name: 'AddressRefused', addressClass: 'loopback' });
    expect(server.connections).toBe(0);
  });

  it.each([[['127.0.0.1']], [['::ffff:7f00:1']], [['169.254.169.254']], [['10.1.2.3']], [['1.1.1.1', '127.0.0.1']], [['64:ff9b::a9fe:a9fe']]])(
    'refuses a name at %j, even if only one of its addresses is private',
    async (addresses) => {
      await using server = await TestServer.start(hello);
      await using client = originFor(`http://git.test:${server.port}`, { rule: NONE, resolve: resolved(addresses) });
      await expect(client.get()).rejects.toMatchObject({ name: 'AddressRefused' });
      expect(server.connections).toBe(0);
      await client.origin.close();
      expect(client.origin.sockets).toBe(0);
    },
  );

  it('judges every look-up: a name that was public and is private now is refused', async () => {
    await using server = await TestServer.start((_request, response) => response.setHeader('connection', 'close').end('hello'));
    // The first answer passes by the exception, which stands for a public address that a test has not.
    const isFirst = { allowsPrivate: () => server.connections === 0 };
    await using client = originFor(`http://git.test:${server.port}`, { rule: isFirst, resolve: resolved(['127.0.0.1']) });
    expect(await client.get()).toBe('200 hello');
    await expect(client.get()).rejects.toMatchObject({ name: 'AddressRefused' });
    expect(server.connections).toBe(1);
  });

  it('connects to the address that it judged: the name is looked up once', async () => {
    await using server = await TestServer.start(hello);
    let asked = 0;
    const resolve: Resolve = (host, options, callback) => {
      asked++;
      resolved([asked === 1 ? '127.0.0.1' : '127.0.0.2'])(host, options, callback);
    };
    await using client = originFor(`http://git.test:${server.port}`, { rule: privateHosts(['git.test']), resolve });
    expect(await client.get()).toBe('200 hello');
    expect(asked).toBe(1);
  });

  it('lets hosts be private that may be, but not at addresses of the link', async () => {
    await using server = await TestServer.start(hello);
    await using literal = originFor(`http://127.0.0.1:${server.port}`, { rule: privateHosts(['127.0.0.1']) });
    expect(await literal.get()).toBe('200 hello');
    await using linked = originFor(`http://git.test:${server.port}`, { rule: privateHosts(['git.test']), resolve: resolved(['169.254.169.254']) });
    await expect(linked.get()).rejects.toMatchObject({ name: 'AddressRefused', addressClass: 'link-local' });
  });

  it('is off without a rule', async () => {
    await using server = await TestServer.start(hello);
    await using client = originFor(`http://127.0.0.1:${server.port}`);
    expect(await client.get()).toBe('200 hello');
  });
});

describe('TLS', () => {
  it('trusts the roots of a file besides the usual ones, and nothing else', async () => {
    await using server = await TestServer.start(hello, authority);
    await using stranger = originFor(`https://127.0.0.1:${server.port}`);
    await expect(stranger.get()).rejects.toMatchObject({ code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_/) });
    const roots = trustedRoots(authority.caFile);
    await using friend = originFor(`https://127.0.0.1:${server.port}`, { roots });
    expect(await friend.get()).toBe('200 hello');
    await using renamed = originFor(`https://other.test:${server.port}`, { roots, resolve: resolved(['127.0.0.1']) });
    await expect(renamed.get()).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('does not lose the usual roots for those of a file', async () => {
    using other = new Authority();
    const usual = getCACertificates('default');
    setDefaultCACertificates([authority.ca.toString()]);
    try {
      await using server = await TestServer.start(hello, authority);
      await using client = originFor(`https://127.0.0.1:${server.port}`, { roots: trustedRoots(other.caFile) });
      expect(await client.get()).toBe('200 hello');
    } finally {
      setDefaultCACertificates(usual);
    }
  });

  it('checks no certificate if told so', async () => {
    await using server = await TestServer.start(hello, authority);
    await using client = originFor(`https://127.0.0.1:${server.port}`, { rejectUnauthorized: false });
    expect(await client.get()).toBe('200 hello');
  });

  it('names the file that cannot be read, or holds no certificate', () => {
    for (const path of ['/nonexistent/ca.pem', authority.files.keyFile])
      expect(() => trustedRoots(path)).toThrow(
        expect.objectContaining({ code: 'config/invalid', message: `Failed to read CA certificate: ${path}` }),
      );
  });
});

describe('through a proxy', () => {
  const proxyAt = (url: string): ProxyServer => {
    const choice = proxyChoice({ httpProxy: url });
    const proxy = choice.ok ? choice.value(targetOf('http://x.test')) : undefined;
    if (proxy === undefined) throw new TypeError(url);
    return proxy;
  };
  const trusted = () => ({ roots: trustedRoots(authority.caFile) });

  it('of HTTP: a tunnel for https, which the proxy resolves', async () => {
    await using server = await TestServer.start(hello, authority);
    await using proxy = await TestProxy.http();
    await using client = originFor(`https://git.test:${server.port}`, {
      rule: NONE,
      proxy: proxyAt(`http://u:p@127.0.0.1:${proxy.port}`),
      ...trusted(),
    });
    expect(await client.get()).toBe('200 hello');
    expect(proxy.asked).toEqual([`CONNECT git.test:${server.port}`]);
    expect(proxy.credentials).toEqual([`Basic ${btoa('u:p')}`]);
    expect(server.requests[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  it('of HTTP: the absolute form for http', async () => {
    await using server = await TestServer.start(hello);
    await using proxy = await TestProxy.http();
    await using client = originFor(`http://git.test:${server.port}`, { rule: NONE, proxy: proxyAt(`http://u:p@127.0.0.1:${proxy.port}`) });
    expect(await client.get('/x?y=1')).toBe('200 hello');
    expect(proxy.asked).toEqual([`GET http://git.test:${server.port}/x?y=1`]);
    expect(proxy.credentials).toEqual([`Basic ${btoa('u:p')}`]);
    expect(server.requests[0]).toMatchObject({ url: '/x?y=1', headers: { host: `git.test:${server.port}` } });
  });

  it('of HTTPS: its certificate is checked whatever is said of the target', async () => {
    await using server = await TestServer.start(hello, authority);
    await using proxy = await TestProxy.http(authority);
    const options = { rejectUnauthorized: false, proxy: proxyAt(`https://127.0.0.1:${proxy.port}`) };
    await using stranger = originFor(`https://git.test:${server.port}`, options);
    await expect(stranger.get()).rejects.toMatchObject({ code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_/) });
    expect(proxy.asked).toEqual([]);
    await using friend = originFor(`https://git.test:${server.port}`, { ...options, ...trusted() });
    expect(await friend.get()).toBe('200 hello');
  });

  it.each(['', 'user:pass@'])('of SOCKS5, %j: names are resolved there', async (login) => {
    await using secure = await TestServer.start(hello, authority);
    await using plain = await TestServer.start(hello);
    await using proxy = await TestProxy.socks5(login === '' ? undefined : login.slice(0, -1));
    const way = { rule: NONE, proxy: proxyAt(`socks5://${login}127.0.0.1:${proxy.port}`), ...trusted() };
    await using first = originFor(`https://git.test:${secure.port}`, way);
    expect(await first.get()).toBe('200 hello');
    await using second = originFor(`http://git.test:${plain.port}`, way);
    expect(await Promise.all([second.get(), second.get()])).toEqual(['200 hello', '200 hello']);
    expect(new Set(proxy.asked)).toEqual(new Set([`socks git.test:${secure.port}`, `socks git.test:${plain.port}`]));
  });

  it.each(['http', 'socks5'])('of %s: a literal that must not be reached is not asked for', async (kind) => {
    await using proxy = kind === 'http' ? await TestProxy.http() : await TestProxy.socks5();
    for (const url of ['https://169.254.169.254', 'http://[::ffff:a9fe:a9fe]']) {
      await using client = originFor(url, { rule: NONE, proxy: proxyAt(`${kind}://127.0.0.1:${proxy.port}`) });
      await expect(client.get()).rejects.toMatchObject({ name: 'AddressRefused' });
    }
    expect(proxy.asked).toEqual([]);
  });

  it.each(['http', 'socks5'])('of %s: a refusal ends the request and the socket', async (kind) => {
    await using proxy = kind === 'http' ? await TestProxy.http() : await TestProxy.socks5();
    proxy.refusal = kind === 'http' ? 403 : 2;
    await using client = originFor('https://git.test', { proxy: proxyAt(`${kind}://127.0.0.1:${proxy.port}`) });
    const message = kind === 'http' ? 'the proxy refused the tunnel (status 403)' : 'the proxy refused: not allowed by its rules';
    await expect(client.get()).rejects.toMatchObject({ name: 'ConnectFailure', kind: 'proxy', message });
    await expect.poll(() => client.origin.sockets).toBe(0);
  });

  it('of SOCKS5: wrong credentials are refused', async () => {
    await using proxy = await TestProxy.socks5('user:pass');
    for (const login of ['', 'user:wrong@']) {
      await using client = originFor('https://git.test', { proxy: proxyAt(`socks5://${login}127.0.0.1:${proxy.port}`) });
      await expect(client.get()).rejects.toMatchObject({
        message: login === '' ? 'the proxy wants another way of authentication' : 'the proxy refused the credentials',
      });
    }
  });

  it.each(['http', 'socks5'])('of %s: a proxy that says nothing is given up in time', async (kind) => {
    const clock = new ManualClock();
    await using proxy = kind === 'http' ? await TestProxy.http() : await TestProxy.socks5();
    proxy.silent = true;
    await using client = originFor('https://git.test', { clock, timeoutMs: 10_000, proxy: proxyAt(`${kind}://127.0.0.1:${proxy.port}`) });
    const failed = expect(client.get()).rejects.toMatchObject({ name: 'ConnectFailure', kind: 'timeout' });
    await expect.poll(() => proxy.open).toBeGreaterThan(0);
    clock.advance(10_000);
    await failed;
    await expect.poll(() => client.origin.sockets).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('ends when it is closed while the proxy says nothing', async () => {
    const clock = new ManualClock();
    await using proxy = await TestProxy.socks5();
    proxy.silent = true;
    await using client = originFor('https://git.test', { clock, proxy: proxyAt(`socks5://127.0.0.1:${proxy.port}`) });
    const failed = expect(client.get()).rejects.toThrow();
    await expect.poll(() => proxy.open).toBe(1);
    await client.origin.close();
    await failed;
    await expect.poll(() => [client.origin.sockets, clock.pending, proxy.open]).toEqual([0, 0, 0]);
  });

  it('of SOCKS5: something else that answers is noticed', async () => {
    const server = net.createServer((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    await using client = originFor('https://git.test', { proxy: proxyAt(`socks5://127.0.0.1:${(server.address() as net.AddressInfo).port}`) });
    await expect(client.get()).rejects.toMatchObject({ message: 'the proxy is no SOCKS5 proxy' });
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('closing', () => {
  it('destroys sockets that connect, too', async () => {
    await using server = await TestServer.start(() => undefined);
    const held: (() => void)[] = [];
    const resolve: Resolve = (_host, _options, callback) => void held.push(() => callback(null, [{ address: '127.0.0.1', family: 4 }]));
    await using client = originFor(`http://git.test:${server.port}`, { resolve });
    const failed = expect(client.get()).rejects.toThrow();
    await expect.poll(() => held.length).toBe(1);
    await client.origin.close();
    await failed;
    for (const go of held) go();
    expect(client.origin.sockets).toBe(0);
    expect(server.connections).toBe(0);
  });
});
