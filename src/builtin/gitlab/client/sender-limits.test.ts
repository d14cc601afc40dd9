import { getEventListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../core/manual-clock.ts';
import { Secret } from '../../../core/secret.ts';
import { json, never, Rig, resting, TOKEN } from './client-fixture.ts';
import { GitLabClient } from './gitlab-client.ts';
import { GitLabClientPool } from './instance-pool.ts';

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
      body: (response: ServerResponse) => void response.writeHead(200).write('['),
      wait: (response: ServerResponse) => json(response, {}, 503),
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
    const held: ServerResponse[] = [];
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
