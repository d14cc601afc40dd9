import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { readBody } from './body.ts';

const server = createServer();
afterEach(() => {
  server.removeAllListeners('request');
  server.closeAllConnections();
  server.close();
});

/** A request as a server sees it, and the one who sends it. */
async function posted(head: Record<string, string>) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = httpRequest({ port: (server.address() as AddressInfo).port, method: 'POST', headers: head });
  client.on('error', () => {});
  const arrived = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
  client.flushHeaders();
  const [request, response] = await arrived;
  return { client, request, response };
}

const complete = async (request: IncomingMessage) => {
  while (!request.complete) await new Promise((resolve) => setImmediate(resolve));
};

it('is read when all of it is there', async () => {
  const { client, request, response } = await posted({ 'transfer-encoding': 'chunked' });
  client.write('{"a":');
  client.end('1}');
  await complete(request);
  expect(await readBody(request, 100)).toEqual(Buffer.from('{"a":1}'));
  const answered = once(client, 'response');
  response.end('ok');
  expect(((await answered)[0] as IncomingMessage).statusCode).toBe(200);
  expect(request.readableEnded).toBe(true);
});

it('is not cut where the request flows already', async () => {
  const { client, request } = await posted({ 'transfer-encoding': 'chunked' });
  client.write('{"a":');
  while (request.readableLength < 5) await new Promise((resolve) => setImmediate(resolve));
  client.end('1}');
  await complete(request);
  expect(request.readableLength).toBe(7);
  request.on('data', () => {});
  expect(request.readableFlowing).toBe(true);
  expect(await readBody(request, 100)).toEqual(Buffer.from('{"a":1}'));
});

it('is missed, though it is there, when the client has gone by then', async () => {
  const { client, request } = await posted({ 'transfer-encoding': 'chunked' });
  client.end('{"a":1}');
  await complete(request);
  client.destroy();
  while (!request.destroyed) await new Promise((resolve) => setImmediate(resolve));
  await expect(readBody(request, 100)).rejects.toMatchObject({ code: 'request/cancelled' });
});

it('may be empty', async () => {
  const { client, request } = await posted({ 'content-length': '0' });
  client.end();
  await complete(request);
  expect(await readBody(request, 100)).toEqual(Buffer.alloc(0));
});

it('is waited for when some of it is missing', async () => {
  const { client, request } = await posted({ 'transfer-encoding': 'chunked' });
  client.write('{"a":');
  const body = readBody(request, 100);
  client.end('1}');
  expect(await body).toEqual(Buffer.from('{"a":1}'));
});

it('is refused when it is too large, whole or not', async () => {
  const whole = await posted({ 'transfer-encoding': 'chunked' });
  whole.client.end('x'.repeat(101));
  await complete(whole.request);
  await expect(readBody(whole.request, 100)).rejects.toThrow('larger than 100 bytes');
});

it('is refused when it grows too large', async () => {
  const { client, request } = await posted({ 'transfer-encoding': 'chunked' });
  client.write('x');
  const body = readBody(request, 100);
  client.end('x'.repeat(101));
  await expect(body).rejects.toMatchObject({ code: 'guard/size' });
});

it('is missed when the client goes before its end', async () => {
  const { client, request } = await posted({ 'transfer-encoding': 'chunked' });
  client.write('x');
  const body = readBody(request, 100);
  client.destroy();
  await expect(body).rejects.toMatchObject({ code: 'request/cancelled' });
});
