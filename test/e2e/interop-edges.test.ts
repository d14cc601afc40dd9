import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import type { Gateway } from '../../src/gateway.ts';
import { until } from '../fixtures/processes.ts';
import { answerIn, messagesOf, modernRequest, type PostOptions, post, RawSession } from './raw-client.ts';
import { logOf, Rig, type RunningServer, requestsIn } from './rig.ts';

/** Acceptance behaviours that a published client does not show: what is on the wire, and what is not. */
let rig: Rig;
let modern: RunningServer;
let forger: Server;
let gateway: Gateway;
let document: JsonObject;

beforeAll(async () => {
  rig = await Rig.make();
  modern = await rig.serve('modern');
  forger = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () =>
      forge(JSON.parse(Buffer.concat(chunks).toString()) as JsonObject, (text) =>
        response.writeHead(200, { 'content-type': 'text/event-stream' }).end(text),
      ),
    );
  });
  await new Promise<void>((resolve) => forger.listen(0, '127.0.0.1', resolve));
  const pipe = rig.stdio('pipe', 'legacy');
  document = {
    store: { type: 'sqlite', dir: join(rig.folder, 'state') },
    auth: {
      modes: ['static'],
      static: [
        { name: 'ann', token: 'token-of-ann', tenant: 'a' },
        { name: 'bob', token: 'token-of-bob', tenant: 'b' },
      ],
    },
    pool: { limits: { stdio: 2 } },
    upstreams: [
      { name: 'mh', type: 'streamable-http', url: modern.url(), tenants: ['a'] },
      // The same server, without what comes and goes: its callers see no change.
      { name: 'tasks', type: 'streamable-http', url: modern.url(), tools: { deny: ['test_dynamic_tool'] } },
      { name: 'forger', type: 'streamable-http', protocol: '2026-07-28', url: `http://127.0.0.1:${(forger.address() as AddressInfo).port}/mcp` },
      { ...pipe, env: { ...(pipe.env as JsonObject), FIXTURE_LOG: join(rig.folder, 'pipe.jsonl') } },
      { name: 'silent', type: 'stdio', command: process.execPath, args: ['-e', 'process.stdin.resume()'], cwd: rig.folder },
    ],
  };
  gateway = await rig.start(document, {}, ['silent']);
});
afterAll(async () => {
  forger?.close();
  forger?.closeAllConnections();
  await rig?.[Symbol.asyncDispose]();
});

const authorization = (who: string) => ({ authorization: `Bearer token-of-${who}` });

/** A request of 2026-07-28 by one of the two. */
function ask(who: string, method: string, params: JsonObject = {}, meta: JsonObject = {}, options: PostOptions = {}) {
  const { body, headers } = modernRequest(7, method, params, meta);
  return post(rig.endpoint, body, { ...options, headers: { ...headers, ...authorization(who), ...options.headers } });
}

const resultOf = (message: JsonObject | undefined) => (isJsonObject(message?.result) ? message.result : {});

/** An upstream that answers everything with what it has no right to say. */
function forge({ id, method, params }: JsonObject, answer: (text: string) => void): void {
  const event = (message: object) => `data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;
  const meta = {
    'io.modelcontextprotocol/serverInfo': { name: 'forged', version: '1' },
    'io.modelcontextprotocol/subscriptionId': 'forged',
    vendor: 1,
  };
  const asked = isJsonObject(params) ? params : {};
  const results: Readonly<Record<string, object>> = {
    'server/discover': { supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, ttlMs: 0, cacheScope: 'private' },
    'tools/list': { tools: [{ name: 'say', inputSchema: { type: 'object' } }], ttlMs: 0, cacheScope: 'public' },
    'tools/call': { content: [{ type: 'text', text: String(asked.name) }] },
  };
  const said = method === 'tools/call' ? event({ method: 'notifications/message', params: { level: 'alert', data: 'said', _meta: meta } }) : '';
  answer(said + event({ id, result: { resultType: 'complete', ...results[String(method)], _meta: meta } }));
}

describe('one URL', () => {
  it('serves initialize and an enveloped request at once', async () => {
    const [session, listed] = await Promise.all([RawSession.open(rig.endpoint, {}, authorization('ann')), ask('ann', 'tools/list')]);
    expect(listed).toMatchObject({ status: 200, messages: [{ id: 7, result: { resultType: 'complete', cacheScope: 'private' } }] });
    expect((await session.request(1, 'tools/list')).status).toBe(200);
    expect(await session.end()).toBe(204);
  });

  it('brings content that nobody knows through unchanged, to the byte', async () => {
    const { body, headers } = modernRequest(7, 'tools/call', { name: 'x_mh_unknown_content' });
    const response = await fetch(rig.endpoint, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers, ...authorization('ann') },
    });
    const text = await response.text();
    expect(text).toContain('{"type":"x-hologram","payload":{"big":9007199254740993,"float":1.0,"exp":1e2,"neg":-0}}');
    expect(text).toContain('"x-unknown":{"nested":[12345678901234567890]},"structuredContent":{"id":9007199254740993,"ratio":1.0}');
    expect(text).toContain('"example.com/kept":{"n":1.0}');
    const listed = await fetch(rig.endpoint, {
      method: 'POST',
      body: modernRequest(8, 'tools/list').body,
      headers: { 'content-type': 'application/json', accept: 'application/json', ...modernRequest(8, 'tools/list').headers, ...authorization('ann') },
    });
    expect(await listed.text()).toContain('"x-vendor":{"big":9007199254740993}');
  });

  it('lets no upstream speak as somebody else', async () => {
    const reply = await ask('ann', 'tools/call', { name: 'x_forger_say' }, { 'io.modelcontextprotocol/logLevel': 'debug' });
    const [said, answer] = reply.messages;
    expect(said).toMatchObject({ method: 'notifications/message', params: { data: 'said', _meta: { vendor: 1 } } });
    expect(JSON.stringify(reply.messages)).not.toContain('forged');
    expect(resultOf(answer)._meta).toMatchObject({
      vendor: 1,
      'io.modelcontextprotocol/serverInfo': { name: 'turnpike' },
      'turnpike/upstream': 'forger',
    });
  });

  it('is never public where somebody sees less', async () => {
    for (const who of ['ann', 'bob']) {
      for (const method of ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'server/discover'])
        expect(resultOf(answerIn(await ask(who, method))).cacheScope, `${who} ${method}`).toBe('private');
    }
    const names = async (who: string) => JSON.stringify(resultOf(answerIn(await ask(who, 'tools/list'))));
    expect(await names('ann')).toContain('x_mh_echo');
    expect(await names('bob')).not.toContain('x_mh_');
    const unseen = await ask('bob', 'tools/call', { name: 'x_mh_echo' });
    expect(answerIn(unseen)?.error).toEqual({ code: -32602, message: 'tool not found: x_mh_echo' });
  });
});

describe('a client with a session', () => {
  it('that takes JSON only is told that it cannot be asked, at once', async () => {
    const session = await RawSession.open(rig.endpoint, { elicitation: {}, sampling: {} }, authorization('ann'));
    const reply = await session.request(
      1,
      'tools/call',
      { name: 'x_pipe_test_sampling', arguments: { prompt: 'p' } },
      { headers: { accept: 'application/json' } },
    );
    expect(resultOf(answerIn(reply))).toMatchObject({
      isError: true,
      content: [{ text: 'This tool needs sampling, which cannot be asked on a connection that takes JSON only.' }],
    });
    await session.end();
  });

  it('cancels a call at a child, and a closed connection cancels nothing', async () => {
    const session = await RawSession.open(rig.endpoint, {}, authorization('ann'));
    await session.request(1, 'tools/call', { name: 'x_pipe_echo', arguments: {} });
    const before = await cancelsInPipe();
    const running = session.request(2, 'tools/call', { name: 'x_pipe_sleep', arguments: { ms: 20_000 } });
    await until(sleepsInPipe, (count) => count === 1, 2_000);
    await session.post({ method: 'notifications/cancelled', params: { requestId: 2 } });
    await until(cancelsInPipe, (count) => count === before + 1, 500);
    await running;

    const gone = new AbortController();
    const dropped = session.request(3, 'tools/call', { name: 'x_pipe_sleep', arguments: { ms: 300 } }, { signal: gone.signal }).catch(() => {});
    await until(sleepsInPipe, (count) => count === 2, 2_000);
    gone.abort();
    await dropped;
    await session.request(4, 'tools/call', { name: 'x_pipe_sleep', arguments: { ms: 400 } });
    expect(await cancelsInPipe()).toBe(before + 1);
    await session.end();
  });
});

describe('a client without one', () => {
  it('that closes its stream cancels its call at a child', async () => {
    await ask('ann', 'tools/call', { name: 'x_pipe_echo', arguments: {} });
    const [cancels, sleeps] = [await cancelsInPipe(), await sleepsInPipe()];
    const gone = new AbortController();
    const dropped = ask('ann', 'tools/call', { name: 'x_pipe_sleep', arguments: { ms: 20_000 } }, {}, { signal: gone.signal }).catch(() => {});
    await until(sleepsInPipe, (count) => count === sleeps + 1, 2_000);
    gone.abort();
    await until(cancelsInPipe, (count) => count === cancels + 1, 500);
    await dropped;
  });
});

describe('a change of one upstream', () => {
  it('reaches a listener and a standing stream once each, and nobody whose view is the same', async () => {
    const gone = new AbortController();
    const heard = { listener: [] as string[], bob: [] as string[] };
    const listening = (who: 'listener' | 'bob', token: string) => {
      const { body, headers } = modernRequest(who, 'subscriptions/listen', { notifications: { toolsListChanged: true } });
      return new Promise<void>((resolve) => {
        void fetch(rig.endpoint, {
          method: 'POST',
          body,
          headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers, ...authorization(token) },
          signal: gone.signal,
        }).then(async (response) => {
          for await (const { method, params } of messagesOf(response)) {
            heard[who].push(`${String(method)} ${JSON.stringify(isJsonObject(params) ? params._meta : undefined)}`);
            if (method === 'notifications/subscriptions/acknowledged') resolve();
          }
        });
      });
    };
    const session = await RawSession.open(rig.endpoint, {}, authorization('ann'));
    const other = await RawSession.open(rig.endpoint, {}, authorization('bob'));
    await Promise.all([session.stand(), other.stand(), listening('listener', 'ann'), listening('bob', 'bob')]);
    const changes = () => ({
      listener: heard.listener.filter((text) => text.startsWith('notifications/tools/list_changed')).length,
      session: session.heard.filter(({ method }) => method === 'notifications/tools/list_changed').length,
    });
    // Twice, so that a doubled first one would show as a third.
    for (const round of [1, 2]) {
      await ask('ann', 'tools/call', { name: 'x_mh_test_trigger_tool_change' });
      await until(changes, (count) => count.listener === round && count.session === round, 5_000);
    }
    expect(heard.listener.slice(1)).toEqual(Array(2).fill('notifications/tools/list_changed {"io.modelcontextprotocol/subscriptionId":"listener"}'));
    expect(heard.bob).toHaveLength(1);
    expect(other.heard).toEqual([]);
    gone.abort();
    await Promise.all([session.end(), other.end()]);
  });
});

describe('a task', () => {
  it('is its owner\u2019s alone, and after a restart it still is', async () => {
    const meta = { 'io.modelcontextprotocol/clientCapabilities': { extensions: { 'io.modelcontextprotocol/tasks': {} } } };
    const made = resultOf(answerIn(await ask('ann', 'tools/call', { name: 'x_tasks_slow_compute', arguments: { seconds: 60 } }, meta)));
    expect(made).toMatchObject({ resultType: 'task', taskId: expect.stringMatching(/^tk1\./) });
    const { taskId } = made;
    expect(answerIn(await ask('bob', 'tasks/get', { taskId }, meta))?.error).toEqual({ code: -32602, message: 'Unknown task' });
    const asked = requestsIn(await logOf(modern), 'tasks/get').length;
    await gateway[Symbol.asyncDispose]();
    gateway = await rig.start(document, {}, ['silent']);
    expect(resultOf(answerIn(await ask('ann', 'tasks/get', { taskId }, meta)))).toMatchObject({ taskId, status: 'working' });
    expect(answerIn(await ask('bob', 'tasks/cancel', { taskId }, meta))?.error).toEqual({ code: -32602, message: 'Unknown task' });
    expect(requestsIn(await logOf(modern), 'tasks/get')).toHaveLength(asked + 1);
    expect(answerIn(await ask('ann', 'tasks/cancel', { taskId }, meta))).toMatchObject({ result: { resultType: 'complete' } });
  });
});

async function pipeLog(): Promise<JsonObject[]> {
  const text = await readFile(join(rig.folder, 'pipe.jsonl'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JsonObject);
}

/** Calls of `sleep` that the children have seen, and those that ended by a cancel. */
async function sleepsInPipe(): Promise<number> {
  const calls = requestsIn(await pipeLog(), 'tools/call');
  return calls.filter(({ params }) => isJsonObject(params) && params.name === 'sleep').length;
}

async function cancelsInPipe(): Promise<number> {
  return (await pipeLog()).filter(({ name }) => name === 'cancelled').length;
}
