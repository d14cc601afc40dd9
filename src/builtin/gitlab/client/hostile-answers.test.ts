import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../core/manual-clock.ts';
import { Secret } from '../../../core/secret.ts';
import { never, TOKEN } from './client-fixture.ts';
import { GitLabClient } from './gitlab-client.ts';
import { GitLabClientPool } from './instance-pool.ts';

const servers: net.Server[] = [];
const sockets = new Set<net.Socket>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

/** A client of a server that writes bytes of its own, once for each request. */
async function against(speak: (socket: net.Socket) => void, clock = new ManualClock()) {
  let requests = 0;
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    socket.on('data', () => {
      requests++;
      speak(socket);
    });
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const pool = new GitLabClientPool({ allowsPrivate: () => true, clock });
  const apiUrl = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  const client = new GitLabClient({
    apiUrl,
    credential: { kind: 'bearer', token: new Secret(TOKEN) },
    instances: pool,
    clock,
    version: '1',
    random: () => 0,
  });
  return { client, clock, pool, requests: () => requests, [Symbol.asyncDispose]: () => pool.close() };
}

const RUBBISH: readonly (readonly [name: string, bytes: string])[] = [
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.9\r\n'],
  ['two lengths that differ', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}'],
  ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}'],
  ['headers of a megabyte', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(1_000_000)}\r\n\r\n{}`],
  ['a chunk that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}'],
];

describe('a server that answers', () => {
  it.each(RUBBISH)('%s: a write is unknown and not repeated, nothing is left', async (name, bytes) => {
    await using hostile = await against((socket) => socket.write(bytes));
    const written = hostile.client.request({ method: 'POST', path: '/x', signal: never });
    // What breaks within the body of a success does not undo it.
    if (name.startsWith('a chunk')) expect(await written).toMatchObject({ status: 200, body: undefined });
    else await expect(written).rejects.toMatchObject({ name: 'GitLabError', code: 'outcome_unknown' });
    expect(hostile.requests()).toBe(1);
    expect(hostile.pool.stats().active).toBe(0);
    await expect.poll(() => sockets.size).toBe(0);
  });

  it.each(RUBBISH)('%s: a read fails', async (_name, bytes) => {
    await using hostile = await against((socket) => socket.write(bytes));
    let isDone = false;
    const failed = expect(hostile.client.request({ path: '/x', signal: never })).rejects.toMatchObject({ name: 'GitLabError', code: 'unreachable' });
    void failed.finally(() => {
      isDone = true;
    });
    // Waits of no length are still waits.
    while (!isDone) {
      hostile.clock.advance(0);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await failed;
    expect(hostile.requests()).toBe(3);
    await expect.poll(() => sockets.size).toBe(0);
  });

  it('more than one answer to a request: the second reaches nobody', async () => {
    let answers = 0;
    await using hostile = await against((socket) => {
      const body = JSON.stringify({ answer: ++answers });
      const stray = JSON.stringify({ stray: true });
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}HTTP/1.1 200 OK\r\ncontent-length: ${stray.length}\r\n\r\n${stray}`,
      );
    });
    for (const answer of [1, 2, 3]) expect((await hostile.client.request({ path: '/x', signal: never })).body).toEqual({ answer });
  });

  it('interim answers for ever: it is given up after 20 s', async () => {
    await using hostile = await against((socket) => {
      const more = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'), 5);
      socket.once('close', () => clearInterval(more));
    });
    const failed = expect(hostile.client.request({ path: '/x', signal: never })).rejects.toMatchObject({ code: 'timeout' });
    await expect.poll(() => hostile.requests()).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    hostile.clock.advance(20_000);
    await failed;
    await expect.poll(() => sockets.size).toBe(0);
  });
});
