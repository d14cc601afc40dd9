import { getEventListeners, once } from 'node:events';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../core/manual-clock.ts';
import { Secret } from '../../../core/secret.ts';
import type { ApiRequest } from './api.ts';
import { json, never, Rig, TOKEN } from './client-fixture.ts';
import { GitLabClient } from './gitlab-client.ts';
import { GitLabClientPool } from './instance-pool.ts';

type Method = NonNullable<ApiRequest['method']>;

/** Resolves when the answer to the `count`th request was read, and its sender waits or is done. */
const resting = (rig: Rig, count: number) => expect.poll(() => [rig.server.requests.length, rig.pool.stats().active]).toEqual([count, 0]);

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

  it('when nothing was sent: every method is repeated', async () => {
    for (const method of ['GET', 'POST', 'PUT'] as const) {
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
      const error: unknown = await client.request({ method, path: '/x', once: true, signal: never }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'unreachable', message: expect.stringContaining('ECONNREFUSED') });
      expect(rig.seen).toEqual(['0', '0', '0']);
    }
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

describe('redirects', () => {
  const redirecting = (location: (host: string) => string, status = 302) =>
    Rig.start((request, response) => {
      if (request.url.endsWith('/end')) json(response, { id: 1 });
      else response.writeHead(status, { location: location(request.headers.host ?? '') }).end('moved');
    });

  it('to another origin show nothing to it', async () => {
    await using evil = await Rig.start((_request, response) => json(response, { id: 666 }));
    const port = evil.server.port;
    for (const location of [
      `http://127.0.0.1:${port}/api/v4/end`,
      `//127.0.0.1:${port}/api/v4/end`,
      `http://localhost:${port}/`,
      'https://127.0.0.1/',
      `http://u:p@127.0.0.1:${port}/`,
      'http://169.254.169.254/',
      'file:///etc/passwd',
    ]) {
      for (const method of ['GET', 'POST'] as const) {
        await using rig = await redirecting(() => location);
        await expect(rig.client().request({ method, path: '/x', signal: never })).rejects.toMatchObject({
          code: 'redirected',
          message: 'GitLab redirected to another origin',
          status: 302,
        });
        expect(rig.server.requests).toHaveLength(1);
      }
    }
    expect(evil.server.connections).toBe(0);
  });

  it('with user info to the same origin are another origin', async () => {
    await using rig = await redirecting((host) => `http://u:p@${host}/api/v4/end`);
    await expect(rig.client().request({ path: '/x', signal: never })).rejects.toMatchObject({ message: 'GitLab redirected to another origin' });
  });

  it.each([301, 302, 303, 307, 308])('of %i within the origin are followed by reads, not by writes', async (status) => {
    await using rig = await redirecting(() => '/api/v4/end#f', status);
    expect(await rig.client().request({ path: '/x', signal: never })).toMatchObject({ body: { id: 1 } });
    expect(rig.server.requests[1]).toMatchObject({ url: '/api/v4/end', headers: { authorization: `Bearer ${TOKEN}` } });
    await expect(rig.client().request({ method: 'PUT', path: '/x', signal: never })).rejects.toMatchObject({ code: 'redirected', status });
    expect(rig.server.requests).toHaveLength(3);
  });

  it('are followed three times', async () => {
    await using rig = await Rig.start((request, response) => {
      const left = Number(request.url.split('/').at(-1));
      if (left === 0) json(response, { id: 1 });
      else response.writeHead(302, { location: `/api/v4/hops/${left - 1}` }).end();
    });
    expect(await rig.client().request({ path: '/hops/3', signal: never })).toMatchObject({ body: { id: 1 } });
    await expect(rig.client().request({ path: '/hops/4', signal: never })).rejects.toMatchObject({
      code: 'redirected',
      message: 'GitLab redirected more than 3 times',
    });
  });

  it('stay within the instance, and have a target', async () => {
    for (const [location, message] of [
      ['/other/api/v4/end', 'GitLab redirected out of its instance'],
      ['/gitlabber/end', 'GitLab redirected out of its instance'],
      ['http://[', 'GitLab redirected to nowhere'],
    ] as const) {
      await using rig = await Rig.start((_request, response) => response.writeHead(302, { location }).end(), { prefix: '/gitlab' });
      await expect(rig.client().request({ path: '/x', signal: never })).rejects.toMatchObject({ code: 'redirected', message });
    }
  });
});

describe('deadlines', () => {
  it.each(['GET', 'POST'] as const)('of 20 s end a %s without an answer', async (method) => {
    const clock = new ManualClock();
    await using rig = await Rig.start(() => undefined, { clock });
    const failed = expect(rig.client().request({ method, path: '/x', signal: never })).rejects.toMatchObject(
      method === 'GET' ? { code: 'timeout', message: 'GitLab did not answer in 20 s' } : { code: 'outcome_unknown' },
    );
    await expect.poll(() => rig.server.requests.length).toBe(1);
    clock.advance(19_999);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(rig.pool.stats().active).toBe(1);
    clock.advance(1);
    await failed;
    expect(rig.server.requests).toHaveLength(1);
    await expect.poll(() => [rig.pool.stats().active, rig.server.open]).toEqual([0, 0]);
    await rig.pool.close();
    expect(clock.pending).toBe(0);
  });

  it('of 30 s end an answer that drips, also in a stream that nobody reads', async () => {
    const clock = new ManualClock();
    await using rig = await Rig.start((_request, response) => response.writeHead(200).write('['), { clock });
    const failed = expect(rig.client().request({ path: '/x', signal: never })).rejects.toMatchObject({
      code: 'timeout',
      message: 'GitLab did not answer in 30 s',
    });
    const { chunks } = await rig.client().stream({ path: '/y', signal: never });
    await rig.client().stream({ path: '/z', signal: never });
    const read = expect(
      chunks[Symbol.asyncIterator]()
        .next()
        .then(() => chunks[Symbol.asyncIterator]().next()),
    ).rejects.toMatchObject({ code: 'timeout' });
    await expect.poll(() => rig.server.requests.length).toBe(3);
    await new Promise((resolve) => setTimeout(resolve, 20));
    clock.advance(30_000);
    await failed;
    await read;
    await expect.poll(() => [rig.pool.stats().active, rig.server.open]).toEqual([0, 0]);
    await rig.pool.close();
    expect(clock.pending).toBe(0);
  });

  it('count retries and waits in', async () => {
    const clock = new ManualClock();
    await using rig = await Rig.start((_request, response) => json(response, {}, 503, { 'retry-after': '20' }), { clock });
    const failed = expect(rig.client().request({ path: '/x', signal: never })).rejects.toMatchObject({ status: 503, retry_after_seconds: 20 });
    await resting(rig, 1);
    clock.advance(20_000);
    await failed;
    expect(rig.server.requests).toHaveLength(2);
  });
});

describe('cancellation', () => {
  it('acts at every point, and leaves nothing', async () => {
    const clock = new ManualClock();
    const reason = new Error('cancelled by a test');
    const points = {
      before: () => undefined,
      head: () => undefined,
      body: (response: import('node:http').ServerResponse) => void response.writeHead(200).write('['),
      wait: (response: import('node:http').ServerResponse) => json(response, {}, 503),
    };
    for (const [point, handle] of Object.entries(points)) {
      for (const method of ['GET', 'DELETE'] as const) {
        await using rig = await Rig.start((_request, response) => handle(response), { clock });
        const abort = new AbortController();
        if (point === 'before') abort.abort(reason);
        const failed = expect(rig.client({ random: 0.9 }).request({ method, path: '/x', signal: abort.signal })).rejects.toBe(reason);
        if (point !== 'before') {
          await expect.poll(() => rig.server.requests.length).toBe(1);
          await new Promise((resolve) => setTimeout(resolve, 20));
          abort.abort(reason);
        }
        await failed;
        await expect.poll(() => rig.pool.stats().active).toBe(0);
        if (point !== 'wait') await expect.poll(() => rig.server.open).toBe(0);
        await rig.pool.close();
        expect([point, clock.pending]).toEqual([point, 0]);
      }
    }
  });

  it('is not listened for any more once there is an answer', async () => {
    const abort = new AbortController();
    await using rig = await Rig.start((request, response) => json(response, {}, request.url.endsWith('bad') ? 404 : 200));
    await rig.client().request({ path: '/x', signal: abort.signal });
    await expect(rig.client().request({ path: '/bad', signal: abort.signal })).rejects.toMatchObject({ status: 404 });
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
  });

  it('acts at once while a socket is still being opened', async () => {
    const clock = new ManualClock();
    const held: (() => void)[] = [];
    const pool = new GitLabClientPool({
      clock,
      allowsPrivate: () => true,
      resolve: (_host, _options, callback) => void held.push(() => callback(null, [{ address: '127.0.0.1', family: 4 }])),
    });
    const client = new GitLabClient({
      apiUrl: 'http://git.test',
      credential: { kind: 'bearer', token: new Secret(TOKEN) },
      instances: pool,
      clock,
      version: '1',
    });
    const abort = new AbortController();
    const failed = expect(client.request({ method: 'POST', path: '/x', signal: abort.signal })).rejects.toThrow('gone');
    await expect.poll(() => held.length).toBe(1);
    abort.abort(new Error('gone'));
    await failed;
    expect(pool.stats().active).toBe(0);
    await pool.close();
    expect(clock.pending).toBe(0);
  });

  it('of a request that waits for a socket: it is never sent', async () => {
    const held: import('node:http').ServerResponse[] = [];
    await using rig = await Rig.start((_request, response) => void held.push(response));
    const first = Array.from({ length: 32 }, () => rig.client().request({ path: '/first', signal: never }));
    await expect.poll(() => held.length).toBe(32);
    const abort = new AbortController();
    const failed = expect(rig.client().request({ method: 'POST', path: '/second', signal: abort.signal })).rejects.toThrow('gone');
    await new Promise((resolve) => setTimeout(resolve, 20));
    abort.abort(new Error('gone'));
    await failed;
    for (const response of held.splice(0)) json(response, {});
    await Promise.all(first);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(rig.server.requests.map(({ url }) => url)).not.toContain('/api/v4/second');
    expect(rig.server.connections).toBe(32);
  });
});
