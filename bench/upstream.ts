// An upstream that costs little and speaks both eras: /legacy with sessions, /modern without. Tools: echo, and ask (legacy), which
// asks its client for a word before it answers. Tells its port over the channel of the parent.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isJsonObject, type JsonObject } from '../src/core/mcp.ts';

const TOOLS = ['echo', 'ask'].map((name) => ({
  name,
  description: `The tool ${name}`,
  inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  annotations: { readOnlyHint: true },
}));
const FORM = { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] };

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
  const { id, method, result } = message;
  if (method === undefined) {
    const word = isJsonObject(result) && isJsonObject(result.content) ? String(result.content.word) : 'nothing';
    waiting.get(String(id))?.(word);
    waiting.delete(String(id));
  }
  if (id === undefined || method === undefined) return void response.writeHead(202).end();
  const params = isJsonObject(message.params) ? message.params : {};
  const isModern = request.url === '/modern';
  const reply = (body: object) => {
    const whole = isModern ? { resultType: 'complete', ...body } : body;
    response.writeHead(200, { 'content-type': 'application/json', ...(method === 'initialize' ? { 'mcp-session-id': randomUUID() } : {}) });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result: whole }));
  };
  const caching = isModern ? { ttlMs: 60_000, cacheScope: 'private' } : {};
  if (method === 'initialize' && !isModern)
    reply({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'bench', version: '1.0.0' } });
  else if (method === 'server/discover' && isModern) reply({ supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, ...caching });
  else if (method === 'tools/list') reply({ tools: TOOLS, ...caching });
  else if (method === 'tools/call') call(params, response, id, reply);
  else if (method === 'ping') reply({});
  else response.writeHead(isModern ? 404 : 200, { 'content-type': 'application/json' }).end(unknown(id));
}

function call(params: JsonObject, response: ServerResponse, id: unknown, reply: (body: object) => void): void {
  const { text } = params.arguments as { text: string };
  if (params.name === 'echo') {
    reply({ content: [{ type: 'text', text }] });
    return;
  }
  const event = (message: object) => response.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
  const question = `q${++questions}`;
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  waiting.set(question, (word) => {
    event({ id, result: { content: [{ type: 'text', text: `${text}: ${word}` }] } });
    response.end();
  });
  event({ id: question, method: 'elicitation/create', params: { message: `A word for ${text}?`, requestedSchema: FORM } });
}

function unknown(id: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } });
}
