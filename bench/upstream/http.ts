// The echo server over streamable HTTP, both eras on one port, from a bare socket: it costs a third of node:http, so that what stands
// in front of it is what is measured. `--tools N`. Tells its port over the channel of the parent.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type JsonObject, MODERN_VERSION } from '../../src/core/mcp.ts';
import { headerOf, MessageReader } from '../http1.ts';
import { Echo, eventOf, objectionTo, type Reply } from './echo.ts';

const { values } = parseArgs({ options: { tools: { type: 'string', default: '40' } } });
const echo = new Echo(Number(values.tools));
let sessions = 0;

const server = createServer({ noDelay: true }, (socket) => {
  const reader = new MessageReader((head, at, raw) => {
    if (head.startsWith('POST')) void answer(socket, head, raw.toString('utf8', at));
    else if (head.startsWith('DELETE')) empty(socket, 200);
    else empty(socket, 405);
  });
  socket.on('data', (chunk: Buffer) => reader.push(chunk));
  socket.on('error', () => {});
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once('disconnect', () => process.exit(0));

async function answer(socket: Socket, head: string, body: string): Promise<void> {
  const message = JSON.parse(body) as JsonObject;
  const isModern = headerOf(head, 'mcp-protocol-version') === MODERN_VERSION;
  const objection = isModern ? objectionTo(message, (name) => headerOf(head, name)) : undefined;
  if (objection !== undefined) return whole(socket, 400, JSON.stringify(objection), '');
  const reply = echo.answer(message, isModern);
  if (reply === undefined) return empty(socket, 202);
  const session = message.method === 'initialize' && !isModern ? `Mcp-Session-Id: session-${++sessions}\r\n` : '';
  if (reply.delay > 0) await pause(reply.delay);
  if (reply.events === 0) whole(socket, reply.status, JSON.stringify(reply.message), session);
  else await stream(socket, reply);
}

function whole(socket: Socket, status: number, text: string, more: string): void {
  socket.write(`HTTP/1.1 ${status} X\r\nContent-Type: application/json\r\n${more}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

function empty(socket: Socket, status: number): void {
  socket.write(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`);
}

async function stream(socket: Socket, reply: Reply): Promise<void> {
  socket.write(
    'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  for (let progress = 1; progress <= reply.events; progress++) {
    if (!event(socket, eventOf(reply, progress))) await drained(socket);
    if (socket.destroyed) return;
  }
  event(socket, JSON.stringify(reply.message));
  socket.write('0\r\n\r\n');
}

function event(socket: Socket, text: string): boolean {
  const payload = `event: message\ndata: ${text}\n\n`;
  return socket.write(`${Buffer.byteLength(payload).toString(16)}\r\n${payload}\r\n`);
}

async function drained(socket: Socket): Promise<void> {
  // A client that hangs up meanwhile is no failure of ours.
  await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
}
