import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../core/manual-clock.ts';
import { Secret } from '../../../core/secret.ts';
import type { ApiRequest } from './api.ts';
import { json, never, Rig, resting, TOKEN } from './client-fixture.ts';
import { GitLabClient } from './gitlab-client.ts';

type Method = NonNullable<ApiRequest['method']>;

/** How often a request is sent whose first answers are `status`. */
async function attempts(method: Method, status: number, { fails = 9, once: isOnce = false } = {}): Promise<{ sent: number; outcome: unknown }> {
  let sent = 0;
  await using rig = await Rig.start((_request, response) => json(response, { message: 'm' }, sent++ < fails ? status : 200));
  const outcome: unknown = await rig
    .client()
    .request({ method, path: '/x', once: isOnce, signal: never })
    .then(
      (answer) => answer.status,
      (error: { status: unknown }) => `error ${error.status}`,
    );
  expect(rig.pool.stats().active).toBe(0);
  return { sent, outcome };
}

describe('retries', () => {
  it.each([
    ['GET', [429, 502, 503, 504], [400, 401, 403, 404, 409, 500, 501]],
    ['HEAD', [429, 502, 503, 504], [404, 500]],
    ['PUT', [502, 503, 504], [429, 409, 500]],
    ['DELETE', [502, 503, 504], [429, 409, 500, 404]],
    ['POST', [], [429, 500, 502, 503, 504]],
  ] as const)('of %s come after %j, three times in all, never after %j', async (method, yes, no) => {
    for (const status of yes) {
      expect([status, await attempts(method, status)]).toEqual([status, { sent: 3, outcome: `error ${status}` }]);
      expect([status, await attempts(method, status, { fails: 1 })]).toEqual([status, { sent: 2, outcome: 200 }]);
      expect([status, await attempts(method, status, { once: true })]).toEqual([status, { sent: 1, outcome: `error ${status}` }]);
    }
    for (const status of no) expect([status, await attempts(method, status)]).toEqual([status, { sent: 1, outcome: `error ${status}` }]);
  });

  it('of a DELETE end with 404 as success, unless the first attempt was it', async () => {
    const answers = [502, 404];
    await using rig = await Rig.start((_request, response) => json(response, {}, answers.shift()));
    expect(await rig.client().request({ method: 'DELETE', path: '/x', signal: never })).toMatchObject({ status: 204 });
    expect(rig.server.requests).toHaveLength(2);
  });

  it('wait half a second, doubled, with full jitter', async () => {
    const clock = new ManualClock();
    const times: number[] = [];
    await using rig = await Rig.start(
      (_request, response) => {
        times.push(clock.monotonic());
        json(response, {}, 503);
      },
      { clock },
    );
    const failed = expect(rig.client({ random: 0.5 }).request({ path: '/x', signal: never })).rejects.toMatchObject({ status: 503 });
    await resting(rig, 1);
    clock.advance(250);
    await resting(rig, 2);
    clock.advance(499);
    await new Promise((resolve) => setTimeout(resolve, 20));
    clock.advance(1);
    await failed;
    expect(times).toEqual([0, 250, 750]);
  });

  it('obey Retry-After up to 30 s within the deadline, holding nothing meanwhile', async () => {
    const clock = new ManualClock();
    const times: number[] = [];
    await using rig = await Rig.start(
      (_request, response) => {
        times.push(clock.monotonic());
        if (times.length === 1) json(response, {}, 429, { 'retry-after': '7', 'ratelimit-reset': String(clock.now() / 1000 + 3600) });
        else json(response, { id: 1 });
      },
      { clock },
    );
    const answered = rig.client().request({ path: '/x', signal: never });
    await expect.poll(() => [times.length, rig.pool.stats().active]).toEqual([1, 0]);
    clock.advance(6999);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(times).toHaveLength(1);
    clock.advance(1);
    expect(await answered).toMatchObject({ status: 200 });
    expect(times).toEqual([0, 7000]);
    await rig.pool.close();
    expect(clock.pending).toBe(0);
  });

  it.each([
    ['GET', '31'],
    ['GET', '30'],
    ['GET', '3600'],
    ['POST', '7'],
    ['PUT', '7'],
  ] as const)('do not come when %s is told %s seconds: that is passed on', async (method, seconds) => {
    await using rig = await Rig.start((_request, response) => json(response, {}, 429, { 'retry-after': seconds }));
    await expect(rig.client().request({ method, path: '/x', signal: never })).rejects.toMatchObject({
      code: 'rate_limited',
      retry_after_seconds: Number(seconds),
    });
    expect(rig.server.requests).toHaveLength(1);
  });

  it('never wait for RateLimit-Reset', async () => {
    await using rig = await Rig.start((_request, response) => json(response, {}, 429, { 'ratelimit-reset': '9999999999' }));
    await expect(rig.client().request({ path: '/x', signal: never })).rejects.toMatchObject({ status: 429, retry_after_seconds: null });
    expect(rig.server.requests).toHaveLength(3);
  });
});

describe('lost connections', () => {
  it.each(['POST', 'PUT', 'DELETE'] as const)('after a %s was sent: nobody knows, and it is not repeated', async (method) => {
    await using rig = await Rig.start((_request, response) => void response.destroy());
    await expect(rig.client().request({ method, path: '/x', signal: never })).rejects.toMatchObject({
      code: 'outcome_unknown',
      message: 'outcome unknown; check before retrying',
      status: null,
    });
    expect(rig.server.requests).toHaveLength(1);
    expect(rig.seen).toEqual([`${method} 0`]);
    expect(rig.pool.stats().active).toBe(0);
  });

  it('after a GraphQL request: the same', async () => {
    await using rig = await Rig.start((_request, response) => void response.destroy());
    await expect(rig.client().graphql('mutation {x}', {}, never)).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(rig.server.requests).toHaveLength(1);
  });

  it('after a read: it is repeated, also when half of the body came', async () => {
    let sent = 0;
    await using rig = await Rig.start((_request, response) => {
      if (++sent === 1) return void response.destroy();
      if (sent === 2) {
        response.writeHead(200, { 'content-length': '100' });
        return void response.write('{"id"', () => response.destroy());
      }
      json(response, { id: 1 });
    });
    expect(await rig.client().request({ path: '/x', signal: never })).toMatchObject({ body: { id: 1 } });
    expect(sent).toBe(3);
  });

  it.each([
    ['GET', false, 3],
    ['POST', false, 3],
    ['PUT', true, 3],
    // Who asks whose a token is has an answer for a GitLab that is down (gitlab.md 1.2).
    ['GET', true, 1],
  ] as const)('when nothing was sent: %s (once: %s) is sent %i times in all', async (method, isOnce, times) => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await using rig = await Rig.start((_request, response) => json(response, {}));
    const client = new GitLabClient({
      ...{
        apiUrl: `http://127.0.0.1:${port}`,
        credential: { kind: 'bearer', token: new Secret(TOKEN) },
        instances: rig.pool,
        clock: rig.clock,
        version: '1',
      },
      random: () => 0,
      observe: ({ status }) => rig.seen.push(String(status)),
    });
    const error: unknown = await client.request({ method, path: '/x', once: isOnce, signal: never }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'unreachable', message: expect.stringContaining('ECONNREFUSED') });
    expect(rig.seen).toEqual(Array.from({ length: times }, () => '0'));
  });

  it('are not repeated when a certificate or an address stands in the way', async () => {
    await using rig = await Rig.start((_request, response) => json(response, {}), { allowsPrivate: () => false });
    await expect(rig.client().request({ method: 'POST', path: '/x', signal: never })).rejects.toMatchObject({
      code: 'address_refused',
      message: 'GitLab API URL is not allowed',
      status: null,
    });
    expect(rig.seen).toEqual(['POST 0']);
    expect(rig.server.connections).toBe(0);
  });
});
