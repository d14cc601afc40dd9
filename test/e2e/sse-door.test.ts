import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import { Rig } from './rig.ts';

const ANNA = { authorization: 'Bearer token-of-anna' };
const BERT = { authorization: 'Bearer token-of-bert' };
const JSON_BODY = { 'content-type': 'application/json' };
const initialize = (id: number, protocolVersion = '2024-11-05') => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: { protocolVersion, capabilities: {}, clientInfo: { name: 'old', version: '1' } },
});

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.make();
  const tokens = ['anna', 'bert'].map((name) => ({ name, token: `token-of-${name}`, tenant: name }));
  await rig.start({ auth: { modes: ['static'], static: tokens }, limits: { sessions: 8 }, upstreams: [rig.stdio('e', 'everything')] });
});
afterAll(() => rig?.[Symbol.asyncDispose]());

const at = (path: string) => new URL(path, rig.endpoint);

/** A client of 2024-11-05 by hand: its stream as it comes, and its POSTs. */
class OldClient implements AsyncDisposable {
  readonly events: { readonly event: string | undefined; readonly data: string }[] = [];
  readonly response: Response;
  readonly #end: AbortController;
  ended = false;

  private constructor(response: Response, end: AbortController) {
    this.response = response;
    this.#end = end;
    void this.#read();
  }

  static async open(headers: Record<string, string> = ANNA): Promise<OldClient> {
    const end = new AbortController();
    const response = await fetch(at('/sse'), { headers: { accept: 'text/event-stream', ...headers }, signal: end.signal });
    const client = new OldClient(response, end);
    if (response.ok)
      await until(
        async () => client.events.length,
        (count) => count > 0,
        5_000,
      );
    return client;
  }

  async #read(): Promise<void> {
    try {
      const events = this.response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      for await (const { event, data } of events ?? []) this.events.push({ event, data });
    } catch {
      // The test ended it.
    }
    this.ended = true;
  }

  /** Where it was told to post. */
  get target(): URL {
    return at(this.events[0]?.data ?? '');
  }

  get messages(): JsonObject[] {
    return this.events.slice(1).map(({ data }) => JSON.parse(data) as JsonObject);
  }

  post(body: unknown, headers: Record<string, string> = ANNA, target = this.target): Promise<Response> {
    return fetch(target, { method: 'POST', headers: { ...JSON_BODY, ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });
  }

  async answer(count = 1): Promise<JsonObject[]> {
    await until(
      async () => this.messages.length,
      (found) => found >= count,
      5_000,
    );
    return this.messages;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
  }
}

describe('the transport of 2024-11-05', () => {
  it('serves the published client: lists, calls, questions, progress, and ends with its stream', async () => {
    const transport = new SSEClientTransport(at('/sse'), { requestInit: { headers: ANNA }, eventSourceInit: { fetch: withToken } });
    const client = new Client({ name: 'old', version: '1' }, { capabilities: { sampling: {} } });
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      model: 'm',
      role: 'assistant' as const,
      content: { type: 'text' as const, text: 'sampled words' },
    }));
    await client.connect(transport as Transport);
    const { tools } = await client.listTools();
    const name = (part: string) => tools.find((tool) => tool.name.includes(part))?.name ?? part;
    const echoed = await client.callTool({ name: name('echo'), arguments: { message: 'hello' } });
    expect(JSON.stringify(echoed)).toContain('hello');
    const heard: number[] = [];
    await client.callTool({ name: name('long-running'), arguments: { duration: 1.2, steps: 3 } }, undefined, {
      onprogress: ({ progress }) => heard.push(progress),
    });
    // Ten in a second at most pass, so on a slow machine not every one does.
    expect(heard.length).toBeGreaterThan(0);
    expect(heard).toEqual([...heard].sort((a, b) => a - b));
    const sampled = await client.callTool({ name: name('sampling'), arguments: { prompt: 'p', maxTokens: 10 } });
    expect(JSON.stringify(sampled)).toContain('sampled words');
    await client.close();
  });

  it('begins with the endpoint, takes with 202, answers on the stream in the revision that was asked for', async () => {
    await using client = await OldClient.open();
    expect(client.events[0]).toMatchObject({ event: 'endpoint', data: expect.stringMatching(/^\/message\?sessionId=[\w-]{43}$/) });
    const taken = await client.post(initialize(1));
    expect([taken.status, await taken.text()]).toEqual([202, '']);
    expect((await client.answer())[0]).toMatchObject({ id: 1, result: { protocolVersion: '2024-11-05', capabilities: { tools: {} } } });
    expect((await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202);
    expect(
      (
        await client.post([
          { jsonrpc: '2.0', id: 2, method: 'ping' },
          { jsonrpc: '2.0', id: 3, method: 'nope' },
        ])
      ).status,
    ).toBe(202);
    expect((await client.answer(2))[1]).toEqual([
      { jsonrpc: '2.0', id: 2, result: {} },
      { jsonrpc: '2.0', id: 3, error: { code: -32601, message: 'Method not found: nope' } },
    ]);
    await client.post(initialize(4));
    expect((await client.answer(3))[2]).toMatchObject({ id: 4, error: { code: -32600, message: 'Invalid Request: initialize was sent twice' } });
  });

  it('answers what comes before initialize, and later revisions and unknown ones as everywhere', async () => {
    await using client = await OldClient.open();
    await client.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
    await client.post({ jsonrpc: '2.0', id: 2, method: 'ping' });
    await client.answer(2);
    expect(client.messages).toContainEqual(
      expect.objectContaining({ id: 1, error: { code: -32600, message: 'Invalid Request: initialize comes first' } }),
    );
    await client.post(initialize(3, '2099-01-01'));
    expect((await client.answer(3))[2]).toMatchObject({ id: 3, result: { protocolVersion: '2025-11-25' } });
  });

  it('is bound to its principal, and its id is of no use on /mcp', async () => {
    await using client = await OldClient.open();
    expect((await client.post(initialize(1), BERT)).status).toBe(404);
    expect((await client.post(initialize(1), {})).status).toBe(401);
    const id = client.target.searchParams.get('sessionId') ?? '';
    const elsewhere = await fetch(at('/mcp'), {
      method: 'POST',
      headers: { ...JSON_BODY, ...ANNA, 'mcp-session-id': id },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
    });
    expect(elsewhere.status).toBe(404);
    expect(await elsewhere.json()).toMatchObject({ error: { code: -32600, message: 'Session not found' } });
    expect(client.messages).toEqual([]);
  });

  it.each([
    ['no session', '/message', initialize(1), 400, 'The query parameter sessionId is required'],
    ['an unknown session', '/message?sessionId=nope', initialize(1), 404, 'Session not found'],
  ])('%s is refused', async (_what, path, body, status, message) => {
    await using client = await OldClient.open();
    const refused = await client.post(body, ANNA, at(path));
    expect([refused.status, await refused.json()]).toEqual([status, expect.objectContaining({ error: { code: -32600, message } })]);
  });

  it.each([
    [
      'a stateless request',
      { jsonrpc: '2.0', id: 7, method: 'tools/list', params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } } },
      400,
      -32600,
    ],
    ['no JSON', '{"jsonrpc"', 400, -32700],
    ['an empty batch', [], 400, -32600],
  ])('%s is refused', async (_what, body, status, code) => {
    await using client = await OldClient.open();
    const refused = await client.post(body);
    expect([refused.status, await refused.json()]).toEqual([status, expect.objectContaining({ error: expect.objectContaining({ code }) })]);
  });

  it.each([
    ['POST', '/sse', 405, 'GET'],
    ['GET', '/message', 405, 'POST'],
    ['DELETE', '/sse', 405, 'GET'],
  ])('%s %s is no method', async (method, path, status, allow) => {
    const refused = await fetch(at(path), { method, headers: ANNA });
    expect([refused.status, refused.headers.get('allow')]).toEqual([status, allow]);
    await refused.body?.cancel();
  });

  it('a client that cannot read events, or has no credential, opens nothing', async () => {
    expect((await fetch(at('/sse'), { headers: { ...ANNA, accept: 'application/json' } })).status).toBe(406);
    expect((await fetch(at('/sse'), { headers: { accept: 'text/event-stream' } })).status).toBe(401);
    expect((await fetch(at('/sse'), { headers: { ...ANNA, accept: 'text/event-stream', origin: 'https://evil.example' } })).status).toBe(403);
  });

  it('the session ends with its stream, and its place is free again', async () => {
    const client = await OldClient.open();
    const { target } = client;
    await client[Symbol.asyncDispose]();
    await until(
      async () => (await client.post(initialize(1), ANNA, target)).status,
      (status) => status === 404,
      5_000,
    );
    const clients: OldClient[] = [];
    for (let more = 0; more < 5; more++) clients.push(await OldClient.open(BERT));
    // Nobody gets more than half of all sessions.
    expect(clients.map(({ response }) => response.status)).toEqual([200, 200, 200, 200, 503]);
    for (const open of clients) await open[Symbol.asyncDispose]();
    await until(
      async () => {
        await using again = await OldClient.open(BERT);
        return again.response.status;
      },
      (status) => status === 200,
      5_000,
    );
  });
});

function withToken(url: string | URL, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set('authorization', ANNA.authorization);
  return fetch(url, { ...init, headers });
}
