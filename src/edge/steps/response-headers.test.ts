import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { STREAM_HEADERS } from '../sse-writer.ts';
import { ResponseHeaders } from './response-headers.ts';

const ORIGIN = 'https://app.example.com';

function streamFrom(origin: string | undefined) {
  const headers = new ResponseHeaders({ hsts: true, allowedOrigins: [ORIGIN], writeTimeout: 500 });
  const set = new Map<string, string>();
  const response = { setHeader: (name: string, value: string) => void set.set(name, value), once: () => {} } as unknown as ServerResponse;
  const head = headers.ofEvents({ headers: origin === undefined ? {} : { origin } } as IncomingMessage, response);
  return { head, set: Object.fromEntries(set) };
}

it('a stream carries what every answer carries, each header once, whether it is set or given along', () => {
  const { set } = streamFrom('https://elsewhere.example.com');
  const { head, set: none } = streamFrom(undefined);
  const pairs = (flat: readonly string[]) => flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] as string] as const] : []));
  const given = pairs(head?.headers ?? []);
  expect(none).toEqual({});
  expect(new Set(given.map(([name]) => name)).size).toBe(given.length);
  expect(Object.fromEntries(given)).toEqual({ ...set, ...Object.fromEntries(pairs(STREAM_HEADERS)) });
  expect(Object.keys(set)).toContain('strict-transport-security');
  expect(head?.writeTimeout).toBe(500);
});

it('to a page of another origin it says who may read it', () => {
  const { head, set } = streamFrom(ORIGIN);
  expect(head).toBeUndefined();
  expect(set).toMatchObject({ 'access-control-allow-origin': ORIGIN, vary: 'Origin', 'x-content-type-options': 'nosniff' });
});

describe('over the wire', () => {
  const headers = new ResponseHeaders({ hsts: false, allowedOrigins: [ORIGIN], writeTimeout: 500 });
  const big = Buffer.alloc(30_000_000, 0x78);
  let server: Server;
  let port = 0;
  const sockets: Socket[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url === '/taken') headers.sendTaken(request, response);
      else if (request.url === '/named') {
        response.setHeader('ratelimit-remaining', '7');
        headers.sendTaken(request, response);
      } else if (request.url === '/late') setTimeout(() => headers.sendJson(request, response, 200, [Buffer.from('{}')]), 50);
      else headers.sendJson(request, response, 200, [big]);
    });
    server.on('connection', (socket) => void sockets.push(socket));
    server.on('timeout', (socket) => socket.destroy());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });

  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  it('a message that was taken is 202 without a body, with what every answer carries and what was set before', async () => {
    for (const [path, origin] of [
      ['/taken', undefined],
      ['/taken', ORIGIN],
      ['/named', undefined],
      ['/named', ORIGIN],
    ] as const) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: origin === undefined ? {} : { origin } });
      expect([answer.status, await answer.text()]).toEqual([202, '']);
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      expect(answer.headers.get('cache-control')).toBe('no-store');
      expect(answer.headers.get('access-control-allow-origin')).toBe(origin ?? null);
      expect(answer.headers.get('ratelimit-remaining')).toBe(path === '/named' ? '7' : null);
    }
  });

  it('an answer behind another one on its connection has to be taken in time, too', async () => {
    const client = connect(port, '127.0.0.1');
    await once(client, 'connect');
    client.pause();
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
    client.write(get('/late') + get('/big'));
    const closed = once(sockets.at(-1) as Socket, 'close');
    await closed;
    client.destroy();
  });
});
