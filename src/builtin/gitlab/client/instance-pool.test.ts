import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../../../test/fixtures/authority.ts';
import { systemClock } from '../../../core/clock.ts';
import { ManualClock } from '../../../core/manual-clock.ts';
import { Secret } from '../../../core/secret.ts';
import type { Resolve } from '../../../net/guarded-lookup.ts';
import { TestProxy, TestServer } from '../../../net/server-fixture.ts';
import { json, never, TOKEN } from './client-fixture.ts';
import { GitLabClient } from './gitlab-client.ts';
import { GitLabClientPool, type GitLabClientPoolOptions } from './instance-pool.ts';
import type { InstanceSource } from './instance-source.ts';
import { OneInstance } from './one-instance.ts';

let authority: Authority;
beforeAll(() => {
  authority = new Authority('IP:127.0.0.1,DNS:git.test');
});
afterAll(() => authority[Symbol.dispose]());

const use = async (pool: GitLabClientPool, ...urls: string[]) => {
  for (const url of urls) (await pool.getOrCreate(url)).release('ok');
};

function pooled(options: GitLabClientPoolOptions = {}) {
  const events: string[] = [];
  const pool = new GitLabClientPool({ observe: ({ kind, id }) => events.push(`${kind} ${new URL(id).hostname}`), ...options });
  return { pool, events, [Symbol.asyncDispose]: () => pool.close() };
}

const clientOf = (instances: InstanceSource, apiUrl: string) =>
  new GitLabClient({
    apiUrl,
    credential: { kind: 'bearer', token: new Secret(TOKEN) },
    instances,
    clock: systemClock,
    version: '1',
    random: () => 0,
  });

describe('the pool of instances', () => {
  it('holds one dispatcher for all spellings of a URL', async () => {
    await using held = pooled();
    const [first, second] = await Promise.all([held.pool.getOrCreate('https://git.test'), held.pool.getOrCreate('https://GIT.test:443/api/v4/')]);
    expect(second.value.dispatcher).toBe(first.value.dispatcher);
    first.release('ok');
    second.release('ok');
    expect(held.pool.get('https://git.test.')).toBe(first.value);
    expect(held.pool.get('https://other.test')).toBeUndefined();
    expect(held.pool.size()).toBe(1);
    expect(held.pool.stats()).toEqual({ size: 1, maxSize: 100, hits: 1, misses: 1, evictions: 0, idleClosed: 0, active: 0 });
    await expect(held.pool.getOrCreate('nonsense')).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('lets the least recently used go: A, B, C, A, then D ends B', async () => {
    await using held = pooled({ maxSize: 3 });
    await use(held.pool, 'https://a', 'https://b', 'https://c', 'https://a', 'https://d');
    expect(held.events).toEqual(['opened a', 'opened b', 'opened c', 'hit a', 'evicted b', 'closed b', 'opened d']);
    expect(held.pool.stats()).toMatchObject({ size: 3, evictions: 1, hits: 1, misses: 4 });
  });

  it('never lets one go that is in use: with a call on B, C goes and the call finishes', async () => {
    const [a, b, c, d] = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) =>
        TestServer.start((_request, response) => {
          if (name === 'b') response.writeHead(200).write('{"name":', () => waiting.resolve(() => response.end('"b"}')));
          else json(response, { name });
        }),
      ),
    );
    const waiting = Promise.withResolvers<() => void>();
    await using held = pooled({ maxSize: 3, allowsPrivate: () => true });
    const call = (server: TestServer | undefined) => clientOf(held.pool, `http://127.0.0.1:${server?.port}`).request({ path: '/x', signal: never });
    await call(a);
    const running = call(b);
    const finish = await waiting.promise;
    for (const server of [c, a, d]) await call(server);
    expect(held.pool.get(`http://127.0.0.1:${b?.port}`)).toBeDefined();
    expect(held.pool.get(`http://127.0.0.1:${c?.port}`)).toBeUndefined();
    await expect.poll(() => c?.open).toBe(0);
    finish();
    expect(await running).toMatchObject({ body: { name: 'b' } });
    for (const server of [a, b, c, d]) await server?.[Symbol.asyncDispose]();
  });

  it('is full when all are in use', async () => {
    // Time stands still: nobody waits for a place.
    await using held = pooled({ maxSize: 2, clock: new ManualClock() });
    const leases = [await held.pool.getOrCreate('https://a'), await held.pool.getOrCreate('https://b')];
    const refusal = {
      name: 'GitLabError',
      code: 'capacity',
      message: 'Connection pool is full (max 2 instances). Please try again later.',
      retry_after_seconds: 5,
    };
    await expect(held.pool.getOrCreate('https://c')).rejects.toMatchObject(refusal);
    await expect(clientOf(held.pool, 'https://c').request({ method: 'POST', path: '/x', signal: never })).rejects.toMatchObject(refusal);
    expect(held.pool.size()).toBe(2);
    expect(['https://a', 'https://c'].map((url) => held.pool.hasRoom(url))).toEqual([true, false]);
    for (const lease of leases) lease.release('ok');
    expect(held.pool.hasRoom('https://c')).toBe(true);
    await use(held.pool, 'https://c');
  });

  it('closes what is idle since the end of the last request, one interval late at most', async () => {
    const clock = new ManualClock();
    await using held = pooled({ clock, idleTimeout: 300_000, cleanupInterval: 60_000 });
    const lease = await held.pool.getOrCreate('https://a');
    await clock.advanceAsync(1_000_000, 50_000);
    expect(held.pool.size()).toBe(1);
    lease.release('ok');
    await clock.advanceAsync(299_000, 1000);
    expect(held.pool.size()).toBe(1);
    await clock.advanceAsync(61_000, 1000);
    expect(held.pool.size()).toBe(0);
    expect(held.pool.stats()).toMatchObject({ idleClosed: 1, evictions: 0 });
    expect(clock.pending).toBe(0);
  });

  it('ends everything when it closes', async () => {
    await using server = await TestServer.start(() => undefined);
    const held = pooled({ allowsPrivate: () => true });
    const failed = expect(
      clientOf(held.pool, `http://127.0.0.1:${server.port}`).request({ method: 'POST', path: '/x', signal: never }),
    ).rejects.toMatchObject({ code: 'outcome_unknown' });
    await expect.poll(() => server.requests.length).toBe(1);
    await held.pool.close();
    await held.pool.close();
    await failed;
    await expect.poll(() => server.open).toBe(0);
    await expect(held.pool.getOrCreate('https://a')).rejects.toMatchObject({ code: 'pool/closed' });
  });

  it('is not made with a proxy or a certificate that cannot be used', () => {
    expect(() => new GitLabClientPool({ httpsProxy: 'ftp://x' })).toThrow(
      expect.objectContaining({ code: 'config/invalid', message: expect.stringContaining('HTTPS_PROXY') }),
    );
    expect(() => new GitLabClientPool({ caCertPath: '/nonexistent' })).toThrow('Failed to read CA certificate: /nonexistent');
  });
});

describe('connections to instances', () => {
  const named: Resolve = (_host, _options, callback) => setImmediate(callback, null, [{ address: '127.0.0.1', family: 4 }]);
  const get = async (options: GitLabClientPoolOptions, url: string) => {
    await using held = pooled(options);
    return (await clientOf(held.pool, url).request({ path: '/x', signal: never })).body;
  };

  it('have 10 s to come about', async () => {
    const clock = new ManualClock();
    let asked = 0;
    await using held = pooled({ clock, allowsPrivate: () => true, resolve: () => void asked++ });
    const credential = { kind: 'bearer', token: new Secret(TOKEN) } as const;
    const client = new GitLabClient({ apiUrl: 'http://git.test', credential, instances: held.pool, clock, version: '1' });
    let outcome: unknown;
    const request = client.request({ path: '/x', once: true, signal: never }).catch((error: unknown) => {
      outcome = error;
    });
    await expect.poll(() => asked).toBe(1);
    clock.advance(9_999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(outcome).toBeUndefined();
    clock.advance(1);
    await request;
    expect(outcome).toMatchObject({ code: 'unreachable', message: 'cannot connect to git.test (timed out)' });
  });

  it('trust the given certificate, or any, or none', async () => {
    await using server = await TestServer.start((_request, response) => json(response, { id: 1 }), authority);
    const url = `https://git.test:${server.port}`;
    const options = { resolve: named, allowsPrivate: (host: string) => host === 'git.test' };
    await expect(get(options, url)).rejects.toMatchObject({ code: 'unreachable', message: expect.stringMatching(/^TLS with git\.test:\d+ failed/) });
    expect(await get({ ...options, caCertPath: authority.caFile }, url)).toEqual({ id: 1 });
    expect(await get({ ...options, rejectUnauthorized: false }, url)).toEqual({ id: 1 });
  });

  it('are guarded but for the instances of the operator', async () => {
    await using server = await TestServer.start((_request, response) => json(response, { id: 1 }));
    const own = `http://git.test:${server.port}`;
    const isExempt = (url: string) => url === `${own}/api/v4`;
    expect(await get({ resolve: named, isExempt }, own)).toEqual({ id: 1 });
    await expect(get({ resolve: named, isExempt }, `http://other.test:${server.port}`)).rejects.toMatchObject({ code: 'address_refused' });
    await expect(get({ resolve: named, isExempt }, `${own}/gitlab`)).rejects.toMatchObject({ code: 'address_refused' });
  });

  it('go through the proxy of their scheme', async () => {
    await using server = await TestServer.start((_request, response) => json(response, { id: 1 }), authority);
    await using proxy = await TestProxy.socks5();
    const options = {
      httpsProxy: `socks5://127.0.0.1:${proxy.port}`,
      noProxy: '127.0.0.1',
      caCertPath: authority.caFile,
      allowsPrivate: (host: string) => host === '127.0.0.1',
    };
    expect(await get(options, `https://git.test:${server.port}`)).toEqual({ id: 1 });
    expect(await get(options, `https://127.0.0.1:${server.port}`)).toEqual({ id: 1 });
    expect(proxy.asked).toEqual([`socks git.test:${server.port}`]);
  });

  it('tell a refusal of the proxy from an answer of GitLab', async () => {
    await using proxy = await TestProxy.http();
    proxy.refusal = 407;
    const httpProxy = `http://127.0.0.1:${proxy.port}`;
    await expect(get({ httpProxy }, 'http://git.test')).rejects.toMatchObject({
      code: 'unreachable',
      message: 'the proxy refused the request (status 407)',
    });
    await expect(get({ httpsProxy: httpProxy }, 'https://git.test')).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('the proxy refused the tunnel (status 407)'),
    });
  });
});

describe('one instance', () => {
  it('is reached without pool and guard', async () => {
    await using server = await TestServer.start((_request, response) => json(response, { id: 1 }));
    const url = `http://127.0.0.1:${server.port}`;
    const one = new OneInstance(url);
    expect(await clientOf(one, url).request({ path: '/x', signal: never })).toMatchObject({ body: { id: 1 } });
    await expect(clientOf(one, 'https://other.test').request({ path: '/x', signal: never })).rejects.toMatchObject({ code: 'invalid_request' });
    await one.close();
    await expect.poll(() => server.open).toBe(0);
    await expect(clientOf(one, url).request({ path: '/x', signal: never })).rejects.toMatchObject({ code: 'pool/closed' });
  });
});
