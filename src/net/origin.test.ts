import { once } from 'node:events';
import net from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../test/fixtures/authority.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { privateHosts } from './address-guard.ts';
import type { Resolve } from './guarded-lookup.ts';
import { hello, NONE, originFor, proxyAt, resolved } from './origin-fixture.ts';
import { TestProxy, TestServer } from './server-fixture.ts';
import { trustedRoots } from './trusted-roots.ts';

let authority: Authority;
beforeAll(() => {
  authority = new Authority('IP:127.0.0.1,DNS:git.test,DNS:proxy.test,DNS:localhost');
});
afterAll(() => authority[Symbol.dispose]());

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

  it('takes an answer without addresses for none', async () => {
    await using client = originFor('http://git.test', { rule: NONE, resolve: resolved([]) });
    await expect(client.get()).rejects.toMatchObject({ code: 'ENOTFOUND' });
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

describe('time', () => {
  const silent = async () => {
    const sockets = new Set<net.Socket>();
    const server = net.createServer((socket) => {
      sockets.add(socket);
      socket
        .on('error', () => undefined)
        .once('close', () => sockets.delete(socket))
        .resume();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    return { port, sockets, [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) };
  };
  const late = { name: 'ConnectFailure', kind: 'timeout' };

  it('is up for a name that is not resolved', async () => {
    const clock = new ManualClock();
    let asked = 0;
    const resolve: Resolve = () => void asked++;
    await using client = originFor('http://git.test', { clock, timeoutMs: 10_000, resolve });
    const failed = expect(client.get()).rejects.toMatchObject(late);
    await expect.poll(() => asked).toBe(1);
    clock.advance(9_999);
    expect(client.origin.sockets).toBe(1);
    clock.advance(1);
    await failed;
    await expect.poll(() => [client.origin.sockets, clock.pending]).toEqual([0, 0]);
  });

  it.each(['directly', 'http', 'socks5'])('is up for TLS that is not answered, reached %s', async (way) => {
    const clock = new ManualClock();
    await using server = await silent();
    await using proxy = way === 'socks5' ? await TestProxy.socks5() : await TestProxy.http();
    const through = way === 'directly' ? {} : { proxy: proxyAt(`${way}://127.0.0.1:${proxy.port}`) };
    await using client = originFor(`https://127.0.0.1:${server.port}`, { clock, timeoutMs: 10_000, ...through });
    const failed = expect(client.get()).rejects.toMatchObject(late);
    await expect.poll(() => server.sockets.size).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    clock.advance(10_000);
    await failed;
    await expect.poll(() => [client.origin.sockets, server.sockets.size, clock.pending]).toEqual([0, 0, 0]);
  });

  it('is no more up once there is a connection', async () => {
    const clock = new ManualClock();
    await using server = await TestServer.start(hello);
    await using client = originFor(`http://127.0.0.1:${server.port}`, { clock });
    expect(await client.get()).toBe('200 hello');
    expect(clock.pending).toBe(0);
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
