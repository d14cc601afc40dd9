import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Principal, principalKey } from '../../../core/caller.ts';
import { ManualClock } from '../../../core/manual-clock.ts';
import { AuthRateLimiter } from './auth-rate-limiter.ts';
import { CredentialRejectedError, InvalidUrlError, isAuthenticationFailure, PoolCapacityError, UpstreamUnavailableError } from './errors.ts';
import type { Identity } from './identity.ts';
import { insufficientScope, SampleGitLab, unauthorized, unavailable } from './sample-gitlab.ts';
import { ServerPool } from './server-pool.ts';
import type { ServerPoolEvent, ServerPoolOptions } from './server-pool-options.ts';

const A = 'https://gitlab.com';
const B = 'https://git.corp:8443/gitlab';
const NEVER = new AbortController().signal;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Server {
  readonly subject: string;
  readonly apiUrl: string;
  disposed: boolean;
  readonly call: (path: string, signal?: AbortSignal) => Promise<unknown>;
}

let clock: ManualClock;
let gitlab: SampleGitLab;
let pool: ServerPool<Server>;
let made: Server[];
let ended: Principal[];
let events: ServerPoolEvent[];

function open(options: Partial<ServerPoolOptions<Server>> = {}, factory?: (identity: Identity) => void | Promise<void>): ServerPool<Server> {
  pool = new ServerPool<Server>(
    { gitlabUrl: A },
    async (client, identity) => {
      await factory?.(identity);
      const server: Server = {
        subject: identity.principal.subject,
        apiUrl: client.apiUrl,
        disposed: false,
        call: (path, signal = NEVER) => client.request({ path, signal }),
      };
      made.push(server);
      return server;
    },
    {
      clock,
      random: () => 0,
      clients: gitlab.clients,
      endSessions: (principal) => void ended.push(principal),
      dispose: (server) => {
        server.disposed = true;
      },
      observe: (event) => void events.push(event),
      ...options,
    },
  );
  return pool;
}

const answerAll = (answer: SampleGitLab['override']) => {
  gitlab.override = answer;
};

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'served',
    (error: unknown) => error,
  );

beforeEach(() => {
  clock = new ManualClock();
  gitlab = new SampleGitLab();
  made = [];
  ended = [];
  events = [];
  open();
});
afterEach(async () => {
  await pool[Symbol.asyncDispose]();
  await settle();
  expect([clock.pending, gitlab.running]).toEqual([0, 0]);
});

describe('admission after proof', () => {
  it('gives each credential a server of its own, and the same one again', async () => {
    const [ann, bob] = [gitlab.token(1), gitlab.token(2)];
    const first = await pool.getOrCreate(ann);
    expect([first.subject, (await pool.getOrCreate(bob)).subject, (await pool.getOrCreate(ann)) === first]).toEqual(['1', '2', true]);
    expect(gitlab.requests.map(({ path, once }) => [path, once])).toEqual([
      ['/user', true],
      ['/user', true],
    ]);
    expect([pool.size(), pool.has(ann), pool.has(`${ann}x`)]).toEqual([2, true, false]);
  });

  it('joins first calls of one token: one question, one server, 99 hits (9)', async () => {
    const token = gitlab.token(1);
    const servers = await Promise.all(Array.from({ length: 100 }, () => pool.getOrCreate(token)));
    expect(new Set(servers).size).toBe(1);
    expect([gitlab.requests.length, made.length]).toEqual([1, 1]);
    expect(pool.stats()).toMatchObject({ hits: 99, misses: 1, current_size: 1 });
  });

  it('one token at two URLs has two entries, three spellings of one URL have one (7)', async () => {
    const token = gitlab.token(1);
    const servers = await Promise.all([
      pool.getOrCreate(token),
      pool.getOrCreate(token, { gitlabUrl: B }),
      pool.getOrCreate(token, { gitlabUrl: `${B}//` }),
      pool.getOrCreate(token, { gitlabUrl: 'https://GIT.corp.:8443/gitlab/api/v4/' }),
    ]);
    expect(servers.map(({ apiUrl }) => apiUrl)).toEqual([`${A}/api/v4`, `${B}/api/v4`, `${B}/api/v4`, `${B}/api/v4`]);
    expect([pool.size(), new Set(servers).size, gitlab.requests.length]).toEqual([2, 2, 2]);
  });

  it('keeps apart kinds, and asks about jobs what jobs may be asked', async () => {
    const token = gitlab.token(7);
    gitlab.override = ({ path, kind }) => (kind === 'job-token' && path === '/job' ? { id: 5, pipeline: { project_id: 3 } } : undefined);
    const job = await pool.lease(token, { kind: 'job-token' });
    expect(job.identity).toEqual({ principal: { issuer: A, subject: 'job:3:5' } });
    const user = await pool.lease(token, { kind: 'bearer' });
    expect(user.identity).toEqual({ principal: { issuer: A, subject: '7' }, username: 'user7' });
    expect(pool.size()).toBe(2);
    for (const lease of [job, user]) lease.release();
  });

  it.each<[string, () => void, unknown]>([
    ['rejected', () => gitlab.users.clear(), new CredentialRejectedError()],
    ['the scope', () => answerAll(() => insufficientScope()), new CredentialRejectedError(['api', 'read_api', 'read_user'])],
    ['an outage', () => answerAll(unavailable), new UpstreamUnavailableError(5, 'server_error 502')],
    ['nonsense', () => answerAll(() => ({ id: 'x' })), new UpstreamUnavailableError(5, '/user answered something else')],
  ])('leaves nothing behind after %s, and the next call asks again', async (_, spoil, expected) => {
    const token = gitlab.token(1);
    spoil();
    expect(await failure(pool.getOrCreate(token))).toEqual(expected);
    expect([pool.size(), made.length, clock.pending]).toEqual([0, 0, 0]);
    gitlab.override = undefined;
    gitlab.users.set(token, { id: 1 });
    await clock.advanceAsync(30_000);
    expect((await pool.getOrCreate(token)).subject).toBe('1');
    expect(pool.stats()).toMatchObject({ misses: 2, evictions: 0 });
  });

  it('passes on what the factory throws, and keeps nothing of it', async () => {
    const token = gitlab.token(1);
    let broken = true;
    open({}, () => {
      if (broken) throw new Error('no server today');
    });
    expect(await failure(pool.getOrCreate(token))).toEqual(new Error('no server today'));
    expect(pool.size()).toBe(0);
    broken = false;
    expect((await pool.getOrCreate(token)).subject).toBe('1');
  });

  it('refuses an empty token, a URL that is none, and what two readers may read in two ways, without asking', async () => {
    expect(await failure(pool.getOrCreate(''))).toMatchObject({ code: 'auth/missing', message: 'empty token: authentication required' });
    const bad = await failure(pool.getOrCreate(gitlab.token(1), { gitlabUrl: 'https://gitlab.com?x' }));
    expect([bad, (bad as InvalidUrlError).forbidden, isAuthenticationFailure(bad)]).toEqual([expect.any(InvalidUrlError), false, false]);
    const worse = await failure(pool.getOrCreate(gitlab.token(1), { gitlabUrl: 'https://gitlab.com@evil.test' }));
    expect([worse, (worse as InvalidUrlError).forbidden, isAuthenticationFailure(worse)]).toEqual([expect.any(InvalidUrlError), true, true]);
    expect([gitlab.requests, pool.stats().misses]).toEqual([[], 0]);
    expect(() => new ServerPool({ gitlabUrl: 'x' }, () => 1)).toThrow(InvalidUrlError);
  });

  it('a caller who leaves leaves alone; the last one ends the question', async () => {
    const token = gitlab.token(1);
    gitlab.override = () => 'hang';
    const [one, two] = [new AbortController(), new AbortController()];
    const waiting = [one, two].map(({ signal }) => failure(pool.getOrCreate(token, { signal })));
    await settle();
    one.abort(new Error('one left'));
    expect(await waiting[0]).toEqual(new Error('one left'));
    expect(gitlab.requests[0]?.signal.aborted).toBe(false);
    two.abort(new Error('two left'));
    expect(await waiting[1]).toEqual(new Error('two left'));
    expect(gitlab.requests[0]?.signal.aborted).toBe(true);
    await settle();
    expect([gitlab.running, events]).toEqual([0, []]);
    expect(await failure(pool.getOrCreate(token, { signal: AbortSignal.abort(new Error('gone')) }))).toEqual(new Error('gone'));
  });

  it('a server that is made for nobody is ended', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    open({}, () => promise);
    const left = new AbortController();
    const waiting = failure(pool.getOrCreate(gitlab.token(1), { signal: left.signal }));
    await settle();
    left.abort(new Error('left'));
    expect(await waiting).toEqual(new Error('left'));
    resolve();
    await settle();
    expect([made.map(({ disposed }) => disposed), pool.size()]).toEqual([[true], 0]);
  });
});

describe('questions to GitLab', () => {
  it('one that hangs delays nobody else (10)', async () => {
    const [x, y] = [gitlab.token(1), gitlab.token(2)];
    gitlab.override = ({ token }) => (token === x ? 'hang' : undefined);
    const waiting = failure(pool.getOrCreate(x));
    await settle();
    // No time passes at all.
    expect((await pool.getOrCreate(y)).subject).toBe('2');
    await clock.advanceAsync(4_999);
    expect(gitlab.requests[0]?.signal.aborted).toBe(false);
    await clock.advanceAsync(1);
    expect(await waiting).toMatchObject({ code: 'auth/unavailable', message: 'GitLab is unreachable', details: { retryAfter: 5 } });
    expect(isAuthenticationFailure(await waiting)).toBe(false);
  });

  it('sixteen at once at one instance, and nobody waits longer than 5 s for a turn', async () => {
    gitlab.override = ({ apiUrl }) => (apiUrl.startsWith(A) ? 'hang' : undefined);
    const many = Array.from({ length: 40 }, (_, id) => failure(pool.getOrCreate(gitlab.token(id + 1))));
    await settle();
    expect(gitlab.running).toBe(16);
    expect((await pool.getOrCreate(gitlab.token(99), { gitlabUrl: B })).subject).toBe('99');
    gitlab.requests[0]?.answer({ id: 1 });
    await settle();
    expect([gitlab.running, gitlab.peak]).toEqual([16, 17]);
    await clock.advanceAsync(5_000);
    const outcomes = await Promise.all(many);
    expect(outcomes.filter((outcome) => outcome === 'served')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome instanceof UpstreamUnavailableError)).toHaveLength(39);
    expect(gitlab.requests).toHaveLength(18);
    gitlab.override = undefined;
    expect((await pool.getOrCreate(gitlab.token(100))).subject).toBe('100');
  });

  it('remembers for 30 s who was rejected, for 10,000 of them, and nothing else', async () => {
    open({ maxSize: 1 });
    const bad = 'glpat-rejected-0123456789';
    expect(await failure(pool.getOrCreate(bad))).toEqual(new CredentialRejectedError());
    await clock.advanceAsync(29_999);
    expect(await failure(pool.getOrCreate(bad))).toEqual(new CredentialRejectedError());
    expect(gitlab.requests).toHaveLength(1);
    await clock.advanceAsync(1);
    expect(await failure(pool.getOrCreate(bad))).toEqual(new CredentialRejectedError());
    expect(gitlab.requests).toHaveLength(2);
    // At another instance nothing is known about it.
    await failure(pool.getOrCreate(bad, { gitlabUrl: B }));
    expect(gitlab.requests).toHaveLength(3);
    for (let n = 0; n < 10_000; n++) await failure(pool.getOrCreate(`glpat-garbage-${String(n).padStart(12, '0')}`));
    await failure(pool.getOrCreate(bad));
    expect(gitlab.requests).toHaveLength(10_004);
    for (const spoil of [insufficientScope, () => insufficientScope([]), unavailable]) {
      gitlab.override = () => spoil();
      const before = gitlab.requests.length;
      for (let times = 0; times < 2; times++) await failure(pool.getOrCreate(gitlab.token(5)));
      expect(gitlab.requests.length).toBe(before + 2);
    }
  });

  it('a wait that GitLab names is passed on', async () => {
    const { GitLabError } = await import('../client/gitlab-error.ts');
    gitlab.override = () => new GitLabError('rate_limited', 'slow down', { status: 429, retryAfterSeconds: 7 });
    expect(await failure(pool.getOrCreate(gitlab.token(1)))).toMatchObject({ code: 'auth/unavailable', details: { retryAfter: 7 } });
  });

  it.each([
    ['not_found', 'job-token', CredentialRejectedError],
    ['not_found', 'bearer', UpstreamUnavailableError],
    ['not_found', 'private-token', UpstreamUnavailableError],
    ['forbidden', 'bearer', CredentialRejectedError],
    ['address_refused', 'bearer', InvalidUrlError],
    ['capacity', 'bearer', PoolCapacityError],
    ['redirected', 'bearer', UpstreamUnavailableError],
  ] as const)('%s of a %s', async (code, kind, expected) => {
    const { GitLabError } = await import('../client/gitlab-error.ts');
    gitlab.override = () => new GitLabError(code, 'Connection pool is full (max 100 instances). Please try again later.');
    expect(await failure(pool.getOrCreate(gitlab.token(1), { kind }))).toBeInstanceOf(expected);
  });
});

describe('least recently used', () => {
  it('A B C A, then D: B goes (8)', async () => {
    open({ maxSize: 3 });
    const [a = '', b = '', c = '', d = ''] = [1, 2, 3, 4].map((id) => gitlab.token(id));
    for (const token of [a, b, c, a, d]) await pool.getOrCreate(token);
    await settle();
    expect([a, b, c, d].map((token) => pool.has(token))).toEqual([true, false, true, true]);
    expect(made.map(({ disposed }) => disposed)).toEqual([false, true, false, false]);
    expect(pool.stats()).toEqual({
      hits: 1,
      misses: 4,
      evictions: 1,
      revalidations_failed: 0,
      revalidations_succeeded: 0,
      current_size: 3,
      max_size: 3,
      created_at: '2026-01-01T00:00:00.000Z',
    });
  });

  it('with a call running on B, C goes, and the call finishes (8)', async () => {
    open({ maxSize: 3 });
    const [a = '', b = '', c = '', d = ''] = [1, 2, 3, 4].map((id) => gitlab.token(id));
    await pool.getOrCreate(a);
    const running = await pool.lease(b);
    for (const token of [c, a, d]) await pool.getOrCreate(token);
    await settle();
    expect([a, b, c, d].map((token) => pool.has(token))).toEqual([true, true, false, true]);
    expect([running.signal.aborted, running.server.disposed]).toEqual([false, false]);
    expect(await running.server.call('/version')).toMatchObject({ status: 200 });
    running.release();
    running.release();
    await pool.getOrCreate(c);
    expect([pool.has(a), pool.has(b), pool.stats().evictions]).toEqual([false, true, 2]);
  });

  it('all in use: nobody goes, and who comes is told so', async () => {
    open({ maxSize: 2 });
    const leases = await Promise.all([1, 2].map((id) => pool.lease(gitlab.token(id))));
    const refused = await failure(pool.getOrCreate(gitlab.token(3)));
    expect(refused).toEqual(new PoolCapacityError('max 2 instances'));
    expect(refused).toMatchObject({
      message: 'Server capacity reached',
      details: { data: { detail: 'Connection pool is full (max 2 instances). Please try again later.' }, retryAfter: 5 },
    });
    expect([pool.size(), pool.stats().evictions, made.map(({ disposed }) => disposed)]).toEqual([2, 0, [false, false, true]]);
    leases[0]?.release();
    expect((await pool.getOrCreate(gitlab.token(3))).subject).toBe('3');
    leases[1]?.release();
  });

  it('more first calls at once than there are places are all served', async () => {
    open({ maxSize: 3 });
    const servers = await Promise.all(Array.from({ length: 50 }, (_, id) => pool.getOrCreate(gitlab.token(id + 1))));
    expect(servers.map(({ subject }) => Number(subject))).toEqual(Array.from({ length: 50 }, (_, id) => id + 1));
    expect([pool.size(), pool.stats().evictions]).toEqual([3, 47]);
  });

  it('1,000 random tokens take nobody’s place (11)', async () => {
    open({ maxSize: 3 });
    const users = [1, 2, 3].map((id) => gitlab.token(id));
    for (const token of users) await pool.getOrCreate(token);
    const limiter = new AuthRateLimiter(10, 60_000, clock);
    const seen: string[] = [];
    for (let n = 0; n < 1_000; n++) {
      const ip = n < 500 ? '203.0.113.9' : `2001:db8:0:${(n % 2).toString(16)}::${n.toString(16)}`;
      if (limiter.isBlocked(ip)) {
        seen.push(`${ip.slice(0, 12)} 429`);
        continue;
      }
      const error = await failure(pool.getOrCreate(`glpat-${String(n).padStart(20, 'x')}`));
      expect(error).toEqual(new CredentialRejectedError());
      if (isAuthenticationFailure(error)) limiter.recordFailure(ip);
      seen.push(`${ip.slice(0, 12)} 401`);
    }
    expect(users.every((token) => pool.has(token))).toBe(true);
    expect(pool.stats()).toMatchObject({ evictions: 0, current_size: 3 });
    expect(seen.filter((line) => line === '203.0.113.9 401')).toHaveLength(10);
    expect(seen.filter((line) => line.startsWith('2001') && line.endsWith('401'))).toHaveLength(20);
    expect([limiter.isBlocked('203.0.113.10'), limiter.blockedFor('203.0.113.9'), limiter.size]).toEqual([false, 60, 3]);
  });

  it('an hour without use ends an entry, which is no eviction', async () => {
    const [a, b] = [gitlab.token(1), gitlab.token(2)];
    await pool.getOrCreate(a);
    await pool.getOrCreate(b);
    await clock.advanceAsync(1_800_000, 60_000);
    await pool.getOrCreate(b);
    await clock.advanceAsync(1_800_000, 60_000);
    expect([pool.has(a), pool.has(b), pool.stats().evictions, pool.size()]).toEqual([false, true, 0, 1]);
    await settle();
    expect(made.map(({ disposed }) => disposed)).toEqual([true, false]);
    expect(events.map(({ kind }) => kind)).toEqual(['accepted', 'accepted', 'idle']);
  });

  it.each([
    [0, 100],
    [-5, 100],
    [7, 7],
    [2.5, 2],
    [0.5, 1],
  ])('a maximum of %d is %d', (maxSize, expected) => {
    expect(open({ maxSize }).stats().max_size).toBe(expected);
  });
});

describe('a new token of the same user', () => {
  it('takes the place of the old one, and ends no session (4)', async () => {
    open({ maxSize: 1 });
    const [old, fresh] = [gitlab.token(42, 'a'), gitlab.token(42, 'b')];
    const first = await pool.getOrCreate(old);
    const second = await pool.getOrCreate(fresh);
    await settle();
    expect([first.disposed, second.disposed, pool.has(old), pool.has(fresh)]).toEqual([true, false, false, true]);
    expect([ended, pool.stats().evictions, pool.size()]).toEqual([[], 0, 1]);
    expect(events.map(({ kind }) => kind)).toEqual(['accepted', 'replaced', 'accepted']);
    // The old one is as good as before, if it comes again.
    expect((await pool.getOrCreate(old)).subject).toBe('42');
  });

  it('takes no place of anybody else', async () => {
    open({ maxSize: 2 });
    const [other, old, fresh] = [gitlab.token(7), gitlab.token(42, 'a'), gitlab.token(42, 'b')];
    for (const token of [other, old, fresh]) await pool.getOrCreate(token);
    expect([other, old, fresh].map((token) => pool.has(token))).toEqual([true, false, true]);
  });

  it('lets the calls of the old one finish', async () => {
    const [old, fresh] = [gitlab.token(42, 'a'), gitlab.token(42, 'b')];
    const running = await pool.lease(old);
    await pool.getOrCreate(fresh);
    await clock.advanceAsync(3_500_000, 60_000);
    expect([running.signal.aborted, running.server.disposed, pool.has(old)]).toEqual([false, false, false]);
    running.release();
    await settle();
    expect(running.server.disposed).toBe(true);
  });

  it('gives up nothing when there is no place for it', async () => {
    open({ maxSize: 1 });
    const [old, fresh] = [gitlab.token(42, 'a'), gitlab.token(42, 'b')];
    const running = await pool.lease(old);
    expect(await failure(pool.getOrCreate(fresh))).toBeInstanceOf(PoolCapacityError);
    expect([pool.has(old), running.signal.aborted]).toEqual([true, false]);
    running.release();
  });

  it('of another instance is another user', async () => {
    await pool.getOrCreate(gitlab.token(42, 'a'));
    await pool.getOrCreate(gitlab.token(42, 'b'), { gitlabUrl: B });
    expect(pool.size()).toBe(2);
  });
});

describe('revalidation', () => {
  const QUARTER = 900_000;

  it('asks every 15 minutes, and counts', async () => {
    await pool.getOrCreate(gitlab.token(1));
    const stop = new AbortController();
    const second = new AbortController();
    pool.startRevalidation(stop.signal);
    pool.startRevalidation(second.signal);
    second.abort();
    expect(clock.pending).toBe(2);
    await clock.advanceAsync(QUARTER - 1);
    expect(gitlab.requests).toHaveLength(1);
    await clock.advanceAsync(1);
    await settle();
    expect([gitlab.requests.length, pool.metrics.revalidationsSucceeded]).toEqual([2, 1]);
    // With the jitter at its lowest: 10 % earlier.
    await clock.advanceAsync(QUARTER * 0.9 - 1);
    expect(gitlab.requests).toHaveLength(2);
    await clock.advanceAsync(1);
    await settle();
    expect([gitlab.requests.length, pool.status]).toEqual([3, 'ok']);
    stop.abort();
    await clock.advanceAsync(3 * QUARTER, 60_000);
    expect(gitlab.requests).toHaveLength(3);
  });

  it('does nothing without a positive interval', async () => {
    open({ revalidateInterval: 0 });
    await pool.getOrCreate(gitlab.token(1));
    pool.startRevalidation(NEVER);
    await clock.advanceAsync(QUARTER, 60_000);
    expect(gitlab.requests).toHaveLength(1);
  });

  it.each<[string, (token: string) => void]>([
    ['401', () => answerAll(unauthorized)],
    ['403', () => answerAll(() => insufficientScope())],
    ['another user', (token) => void gitlab.users.set(token, { id: 666 })],
  ])('%s ends the entry, its calls and its sessions (12)', async (_, spoil) => {
    const token = gitlab.token(42);
    const running = await pool.lease(token);
    await pool.getOrCreate(gitlab.token(43));
    pool.startRevalidation(NEVER);
    await clock.advanceAsync(QUARTER - 1);
    spoil(token);
    const spoilt = gitlab.override;
    gitlab.override = spoilt && ((request) => (request.token === token ? spoilt(request) : undefined));
    await clock.advanceAsync(1);
    await settle();
    expect([pool.has(token), pool.size(), pool.stats().revalidations_failed, pool.stats().revalidations_succeeded]).toEqual([false, 1, 1, 1]);
    expect(ended.map(principalKey)).toEqual([principalKey({ issuer: A, subject: '42' })]);
    expect([running.signal.aborted, running.server.disposed]).toEqual([true, true]);
    expect(pool.stats().evictions).toBe(0);
    running.release();
  });

  it('after a rejection the next request is refused at once, without asking (12)', async () => {
    const token = gitlab.token(1);
    const server = await pool.getOrCreate(token);
    gitlab.users.delete(token);
    expect(await failure(server.call('/projects'))).toMatchObject({ code: 'unauthorized' });
    expect([pool.has(token), pool.metrics.revalidationsFailed, ended]).toEqual([false, 1, [{ issuer: A, subject: '1' }]]);
    expect(gitlab.requests.map(({ path }) => path)).toEqual(['/user', '/projects', '/user']);
    expect(await failure(pool.getOrCreate(token))).toEqual(new CredentialRejectedError());
    expect(gitlab.requests).toHaveLength(3);
  });

  it('a 401 of one call alone changes nothing (12)', async () => {
    const token = gitlab.token(1);
    const server = await pool.getOrCreate(token);
    gitlab.override = ({ path }) => (path === '/user' ? undefined : unauthorized());
    const calls = await Promise.all([1, 2, 3].map(() => failure(server.call('/projects/1/merge_requests/1/merge'))));
    expect(calls).toMatchObject([{ code: 'unauthorized' }, { code: 'unauthorized' }, { code: 'unauthorized' }]);
    // One question for all three.
    expect(gitlab.requests.filter(({ path }) => path === '/user')).toHaveLength(2);
    expect([pool.has(token), ended, pool.metrics]).toMatchObject([true, [], { revalidationsSucceeded: 1, revalidationsFailed: 0 }]);
  });

  it('who cancels does not wait for the verdict', async () => {
    const token = gitlab.token(1);
    const server = await pool.getOrCreate(token);
    gitlab.override = ({ path }) => (path === '/user' ? 'hang' : unauthorized());
    const left = new AbortController();
    const call = failure(server.call('/projects', left.signal));
    await settle();
    left.abort(new Error('left'));
    expect(await call).toMatchObject({ code: 'unauthorized' });
    await clock.advanceAsync(5_000);
    await settle();
    expect(pool.has(token)).toBe(true);
  });

  it.each<[string, () => void]>([
    ['502', () => answerAll(unavailable)],
    ['no answer', () => answerAll(() => 'hang')],
  ])('%s evicts nobody; it is degraded and asks again after 1, 2, 4, 8, 15, 15 minutes (13)', async (_, spoil) => {
    const token = gitlab.token(1);
    await pool.getOrCreate(token);
    pool.startRevalidation(NEVER);
    spoil();
    const asked: number[] = [];
    const started = clock.monotonic();
    let before = 1;
    for (let second = 0; second < 4_500; second += 5) {
      await clock.advanceAsync(5_000);
      await pool.getOrCreate(token);
      if (gitlab.requests.length > before) asked.push(Math.floor((clock.monotonic() - started) / 60_000));
      before = gitlab.requests.length;
    }
    expect(asked.slice(0, 7)).toEqual([15, 16, 18, 22, 30, 45, 60]);
    expect([pool.has(token), pool.status, pool.metrics.revalidationsFailed, ended]).toEqual([true, 'degraded', 0, []]);
    expect(pool.revalidationsSkipped).toBeGreaterThanOrEqual(7);
    gitlab.override = undefined;
    await clock.advanceAsync(QUARTER, 60_000);
    await settle();
    expect([pool.status, pool.metrics.revalidationsSucceeded]).toEqual(['ok', 1]);
  });

  it('1,000 entries: spread, at most 8 at once, nothing after the end (14)', async () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    open({ maxSize: 1_000, random });
    const stop = new AbortController();
    pool.startRevalidation(stop.signal);
    await Promise.all(Array.from({ length: 1_000 }, (_, id) => pool.getOrCreate(gitlab.token(id + 1))));
    const minutes = new Array<number>(15).fill(0);
    for (let minute = 0; minute < 15; minute++) {
      const before = gitlab.requests.length;
      await clock.advanceAsync(60_000, 5_000);
      minutes[minute] = gitlab.requests.length - before;
    }
    expect(Math.max(...minutes)).toBeLessThan(110);
    expect(Math.min(...minutes)).toBeGreaterThan(35);
    gitlab.override = () => 'hang';
    gitlab.peak = 0;
    await clock.advanceAsync(240_000, 4_999);
    expect([gitlab.peak, gitlab.running]).toEqual([8, 8]);
    const asked = gitlab.requests.length;
    stop.abort(new Error('the end'));
    await settle();
    // The sweep of the pool is all that is left.
    expect([gitlab.running, clock.pending, gitlab.requests.length]).toEqual([0, 1, asked]);
  });

  it.each([1, 666])('an entry that is gone meanwhile counts no more, be it %d or not', async (id) => {
    open({ maxSize: 1 });
    const token = gitlab.token(1);
    const server = await pool.getOrCreate(token);
    gitlab.override = ({ path, token: of }) => (of !== token ? undefined : path === '/user' ? 'hang' : unauthorized());
    const call = failure(server.call('/x'));
    await settle();
    await pool.getOrCreate(gitlab.token(2));
    gitlab.requests[2]?.answer({ id });
    await call;
    expect([pool.metrics.revalidationsFailed, pool.metrics.revalidationsSucceeded, ended, pool.size()]).toEqual([0, 0, [], 1]);
  });
});

describe('the end', () => {
  it('retires all, counts no eviction, ends no session, and takes nobody in', async () => {
    const tokens = [1, 2].map((id) => gitlab.token(id));
    for (const token of tokens) await pool.getOrCreate(token);
    const running = await pool.lease(tokens[0] ?? '');
    gitlab.override = () => 'hang';
    const waiting = failure(pool.getOrCreate(gitlab.token(3)));
    await settle();
    const closed = pool.close();
    expect(await waiting).toMatchObject({ code: 'pool/closed', message: 'server pool is closed' });
    expect(await failure(pool.getOrCreate(tokens[0] ?? ''))).toMatchObject({ message: 'server pool is closed' });
    await settle();
    expect([running.signal.aborted, running.server.disposed, made[1]?.disposed]).toEqual([false, false, true]);
    running.release();
    await closed;
    expect(pool.close()).toBe(closed);
    expect([running.server.disposed, pool.size(), pool.stats().evictions, ended]).toEqual([true, 0, 0, []]);
  });

  it('ends questions that are under way', async () => {
    await pool.getOrCreate(gitlab.token(1));
    pool.startRevalidation(NEVER);
    gitlab.override = () => 'hang';
    await clock.advanceAsync(900_000);
    expect(gitlab.running).toBe(1);
    await pool.close();
    await settle();
    expect([gitlab.running, pool.revalidationsSkipped, pool.status]).toEqual([0, 0, 'ok']);
    pool.startRevalidation(NEVER);
  });

  it('can be cut short', async () => {
    const running = await pool.lease(gitlab.token(1));
    const cut = new AbortController();
    const closed = pool.close(cut.signal);
    await settle();
    cut.abort(new Error('now'));
    await closed;
    expect([running.signal.aborted, running.server.disposed]).toEqual([true, true]);
  });
});

describe('what is said', () => {
  it('is a frozen copy with exactly the names of the page', async () => {
    const snapshot = pool.stats();
    await pool.getOrCreate(gitlab.token(1));
    expect(Object.isFrozen(snapshot)).toBe(true);
    expect(snapshot.misses).toBe(0);
    expect(Object.keys(JSON.parse(JSON.stringify(pool.stats())) as object)).toEqual(
      'hits misses evictions revalidations_failed revalidations_succeeded current_size max_size created_at'.split(' '),
    );
    expect(Object.keys(pool.metrics)).toEqual('hits misses evictions revalidationsFailed revalidationsSucceeded'.split(' '));
  });

  it('holds no token, no part of one, and no name that can be tested (6)', async () => {
    open({ maxSize: 1 });
    const sentinel = 'glpat-SENTINEL0123456789ab';
    gitlab.users.set(sentinel, { id: 1, username: 'one' });
    const said: unknown[] = [];
    const server = await pool.getOrCreate(sentinel);
    const lease = await pool.lease(sentinel);
    said.push(server, lease, { ...lease }, pool.stats(), pool.metrics);
    lease.release();
    gitlab.users.delete(sentinel);
    said.push(await failure(server.call('/x')), await failure(pool.getOrCreate(sentinel)), events, ended, pool);
    for (const spoil of [unavailable, () => insufficientScope()]) {
      gitlab.override = () => spoil();
      said.push(
        await failure(pool.getOrCreate(`${sentinel}2`)),
        await failure(pool.getOrCreate(`${sentinel}3`, { gitlabUrl: `${B}/x?${sentinel}` })),
      );
    }
    const text = [inspect(said, { depth: 20, showHidden: true, getters: true }), JSON.stringify(said)].join('\n');
    for (const part of [sentinel, 'SENTINEL', '0123456789ab']) expect(text).not.toContain(part);
    expect(text).toContain('accepted');
    const [{ fingerprint } = { fingerprint: '' }] = events;
    expect(fingerprint).toMatch(/^[0-9a-f]{8}$/);
    gitlab.users.set(sentinel, { id: 1 });
    gitlab.override = undefined;
    const other = open();
    await other.getOrCreate(sentinel);
    expect(events.at(-1)?.fingerprint).not.toBe(fingerprint);
  });

  it('a listener that throws decides nothing', async () => {
    open({
      observe: () => {
        throw new Error('no');
      },
    });
    expect((await pool.getOrCreate(gitlab.token(1))).subject).toBe('1');
  });
});
