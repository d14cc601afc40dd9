import { once } from 'node:events';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../test/fixtures/authority.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { hello, NONE, originFor, proxyAt } from './origin-fixture.ts';
import { TestProxy, TestServer } from './server-fixture.ts';
import { trustedRoots } from './trusted-roots.ts';

let authority: Authority;
beforeAll(() => {
  authority = new Authority('IP:127.0.0.1,DNS:git.test,DNS:proxy.test,DNS:localhost');
});
afterAll(() => authority[Symbol.dispose]());

describe('through a proxy', () => {
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
