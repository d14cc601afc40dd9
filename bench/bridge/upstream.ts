// The upstream of the bridge's bench: the echo server of both eras, /legacy with sessions and /modern without, and besides the tool `ask`,
// which asks its client for a word before it answers (legacy). Tells its port over the channel of the parent.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import { Echo } from '../upstream/echo.ts';

const ASK = {
  name: 'ask',
  description: 'The tool ask',
  inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  annotations: { readOnlyHint: true },
};
const FORM = { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] };

const echo = new Echo(1, [ASK]);
/** What waits for the answer to its question, by the id of the question. */
const waiting = new Map<string, (word: string) => void>();
let questions = 0;

const server = createServer((request, response) => {
  if (request.method !== 'POST') return void response.writeHead(405).end();
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => answer(request, response, JSON.parse(Buffer.concat(chunks).toString('utf8')) as JsonObject));
});
// Sockets of parked calls stay for later ones: what is measured is the calls.
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once('disconnect', () => process.exit(0));

function answer(request: IncomingMessage, response: ServerResponse, message: JsonObject): void {
  const { id, method, params, result } = message;
  if (method === undefined) {
    const word = isJsonObject(result) && isJsonObject(result.content) ? String(result.content.word) : 'nothing';
    waiting.get(String(id))?.(word);
    waiting.delete(String(id));
  }
  if (method === 'tools/call' && isJsonObject(params) && params.name === 'ask') {
    ask(params, response, id);
    return;
  }
  const reply = echo.answer(message, request.url === '/modern');
  if (reply === undefined) return void response.writeHead(202).end();
  const session = method === 'initialize' ? { 'mcp-session-id': randomUUID() } : {};
  response.writeHead(reply.status, { 'content-type': 'application/json', ...session }).end(JSON.stringify(reply.message));
}

function ask(params: JsonObject, response: ServerResponse, id: unknown): void {
  const { text } = params.arguments as { text: string };
  const event = (message: object) => response.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
  const question = `q${++questions}`;
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  waiting.set(question, (word) => {
    event({ id, result: { content: [{ type: 'text', text: `${text}: ${word}` }] } });
    response.end();
  });
  event({ id: question, method: 'elicitation/create', params: { message: `A word for ${text}?`, requestedSchema: FORM } });
}
