import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { Link } from '../../src/upstream/connection.ts';
import { initialize } from '../../src/upstream/handshake.ts';
import { HttpClient } from '../../src/upstream/http/http-client.ts';
import { StreamableHttpTransport } from '../../src/upstream/http/streamable-http-transport.ts';

/** What a server asks outside any request is lost before it has the session's stream (MCP 2025-11-25, "Listening for Messages from the Server"). */

const INITIALIZED = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'slow', version: '1' } };
const server = createServer((request, response) => {
  if (request.method === 'GET') {
    streams.push(response);
    server.emit('stream');
    return;
  }
  let body = '';
  request.on('data', (chunk) => {
    body += String(chunk);
  });
  request.on('end', () => {
    const { id } = JSON.parse(body) as { id?: number };
    if (id === undefined) response.writeHead(202).end();
    else {
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'one' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: INITIALIZED }));
    }
  });
});
const streams: ServerResponse[] = [];
let client: HttpClient;
let clock: ManualClock;

beforeEach(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new HttpClient();
  clock = new ManualClock();
});
afterEach(async () => {
  streams.length = 0;
  await client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function begin() {
  const { port } = server.address() as AddressInfo;
  const clientInfo = { name: 'test', version: '1' };
  const transport = new StreamableHttpTransport({ url: `http://127.0.0.1:${port}/mcp`, headers: {}, name: 'slow' }, { client, clock });
  const link = new Link({ name: 'slow', transport, clock, clientInfo, renewalMs: 1_000, onDropped: () => {} });
  let over = false;
  const shaken = initialize(link, '2025-11-25', { name: 'slow', clock, profile: 'r', clientInfo, signal: AbortSignal.timeout(10_000) }).finally(
    () => {
      over = true;
    },
  );
  return { shaken, isOver: () => over };
}

const turns = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

it('is there before the first call', async () => {
  const asked = once(server, 'stream');
  const { shaken, isOver } = begin();
  await asked;
  await turns();
  expect(isOver()).toBe(false);
  streams[0]?.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  expect(await shaken).toMatchObject({ era: 'legacy', version: '2025-11-25' });
});

it('is waited for half a second, if a server does not say whether it has one', async () => {
  const asked = once(server, 'stream');
  const { shaken, isOver } = begin();
  await asked;
  clock.advance(499);
  await turns();
  expect(isOver()).toBe(false);
  clock.advance(1);
  expect(await shaken).toMatchObject({ era: 'legacy' });
});
