import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../../../test/fixtures/authority.ts';
import { GitLabDouble } from '../../../../test/fixtures/gitlab/double.ts';
import type { Token } from '../../../../test/fixtures/gitlab/model/people.ts';
import { systemClock } from '../../../core/clock.ts';
import { Secret } from '../../../core/secret.ts';
import { apiPath, projectOrGroup } from './api-path.ts';
import { collect, never } from './client-fixture.ts';
import { GitLabClient } from './gitlab-client.ts';
import { GitLabClientPool } from './instance-pool.ts';

let authority: Authority;
let one: GitLabDouble;
let two: GitLabDouble;
let pool: GitLabClientPool;
beforeAll(async () => {
  authority = new Authority('IP:127.0.0.1');
  one = await GitLabDouble.start({ authority });
  two = await GitLabDouble.start({ authority, root: '/gitlab' });
  pool = new GitLabClientPool({ caCertPath: authority.caFile, allowsPrivate: (host) => host === '127.0.0.1' });
});
afterAll(async () => {
  await pool.close();
  await two[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
});

const clientOf = (gitlab: GitLabDouble, token: Token) =>
  new GitLabClient({
    apiUrl: gitlab.url,
    credential: { kind: 'private-token', token: new Secret(token.value) },
    instances: pool,
    clock: systemClock,
    version: '1',
    random: () => 0,
  });

describe('the client and the double of GitLab', () => {
  it('name each caller of fifty at two instances, and no instance sees a foreign token', async () => {
    const callers = Array.from({ length: 50 }, (_, index) => {
      const gitlab = index % 2 === 0 ? one : two;
      const { user, token } = gitlab.person(`caller${index}`);
      return { client: clientOf(gitlab, token), username: user.username };
    });
    let next = 0;
    const worker = async () => {
      for (let call = next++; call < 600; call = next++) {
        const { client, username } = callers[call % callers.length] as (typeof callers)[number];
        expect((await client.request({ path: '/user', signal: never })).body).toMatchObject({ username });
      }
    };
    await Promise.all(Array.from({ length: 64 }, worker));
    expect([...one.log.foreign(), ...two.log.foreign()]).toEqual([]);
    expect(Math.max(one.log.peak, two.log.peak)).toBeLessThanOrEqual(32);
  });

  it('walk through 250 issues by offset and by keyset', async () => {
    const { user, token } = two.person('lister');
    const project = two.world.addProject(user, 'many');
    const client = clientOf(two, token);
    const path = apiPath`/projects/${projectOrGroup('lister/many')}/issues`;
    await Promise.all(
      Array.from({ length: 250 }, (_, index) => client.request({ method: 'POST', path, body: { title: `issue ${index}` }, signal: never })),
    );
    expect(project.issues).toHaveLength(250);
    for (const keyset of [false, true]) {
      const first = await client.list({ path, query: { per_page: 500 }, keyset, signal: never });
      expect([keyset, first.items.length, first.pagination.has_more]).toEqual([keyset, 100, true]);
      const all = await collect(
        (keyset ? client.keyset : client.page).call(client, { path, query: { per_page: 100 }, maxItems: 1000, maxBytes: 10_000_000, signal: never }),
      );
      expect([keyset, new Set(all.map(({ iid }) => iid)).size]).toEqual([keyset, 250]);
    }
    two.faults.add({ path: /issues$/, fault: { kind: 'foreign-link', host: '127.0.0.1:1' } });
    expect((await client.list({ path, query: { per_page: 100 }, keyset: true, signal: never })).next).toBeUndefined();
  });

  it('ask GraphQL of the caller, below the root of the instance', async () => {
    const { token } = two.person('graph');
    const answer = await clientOf(two, token).graphql('query { currentUser { username } }', {}, never);
    expect(answer).toMatchObject({ data: { currentUser: { username: 'graph' } } });
    expect(two.log.of({ token: 'graph' }).map(({ path }) => path)).toEqual(['graphql']);
  });

  it('write once, whatever becomes of the answer', async () => {
    const { user, token } = one.person('writer');
    const project = one.world.addProject(user, 'app');
    const path = apiPath`/projects/${project.id}/issues`;
    const write = (title: string) => clientOf(one, token).request({ method: 'POST', path, body: { title }, signal: never });
    for (const kind of ['broken-json', 'empty'] as const) {
      one.faults.add({ method: 'POST', path, fault: { kind } });
      expect(await write(kind)).toMatchObject({ status: 201, body: undefined });
    }
    one.faults.add({ method: 'POST', path, fault: { kind: 'reset', where: 'after' } });
    await expect(write('lost')).rejects.toMatchObject({ code: 'outcome_unknown', message: 'outcome unknown; check before retrying' });
    one.faults.add({ method: 'POST', path, fault: { kind: 'throttle', retryAfter: 7 } });
    await expect(write('limited')).rejects.toMatchObject({ status: 429, retry_after_seconds: 7 });
    expect(project.issues.map(({ title }) => title)).toEqual(['broken-json', 'empty', 'lost']);
    expect(one.log.of({ method: 'POST', token: 'writer' })).toHaveLength(4);
  });

  it('read through what passes, and stop at what is too large', async () => {
    const { token } = one.person('reader');
    const client = clientOf(one, token);
    const read = () => client.request({ path: '/user', signal: never });
    for (const fault of [
      { kind: 'status', status: 502, body: '<html>' },
      { kind: 'reset', where: 'before' },
      { kind: 'reset', where: 'after' },
      { kind: 'reset', where: 'body' },
      { kind: 'throttle', retryAfter: 0 },
      { kind: 'encoded', encoding: 'gzip' },
      { kind: 'encoded', encoding: 'br' },
    ] as const) {
      one.faults.add({ path: '/user', token: 'reader', fault });
      expect([fault, (await read()).body]).toMatchObject([fault, { username: 'reader' }]);
    }
    for (const fault of [
      { kind: 'bomb', bytes: 300_000_000 },
      { kind: 'bomb', bytes: 300_000_000, encoding: 'br' },
      { kind: 'big', bytes: 300_000_000 },
    ] as const) {
      one.faults.add({ path: '/user', token: 'reader', fault });
      await expect(read()).rejects.toMatchObject({ code: 'response_too_large' });
    }
    one.faults.add({ path: '/user', token: 'reader', fault: { kind: 'broken-json' } });
    await expect(read()).rejects.toMatchObject({ code: 'invalid_response' });
  });

  it('show nothing to where one is redirected', async () => {
    const { token } = one.person('moved');
    const before = two.log.entries.length;
    one.faults.add({ token: 'moved', times: 2, fault: { kind: 'redirect', to: two.apiUrl } });
    for (const method of ['GET', 'POST'] as const)
      await expect(clientOf(one, token).request({ method, path: '/user', signal: never })).rejects.toMatchObject({
        message: 'GitLab redirected to another origin',
      });
    expect(two.log.entries).toHaveLength(before);
  });

  it('tell a revoked token from one without a scope', async () => {
    const { user, token } = one.person('revoked');
    const narrow = one.world.addToken(user, { scopes: ['read_user'] });
    await expect(clientOf(one, narrow).request({ path: '/projects', signal: never })).rejects.toMatchObject({
      code: 'insufficient_scope',
      status: 403,
      scopes: expect.arrayContaining(['api']),
    });
    token.revoked = true;
    await expect(clientOf(one, token).request({ path: '/user', signal: never })).rejects.toMatchObject({
      code: 'unauthorized',
      status: 401,
      request_id: expect.any(String),
    });
    await expect(clientOf(two, narrow).request({ path: '/user', signal: never })).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('leave nothing open', async () => {
    expect(pool.stats()).toMatchObject({ active: 0, size: 2 });
    await pool.close();
    await one.log.idle(AbortSignal.timeout(5000));
    await two.log.idle(AbortSignal.timeout(5000));
  });
});
