import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GitLabError } from '../client/gitlab-error.ts';
import { CredentialRejectedError, InvalidUrlError, isAuthenticationFailure, PoolCapacityError, UpstreamUnavailableError } from './errors.ts';
import { insufficientScope, unavailable } from './sample-gitlab.ts';
import { A, B, failure, PoolRig, settle } from './sample-pool.ts';
import { ServerPool } from './server-pool.ts';

let rig: PoolRig;
beforeEach(() => {
  rig = new PoolRig();
});
afterEach(async () => expect(await rig.end()).toEqual({ timers: 0, running: 0 }));

describe('admission after proof', () => {
  it('gives each credential a server of its own, and the same one again', async () => {
    const [ann, bob] = [rig.gitlab.token(1), rig.gitlab.token(2)];
    const first = await rig.pool.getOrCreate(ann);
    expect([first.subject, (await rig.pool.getOrCreate(bob)).subject, (await rig.pool.getOrCreate(ann)) === first]).toEqual(['1', '2', true]);
    expect(rig.gitlab.requests.map(({ path, once }) => [path, once])).toEqual([
      ['/user', true],
      ['/user', true],
    ]);
    expect([rig.pool.size(), rig.pool.has(ann), rig.pool.has(`${ann}x`)]).toEqual([2, true, false]);
  });

  it('joins first calls of one token: one question, one server, 99 hits (9)', async () => {
    const token = rig.gitlab.token(1);
    const servers = await Promise.all(Array.from({ length: 100 }, () => rig.pool.getOrCreate(token)));
    expect(new Set(servers).size).toBe(1);
    expect([rig.gitlab.requests.length, rig.made.length]).toEqual([1, 1]);
    expect(rig.pool.stats()).toMatchObject({ hits: 99, misses: 1, current_size: 1 });
  });

  it('one token at two URLs has two entries, three spellings of one URL have one (7)', async () => {
    const token = rig.gitlab.token(1);
    const servers = await Promise.all([
      rig.pool.getOrCreate(token),
      rig.pool.getOrCreate(token, { gitlabUrl: B }),
      rig.pool.getOrCreate(token, { gitlabUrl: `${B}//` }),
      rig.pool.getOrCreate(token, { gitlabUrl: 'https://GIT.corp.:8443/gitlab/api/v4/' }),
    ]);
    expect(servers.map(({ apiUrl }) => apiUrl)).toEqual([`${A}/api/v4`, `${B}/api/v4`, `${B}/api/v4`, `${B}/api/v4`]);
    expect([rig.pool.size(), new Set(servers).size, rig.gitlab.requests.length]).toEqual([2, 2, 2]);
  });

  it('keeps apart kinds, and asks about jobs what jobs may be asked', async () => {
    const token = rig.gitlab.token(7);
    rig.gitlab.override = ({ path, kind }) => (kind === 'job-token' && path === '/job' ? { id: 5, pipeline: { project_id: 3 } } : undefined);
    const job = await rig.pool.lease(token, { kind: 'job-token' });
    expect(job.identity).toEqual({ principal: { issuer: A, subject: 'job:3:5' } });
    const user = await rig.pool.lease(token, { kind: 'bearer' });
    expect(user.identity).toEqual({ principal: { issuer: A, subject: '7' }, username: 'user7' });
    expect(rig.pool.size()).toBe(2);
    for (const lease of [job, user]) lease.release();
  });

  it.each<[string, () => void, unknown]>([
    ['rejected', () => rig.gitlab.users.clear(), new CredentialRejectedError()],
    ['the scope', () => rig.answerAll(() => insufficientScope()), new CredentialRejectedError(['api', 'read_api', 'read_user'])],
    ['an outage', () => rig.answerAll(unavailable), new UpstreamUnavailableError(5, 'server_error 502')],
    ['nonsense', () => rig.answerAll(() => ({ id: 'x' })), new UpstreamUnavailableError(5, '/user answered something else')],
  ])('leaves nothing behind after %s, and the next call asks again', async (_, spoil, expected) => {
    const token = rig.gitlab.token(1);
    spoil();
    expect(await failure(rig.pool.getOrCreate(token))).toEqual(expected);
    expect([rig.pool.size(), rig.made.length, rig.clock.pending]).toEqual([0, 0, 0]);
    rig.gitlab.override = undefined;
    rig.gitlab.users.set(token, { id: 1 });
    await rig.clock.advanceAsync(30_000);
    expect((await rig.pool.getOrCreate(token)).subject).toBe('1');
    expect(rig.pool.stats()).toMatchObject({ misses: 2, evictions: 0 });
  });

  it('passes on what the factory throws, and keeps nothing of it', async () => {
    const token = rig.gitlab.token(1);
    let broken = true;
    rig.open({}, () => {
      if (broken) throw new Error('no server today');
    });
    expect(await failure(rig.pool.getOrCreate(token))).toEqual(new Error('no server today'));
    expect(rig.pool.size()).toBe(0);
    broken = false;
    expect((await rig.pool.getOrCreate(token)).subject).toBe('1');
  });

  it('refuses an empty token, a URL that is none, and what two readers may read in two ways, without asking', async () => {
    expect(await failure(rig.pool.getOrCreate(''))).toMatchObject({ code: 'auth/missing', message: 'empty token: authentication required' });
    for (const token of ['glpat-0123456789\nabcdefg', 'glpat-ünïcödé-0123456789', ' ']) {
      expect(await failure(rig.pool.getOrCreate(token))).toMatchObject({ code: 'auth/invalid', message: 'Malformed GitLab token' });
    }
    const bad = await failure(rig.pool.getOrCreate(rig.gitlab.token(1), { gitlabUrl: 'https://rig.gitlab.com?x' }));
    expect([bad, (bad as InvalidUrlError).forbidden, isAuthenticationFailure(bad)]).toEqual([expect.any(InvalidUrlError), false, false]);
    const worse = await failure(rig.pool.getOrCreate(rig.gitlab.token(1), { gitlabUrl: 'https://rig.gitlab.com@evil.test' }));
    expect([worse, (worse as InvalidUrlError).forbidden, isAuthenticationFailure(worse)]).toEqual([expect.any(InvalidUrlError), true, true]);
    expect([rig.gitlab.requests, rig.pool.stats().misses]).toEqual([[], 0]);
    expect(() => new ServerPool({ gitlabUrl: 'x' }, () => 1)).toThrow(InvalidUrlError);
  });

  it('a caller who leaves leaves alone; the last one ends the question', async () => {
    const token = rig.gitlab.token(1);
    rig.gitlab.override = () => 'hang';
    const [one, two] = [new AbortController(), new AbortController()];
    const waiting = [one, two].map(({ signal }) => failure(rig.pool.getOrCreate(token, { signal })));
    await settle();
    one.abort(new Error('one left'));
    expect(await waiting[0]).toEqual(new Error('one left'));
    expect(rig.gitlab.requests[0]?.signal.aborted).toBe(false);
    two.abort(new Error('two left'));
    expect(await waiting[1]).toEqual(new Error('two left'));
    expect(rig.gitlab.requests[0]?.signal.aborted).toBe(true);
    await settle();
    expect([rig.gitlab.running, rig.events]).toEqual([0, []]);
    expect(await failure(rig.pool.getOrCreate(token, { signal: AbortSignal.abort(new Error('gone')) }))).toEqual(new Error('gone'));
  });

  it('a server that is made for nobody is ended', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    rig.open({}, () => promise);
    const left = new AbortController();
    const waiting = failure(rig.pool.getOrCreate(rig.gitlab.token(1), { signal: left.signal }));
    await settle();
    left.abort(new Error('left'));
    expect(await waiting).toEqual(new Error('left'));
    resolve();
    await settle();
    expect([rig.made.map(({ disposed }) => disposed), rig.pool.size()]).toEqual([[true], 0]);
  });
});

describe('questions to GitLab', () => {
  it('one that hangs delays nobody else (10)', async () => {
    const [x, y] = [rig.gitlab.token(1), rig.gitlab.token(2)];
    rig.gitlab.override = ({ token }) => (token === x ? 'hang' : undefined);
    const waiting = failure(rig.pool.getOrCreate(x));
    await settle();
    // No time passes at all.
    expect((await rig.pool.getOrCreate(y)).subject).toBe('2');
    await rig.clock.advanceAsync(4_999);
    expect(rig.gitlab.requests[0]?.signal.aborted).toBe(false);
    await rig.clock.advanceAsync(1);
    expect(await waiting).toMatchObject({ code: 'auth/unavailable', message: 'GitLab is unreachable', details: { retryAfter: 5 } });
    expect(isAuthenticationFailure(await waiting)).toBe(false);
  });

  it('sixteen at once at one instance, and nobody waits longer than 5 s for a turn', async () => {
    rig.gitlab.override = ({ apiUrl }) => (apiUrl.startsWith(A) ? 'hang' : undefined);
    const many = Array.from({ length: 40 }, (_, id) => failure(rig.pool.getOrCreate(rig.gitlab.token(id + 1))));
    await settle();
    expect(rig.gitlab.running).toBe(16);
    expect((await rig.pool.getOrCreate(rig.gitlab.token(99), { gitlabUrl: B })).subject).toBe('99');
    rig.gitlab.requests[0]?.answer({ id: 1 });
    await settle();
    expect([rig.gitlab.running, rig.gitlab.peak]).toEqual([16, 17]);
    await rig.clock.advanceAsync(5_000);
    const outcomes = await Promise.all(many);
    expect(outcomes.filter((outcome) => outcome === 'served')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome instanceof UpstreamUnavailableError)).toHaveLength(39);
    expect(rig.gitlab.requests).toHaveLength(18);
    rig.gitlab.override = undefined;
    expect((await rig.pool.getOrCreate(rig.gitlab.token(100))).subject).toBe('100');
  });

  it('remembers for 30 s who was rejected, for 10,000 of them, and nothing else', async () => {
    rig.open({ maxSize: 1 });
    const bad = 'glpat-rejected-0123456789';
    expect(await failure(rig.pool.getOrCreate(bad))).toEqual(new CredentialRejectedError());
    await rig.clock.advanceAsync(29_999);
    expect(await failure(rig.pool.getOrCreate(bad))).toEqual(new CredentialRejectedError());
    expect(rig.gitlab.requests).toHaveLength(1);
    await rig.clock.advanceAsync(1);
    expect(await failure(rig.pool.getOrCreate(bad))).toEqual(new CredentialRejectedError());
    expect(rig.gitlab.requests).toHaveLength(2);
    // At another instance nothing is known about it.
    await failure(rig.pool.getOrCreate(bad, { gitlabUrl: B }));
    expect(rig.gitlab.requests).toHaveLength(3);
    for (let n = 0; n < 10_000; n++) await failure(rig.pool.getOrCreate(`glpat-garbage-${String(n).padStart(12, '0')}`));
    await failure(rig.pool.getOrCreate(bad));
    expect(rig.gitlab.requests).toHaveLength(10_004);
    for (const spoil of [insufficientScope, () => insufficientScope([]), unavailable]) {
      rig.gitlab.override = () => spoil();
      const before = rig.gitlab.requests.length;
      for (let times = 0; times < 2; times++) await failure(rig.pool.getOrCreate(rig.gitlab.token(5)));
      expect(rig.gitlab.requests.length).toBe(before + 2);
    }
  });

  it('a wait that GitLab names is passed on', async () => {
    rig.gitlab.override = () => new GitLabError('rate_limited', 'slow down', { status: 429, retryAfterSeconds: 7 });
    expect(await failure(rig.pool.getOrCreate(rig.gitlab.token(1)))).toMatchObject({ code: 'auth/unavailable', details: { retryAfter: 7 } });
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
    rig.gitlab.override = () => new GitLabError(code, 'Connection pool is full (max 100 instances). Please try again later.');
    expect(await failure(rig.pool.getOrCreate(rig.gitlab.token(1), { kind }))).toBeInstanceOf(expected);
  });
});
