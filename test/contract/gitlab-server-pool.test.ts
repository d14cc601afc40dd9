import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { extractCredential } from '../../src/builtin/gitlab/pool/credential.ts';
import { CredentialRejectedError, isAuthenticationFailure, UpstreamUnavailableError } from '../../src/builtin/gitlab/pool/errors.ts';
import { ServerPool } from '../../src/builtin/gitlab/pool/server-pool.ts';
import type { ServerPoolConfig, ServerPoolOptions } from '../../src/builtin/gitlab/pool/server-pool-options.ts';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { isJsonObject } from '../../src/core/mcp.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';

/** The pool as it is given to library users, over real sockets, against the double of GitLab. */

type Whoami = () => Promise<unknown>;

let a: GitLabDouble;
let b: GitLabDouble;
let clock: ManualClock;
let pool: ServerPool<Whoami>;
const ended: string[] = [];

beforeAll(async () => {
  a = await GitLabDouble.start();
  b = await GitLabDouble.start({ root: '/gitlab' });
});
afterAll(async () => {
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
});
beforeEach(() => {
  for (const gitlab of [a, b]) {
    gitlab.faults.clear();
    gitlab.log.entries.length = 0;
  }
  clock = new ManualClock();
  ended.length = 0;
  open();
});
afterEach(() => pool[Symbol.asyncDispose]());

function open(config: ServerPoolConfig = {}, options: ServerPoolOptions<Whoami> = {}): void {
  pool = new ServerPool<Whoami>(
    { gitlabUrl: a.url, ...(a.caFile === undefined ? {} : { caFile: a.caFile }), ...config },
    (client) => async () => {
      const { body } = await client.request({ path: '/user', signal: AbortSignal.timeout(10_000) });
      return isJsonObject(body) ? body.username : body;
    },
    { clock, random: () => 0, endSessions: ({ issuer, subject }) => void ended.push(`${issuer} ${subject}`), ...options },
  );
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'served',
    (error: unknown) => error,
  );

async function until(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !holds(); ) {
    if (performance.now() > end) throw new Error('not within 10 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('ServerPool and GitLab', () => {
  it('50 tokens, 2,000 calls, 64 at a time: each names its caller, and no token went where it does not belong (1)', async () => {
    const people = Array.from({ length: 50 }, (_, n) => a.person(`alice${n}`));
    let next = 0;
    const wrong: unknown[] = [];
    const worker = async () => {
      for (let n = next++; n < 2_000; n = next++) {
        const { user, token } = people[(n * 7) % 50] ?? people[0] ?? a.person('x');
        const whoami = await pool.getOrCreate(token.value);
        const name = await whoami();
        if (name !== user.username) wrong.push([name, user.username]);
      }
    };
    await Promise.all(Array.from({ length: 64 }, worker));
    expect(wrong).toEqual([]);
    expect(a.log.foreign()).toEqual([]);
    expect(a.log.entries.every((seen) => seen.header === 'authorization')).toBe(true);
    expect([pool.stats().misses, pool.stats().hits, pool.size()]).toEqual([50, 1_950, 50]);
  });

  it('one token at two instances: two entries, each asked about at its own (7)', async () => {
    const { user, token } = a.person('two');
    b.world.addToken(b.world.addUser('other'), { value: token.value });
    // The second instance is at a private address, which only the operator's own may be.
    expect(await failure(pool.getOrCreate(token.value, { gitlabUrl: b.url }))).toMatchObject({ message: 'GitLab API URL is not allowed' });
    expect(b.log.entries).toEqual([]);
    expect(await (await pool.getOrCreate(token.value))()).toBe(user.username);
    await pool[Symbol.asyncDispose]();
    open({ gitlabUrl: b.apiUrl, ...(b.caFile === undefined ? {} : { caFile: b.caFile }) });
    for (const spelling of [undefined, `${b.url}/`, `${b.url.replace('https', 'HTTPS')}/api/v4//`]) {
      expect(await (await pool.getOrCreate(token.value, { gitlabUrl: spelling }))()).toBe('other');
    }
    expect([pool.size(), pool.stats().misses]).toEqual([1, 1]);
  });

  it('of three credentials the first is proven, and is what GitLab sees (15)', async () => {
    const [first, second, third] = ['p', 'j', 'b'].map((name) => a.person(name).token.value);
    const request = new Request('http://x.test', {
      headers: { 'private-token': first ?? '', 'job-token': second ?? '', authorization: `Bearer ${third}` },
    });
    const credential = extractCredential(request);
    const whoami = await pool.getOrCreate(credential?.token.reveal() ?? '', { kind: credential?.kind });
    expect(await whoami()).toBe('p');
    expect(a.log.entries.map((seen) => [seen.path, seen.header, seen.brought(first ?? '')])).toEqual([
      ['/user', 'authorization', true],
      ['/user', 'authorization', true],
    ]);
  });

  it('what is malformed never reaches GitLab (16)', () => {
    for (const headers of [
      [['private-token', 'short']],
      [
        ['private-token', 'a'.repeat(20)],
        ['private-token', 'a'.repeat(20)],
      ],
    ]) {
      expect(() => extractCredential(new Request('http://x.test', { headers: headers as [string, string][] }))).toThrow('Malformed GitLab token');
    }
    expect(a.log.entries).toEqual([]);
  });

  it('a revoked token: the call’s 401 ends entry and sessions, the next request is refused (12)', async () => {
    const { user, token } = a.person('revoked');
    const whoami = await pool.getOrCreate(token.value);
    token.revoked = true;
    expect(await failure(whoami())).toMatchObject({ code: 'unauthorized', status: 401 });
    expect([pool.size(), pool.stats().revalidations_failed, ended]).toEqual([0, 1, [`${a.url} ${user.id}`]]);
    const asked = a.log.entries.length;
    expect(await failure(pool.getOrCreate(token.value))).toEqual(new CredentialRejectedError());
    expect(a.log.entries.length).toBe(asked);
  });

  it('a token without a scope that reads its user is told so', async () => {
    const { token } = a.person('narrow', { scopes: ['read_repository'] });
    const refused = await failure(pool.getOrCreate(token.value));
    expect(refused).toMatchObject({ code: 'auth/scope', message: 'Insufficient GitLab token scope', scopes: expect.arrayContaining(['read_user']) });
    expect(isAuthenticationFailure(refused)).toBe(true);
  });

  it('an outage at revalidation evicts nobody (13)', async () => {
    const { token } = a.person('stays');
    await pool.getOrCreate(token.value);
    pool.startRevalidation(new AbortController().signal);
    a.faults.add({ path: '/user', fault: { kind: 'status', status: 502 } });
    clock.advance(900_000);
    await until(() => pool.revalidationsSkipped === 1);
    a.faults.add({ path: '/user', fault: { kind: 'reset', where: 'before' } });
    clock.advance(60_000);
    await until(() => pool.revalidationsSkipped === 2);
    a.faults.add({ path: '/user', fault: { kind: 'hang', where: 'headers' } });
    const asked = a.log.entries.length;
    clock.advance(120_000);
    await until(() => a.log.entries.length > asked);
    clock.advance(5_000);
    await until(() => pool.revalidationsSkipped === 3);
    expect([pool.size(), pool.status, pool.stats().revalidations_failed, ended]).toEqual([1, 'degraded', 0, []]);
    clock.advance(240_000);
    await until(() => pool.stats().revalidations_succeeded === 1);
    expect(pool.status).toBe('ok');
  });

  it.each<[string, () => void]>([
    ['503', () => void a.faults.add({ path: '/user', fault: { kind: 'status', status: 503 } })],
    ['no JSON', () => void a.faults.add({ path: '/user', fault: { kind: 'broken-json' } })],
    ['a connection that breaks', () => void a.faults.add({ path: '/user', fault: { kind: 'reset', where: 'after' } })],
    ['a way to another origin', () => void a.faults.add({ path: '/user', fault: { kind: 'redirect', to: `${b.url}/api/v4/user` } })],
  ])('%s: nothing is known, nobody is blamed, and it is asked once', async (_, spoil) => {
    const { token } = a.person('unknown');
    spoil();
    const refused = await failure(pool.getOrCreate(token.value));
    expect(refused).toBeInstanceOf(UpstreamUnavailableError);
    expect([isAuthenticationFailure(refused), pool.size(), a.log.entries.length, b.log.entries.length]).toEqual([false, 0, 1, 0]);
    expect(await (await pool.getOrCreate(token.value))()).toBe('unknown');
  });

  it('a certificate that is not trusted is an outage, and can be lived with if the operator says so', async () => {
    const { token } = a.person('tls');
    await pool[Symbol.asyncDispose]();
    pool = new ServerPool<Whoami>({ gitlabUrl: a.url }, () => async () => 'x', {});
    expect(await failure(pool.getOrCreate(token.value))).toBeInstanceOf(UpstreamUnavailableError);
    expect(a.log.entries).toEqual([]);
    await pool[Symbol.asyncDispose]();
    pool = new ServerPool<Whoami>({ gitlabUrl: a.url, skipTlsVerify: true }, () => async () => 'x', {});
    expect(await (await pool.getOrCreate(token.value))()).toBe('x');
  });

  it('a limit that GitLab names is passed on, and not waited for', async () => {
    const { token } = a.person('limited');
    a.faults.add({ path: '/user', fault: { kind: 'throttle', retryAfter: 7 } });
    expect(await failure(pool.getOrCreate(token.value))).toMatchObject({ code: 'auth/unavailable', details: { retryAfter: 7 } });
    expect(a.log.entries).toHaveLength(1);
  });
});
