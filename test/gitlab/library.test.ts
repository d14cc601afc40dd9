import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as gitlab from '../../src/gitlab/index.ts';
import {
  AuthRateLimiter,
  apiPath,
  type Credential,
  CredentialRejectedError,
  DEFAULT_REVALIDATE_INTERVAL,
  extractCredential,
  extractOnlyCredential,
  extractToken,
  GitLabClient,
  GitLabClientPool,
  GitLabError,
  Instances,
  InvalidUrlError,
  instanceRules,
  isAuthenticationFailure,
  MalformedCredentialError,
  PoolCapacityError,
  parseApiUrl,
  projectOrGroup,
  Secret,
  ServerPool,
  type Snapshot,
  systemClock,
  UpstreamUnavailableError,
} from '../../src/gitlab/index.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';

/** `turnpike/gitlab` as its users have it: over the wire, against a GitLab of one's own. */

let double: GitLabDouble;
let tokens: Record<'alice' | 'bob' | 'carol', string>;

beforeAll(async () => {
  double = await GitLabDouble.start({ root: '/gitlab' });
  const [alice, bob, carol] = [double.person('alice'), double.person('bob'), double.person('carol')];
  tokens = { alice: alice.token.value, bob: bob.token.value, carol: carol.token.value };
  double.world.addProject(alice.user, 'app', { files: { 'README.md': '# app\n' } });
});
afterAll(() => double[Symbol.asyncDispose]());

const settings = () => ({ gitlabUrl: double.url, caFile: double.caFile });
/** What a user's factory builds: here, whom it was built for. */
class Server {
  readonly client: GitLabClient;
  constructor(client: GitLabClient) {
    this.client = client;
  }
  async whoami(): Promise<unknown> {
    const { body } = await this.client.request({ path: '/user', signal: AbortSignal.timeout(5_000) });
    return (body as { username: string }).username;
  }
}

describe('ServerPool', () => {
  it('gives each credential a server of its own, and the same one again', async () => {
    await using pool = new ServerPool<Server>(settings(), (client) => new Server(client));
    const [alice, bob, again] = await Promise.all([pool.getOrCreate(tokens.alice), pool.getOrCreate(tokens.bob), pool.getOrCreate(tokens.alice)]);
    expect(alice).toBe(again);
    expect(alice).not.toBe(bob);
    expect(await Promise.all([alice.whoami(), bob.whoami()])).toEqual(['alice', 'bob']);
    expect(pool.size()).toBe(2);
    expect(pool.metrics).toEqual({ hits: 1, misses: 2, evictions: 0, revalidationsFailed: 0, revalidationsSucceeded: 0 });
  });

  it('tells its numbers under the names of the Go package, frozen', async () => {
    await using pool = new ServerPool<Server>(settings(), (client) => new Server(client), { maxSize: 3 });
    await pool.getOrCreate(tokens.alice);
    const stats: Snapshot = pool.stats();
    expect(JSON.parse(JSON.stringify(stats))).toEqual({
      hits: 0,
      misses: 1,
      evictions: 0,
      revalidations_failed: 0,
      revalidations_succeeded: 0,
      current_size: 1,
      max_size: 3,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
    expect(Object.isFrozen(stats)).toBe(true);
  });

  it('ignores a size that is none, as WithMaxSize does', async () => {
    for (const maxSize of [0, -5]) {
      await using pool = new ServerPool<Server>(settings(), (client) => new Server(client), { maxSize });
      expect(pool.stats().max_size).toBe(100);
    }
    expect(DEFAULT_REVALIDATE_INTERVAL).toBe(15 * 60_000);
  });

  it('evicts the least recently used, and refuses when each one is leased', async () => {
    await using pool = new ServerPool<Server>(settings(), (client) => new Server(client), { maxSize: 1 });
    await pool.getOrCreate(tokens.alice);
    const bob = await pool.lease(tokens.bob);
    expect([pool.size(), pool.stats().evictions, pool.has(tokens.alice), pool.has(tokens.bob)]).toEqual([1, 1, false, true]);
    expect(bob.identity).toMatchObject({ username: 'bob', principal: { issuer: double.url } });
    await expect(pool.getOrCreate(tokens.carol)).rejects.toThrow(PoolCapacityError);
    bob.release();
    expect(await (await pool.getOrCreate(tokens.carol)).whoami()).toBe('carol');
  });

  it('says by its errors what was wrong', async () => {
    await using pool = new ServerPool<Server>(settings(), (client) => new Server(client));
    await expect(pool.getOrCreate('')).rejects.toThrow('empty token: authentication required');
    await expect(pool.getOrCreate('glpat-00000000000000000000')).rejects.toThrow(CredentialRejectedError);
    await expect(pool.getOrCreate(tokens.alice, { gitlabUrl: 'ftp://gitlab.com' })).rejects.toThrow(InvalidUrlError);
    // Loopback is not the operator's here: no socket is opened.
    const seen = double.log.of({}).length;
    await expect(pool.getOrCreate(tokens.alice, { gitlabUrl: `https://127.0.0.1:${double.port}` })).rejects.toMatchObject({ forbidden: true });
    expect(double.log.of({}).length).toBe(seen);
    await pool.close();
    await expect(pool.getOrCreate(tokens.alice)).rejects.toThrow('server pool is closed');
  });

  it('gives up a credential that GitLab revoked, and ends its sessions', async () => {
    const ended: string[] = [];
    const { user, token } = double.person('dave');
    await using pool = new ServerPool<Server>(settings(), (client) => new Server(client), {
      revalidateInterval: 200,
      endSessions: ({ subject }) => ended.push(subject),
    });
    await pool.getOrCreate(token.value);
    const ending = new AbortController();
    pool.startRevalidation(ending.signal);
    await expect.poll(() => pool.stats().revalidations_succeeded).toBeGreaterThan(0);
    token.revoked = true;
    await expect.poll(() => pool.size()).toBe(0);
    expect([ended, pool.stats().revalidations_failed]).toEqual([[String(user.id)], 1]);
    ending.abort();
  });

  it('takes an outage for no verdict: the next call asks again', async () => {
    await using pool = new ServerPool<Server>(settings(), (client) => new Server(client));
    double.faults.add({ path: '/user', fault: { kind: 'status', status: 502 } });
    const failure = await pool.getOrCreate(tokens.carol).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UpstreamUnavailableError);
    expect(failure).toMatchObject({ code: 'auth/unavailable', details: { retryAfter: 5 } });
    expect(await (await pool.getOrCreate(tokens.carol)).whoami()).toBe('carol');
  });
});

describe('extraction', () => {
  const request = (headers: Record<string, string>) => new Request('http://localhost/mcp', { headers });
  const plain = (credential: Credential | undefined) => credential && { kind: credential.kind, token: credential.token.reveal() };

  it('knows the three headers in their order, for all three kinds of request', async () => {
    const token = 'glpat-aaaaaaaaaaaaaaaaaaaa';
    const job = 'glcbt-bbbbbbbbbbbbbbbbbbbb';
    expect(plain(extractCredential(request({ 'Private-Token': token, 'Job-Token': job })))).toEqual({ kind: 'private-token', token });
    expect(plain(extractCredential(new Headers({ 'Job-Token': job, Authorization: `Bearer ${token}` })))).toEqual({ kind: 'job-token', token: job });
    expect(plain(extractCredential(request({ authorization: `bearer ${token}` })))).toEqual({ kind: 'bearer', token });
    expect(extractCredential(request({}))).toBeUndefined();
    expect(() => extractCredential(request({ 'private-token': 'short' }))).toThrow(MalformedCredentialError);
    expect(() => extractOnlyCredential(request({ 'private-token': token, 'job-token': job }))).toThrow('Conflicting credentials');
    expect(extractToken(request({ authorization: `Bearer ${token}` }))).toBe(token);
    expect(extractToken(request({ authorization: 'Basic abc' }))).toBe('');
  });

  it('sees a header that was sent twice on a request of node:http', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const server = createServer((incoming, response) => {
      try {
        resolve(extractCredential(incoming));
      } catch (error) {
        resolve(error);
      }
      response.end();
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { request: send } = await import('node:http');
    const { port } = server.address() as AddressInfo;
    send({ port, host: '127.0.0.1', headers: { 'private-token': ['glpat-aaaaaaaaaaaaaaaaaaaa', 'glpat-bbbbbbbbbbbbbbbbbbbb'] } }).end();
    expect(await promise).toBeInstanceOf(MalformedCredentialError);
    server.close();
  });
});

describe('AuthRateLimiter', () => {
  it('blocks an address at its last failure, and says for how long', () => {
    const limiter = new AuthRateLimiter(2, 60_000);
    limiter.recordFailure('203.0.113.7');
    expect(limiter.isBlocked('203.0.113.7')).toBe(false);
    limiter.recordFailure('203.0.113.7');
    expect([limiter.isBlocked('203.0.113.7'), limiter.isBlocked('203.0.113.8')]).toEqual([true, false]);
    expect(limiter.blockedFor('203.0.113.7')).toBeGreaterThan(0);
    limiter.cleanup();
    expect(limiter.size).toBe(1);
  });

  it('knows which errors count', () => {
    const counts = [new MalformedCredentialError(), new CredentialRejectedError(), new InvalidUrlError({ kind: 'forbidden', reason: 'address' })];
    const others = [new UpstreamUnavailableError(), new PoolCapacityError('max 1 instances'), new InvalidUrlError({ kind: 'invalid', detail: 'x' })];
    expect([...counts, ...others].map(isAuthenticationFailure)).toEqual([true, true, true, false, false, false]);
  });
});

describe('instances', () => {
  it('is one instance, however it is spelt', () => {
    const spellings = ['https://gitlab.com', 'https://GitLab.com:443/api/v4/', 'https://gitlab.com.'];
    expect(spellings.map((text) => parseApiUrl(text))).toMatchObject(
      spellings.map(() => ({ kind: 'url', url: { canonical: 'https://gitlab.com/api/v4' } })),
    );
  });

  it('chooses what the operator allows', () => {
    const rules = instanceRules({ dynamic: true, apiUrl: 'https://gitlab.com', allowedHosts: 'git.corp.example:8443' });
    if (!rules.ok) throw new Error(rules.error);
    const instances = new Instances(rules.value);
    expect(instances.choose('https://git.corp.example:8443')).toMatchObject({ kind: 'instance' });
    expect(instances.choose('https://gitlab.com.evil.example')).toMatchObject({ kind: 'refused', status: 403 });
    expect(instances.choose(undefined)).toMatchObject({ url: { canonical: 'https://gitlab.com/api/v4' } });
    expect(instanceRules({ dynamic: true, apiUrl: 'x' })).toMatchObject({ ok: false, error: expect.stringContaining('GITLAB_API_URL') });
  });

  it('shares the connections to one instance between credentials, and closes them', async () => {
    const instances = new GitLabClientPool({ caCertPath: double.caFile, isExempt: (url) => url === double.apiUrl });
    const client = (token: string) =>
      new GitLabClient({
        apiUrl: double.url,
        credential: { kind: 'private-token', token: new Secret(token) },
        instances,
        clock: systemClock,
        version: '1.0.0',
      });
    const signal = AbortSignal.timeout(5_000);
    const path = apiPath`/projects/${projectOrGroup('alice/app')}`;
    expect((await client(tokens.alice).request({ path, signal })).body).toMatchObject({ path_with_namespace: 'alice/app' });
    const refusal = await client(tokens.bob)
      .request({ path: apiPath`/projects/${'no/such'}`, signal })
      .catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(GitLabError);
    expect(refusal).toMatchObject({ code: 'not_found', status: 404 });
    expect([instances.size(), instances.stats().hits, instances.stats().misses]).toEqual([1, 1, 1]);
    expect(instances.get(double.apiUrl)).toBeDefined();
    await instances.close();
    await expect(client(tokens.alice).request({ path, signal })).rejects.toThrow();
  });
});

describe('pins', () => {
  it('a name that goes or changes breaks somebody’s program', () => {
    expect(Object.keys(gitlab).toSorted()).toEqual([
      'AuthRateLimiter',
      'CredentialRejectedError',
      'DEFAULT_REVALIDATE_INTERVAL',
      'GitLabClient',
      'GitLabClientPool',
      'GitLabError',
      'Instances',
      'InvalidUrlError',
      'MalformedCredentialError',
      'PoolCapacityError',
      'Secret',
      'ServerPool',
      'UpstreamUnavailableError',
      'apiPath',
      'extractCredential',
      'extractOnlyCredential',
      'extractToken',
      'instanceRules',
      'isAuthenticationFailure',
      'parseApiUrl',
      'projectOrGroup',
      'systemClock',
    ]);
  });

  it('members', () => {
    const members = (made: { readonly prototype: object }) => Object.getOwnPropertyNames(made.prototype).filter((name) => name !== 'constructor');
    expect(members(ServerPool).toSorted()).toEqual([
      ...[
        'close',
        'degraded',
        'getOrCreate',
        'has',
        'lease',
        'metrics',
        'retire',
        'retireInstances',
        'revalidationsSkipped',
        'size',
        'startRevalidation',
        'stats',
        'status',
      ],
    ]);
    expect(members(AuthRateLimiter).toSorted()).toEqual(['blockedFor', 'cleanup', 'isBlocked', 'keepClean', 'recordFailure', 'size']);
    expect(members(GitLabClientPool).toSorted()).toEqual(['close', 'get', 'getOrCreate', 'hasRoom', 'size', 'stats']);
    expect(members(GitLabClient).toSorted()).toEqual(['graphql', 'keyset', 'list', 'page', 'request', 'stream']);
    expect(members(Instances).toSorted()).toEqual(['choose', 'default', 'isNamed', 'isOperators']);
  });
});
