import type http from 'node:http';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { TurnpikeError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import { HttpClient } from '../../src/upstream/http/http-client.ts';
import { SseTransport } from '../../src/upstream/http/sse-transport.ts';
import { type Answerer, startUpstream } from '../fixtures/http-upstream.ts';

const MESSAGE = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}');

class Rig implements AsyncDisposable {
  readonly client = new HttpClient();
  readonly transport: SseTransport;
  readonly messages: string[] = [];
  readonly closes: Error[] = [];
  readonly #closed = Promise.withResolvers<void>();
  readonly closed = this.#closed.promise;

  constructor(url: string, maxMessageBytes = 10_000) {
    this.transport = new SseTransport(
      { url, headers: { authorization: new Secret('Bearer sentinel') }, name: 'S' },
      { client: this.client, clock: systemClock, maxMessageBytes },
    );
    this.transport.onMessage = (message) => this.messages.push(message.toString());
    this.transport.onClose = (reason) => {
      this.closes.push(reason);
      this.#closed.resolve();
    };
  }

  open(signal = AbortSignal.timeout(8000)) {
    return this.transport.open(signal);
  }

  send() {
    return this.transport.send(MESSAGE, { signal: AbortSignal.timeout(8000), method: 'ping', expectsAnswer: true });
  }

  async [Symbol.asyncDispose]() {
    await this.transport.close();
    await this.client.close();
    expect(this.client.sockets).toBe(0);
  }
}

/** A server whose stream names `endpoint`; POSTs are answered by `post`, with the stream at hand. */
function serverOf(endpoint: string, post: (response: http.ServerResponse, stream: http.ServerResponse) => void): Answerer {
  let stream: http.ServerResponse | undefined;
  return (response, { method }) => {
    if (method === 'GET') {
      stream = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`event: endpoint\ndata: ${endpoint}\n\n`);
    } else if (stream) post(response, stream);
  };
}

const failure = (work: Promise<unknown>) =>
  work.then(
    () => expect.unreachable(),
    (error: TurnpikeError) => error,
  );

it('posts to the named endpoint and hears on the stream', async () => {
  await using upstream = await startUpstream(
    serverOf('/message?sessionId=abcdef', (response, stream) => {
      response.writeHead(202).end('Accepted');
      stream.write('event: other\ndata: no\n\nevent: endpoint\ndata: /second\n\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n');
    }),
  );
  await using rig = new Rig(upstream.url.replace('/mcp', '/sse'));
  await rig.open();
  await rig.send();
  while (rig.messages.length < 1) await new Promise((resolve) => setImmediate(resolve));
  await rig.send();
  expect(upstream.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
    'GET /sse',
    'POST /message?sessionId=abcdef',
    'POST /message?sessionId=abcdef',
  ]);
  for (const { headers } of upstream.requests) expect(headers.authorization).toBe('Bearer sentinel');
  expect(upstream.requests[1]).toMatchObject({ body: MESSAGE.toString(), headers: { 'content-type': 'application/json' } });
  while (rig.messages.length < 2) await new Promise((resolve) => setImmediate(resolve));
  expect(rig.messages).toEqual(Array(2).fill('{"jsonrpc":"2.0","id":1,"result":{}}'));
  await rig.transport.close();
  await upstream.until(() => upstream.sockets.size <= 2);
  expect(rig.closes).toEqual([]);
});

it.each(['http://127.0.0.1:1/message', 'https://elsewhere.example/m', '//elsewhere.example/m', 'http://me:pw@HOST/m', 'http://'])(
  'refuses the endpoint %s',
  async (endpoint) => {
    await using upstream = await startUpstream((response) => {
      const named = endpoint.replace('HOST', `127.0.0.1:${upstream.port}`);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`event: endpoint\ndata: ${named}\n\n`);
    });
    await using rig = new Rig(upstream.url);
    expect(await failure(rig.open())).toMatchObject({ code: 'upstream/protocol' });
    await upstream.until(() => upstream.sockets.size === 0);
    expect(await failure(rig.send())).toMatchObject({ code: 'upstream/down', details: { retryable: true } });
    expect(rig.closes).toEqual([]);
  },
);

it.each<[string, Answerer, object]>([
  [
    '401',
    (response) => response.writeHead(401, { 'www-authenticate': 'Bearer' }).end(),
    { code: 'upstream/login', details: { data: { status: 401, wwwAuthenticate: 'Bearer' } } },
  ],
  [
    '404',
    (response) => response.writeHead(404).end('nothing'),
    {
      code: 'upstream/protocol',
      message: "upstream 'S' answered with status 404",
      details: { reason: "upstream 'S' answered with status 404: nothing" },
    },
  ],
  ['503', (response) => response.writeHead(503).end(), { code: 'upstream/down' }],
  ['a redirect', (response) => response.writeHead(302, { location: '/x' }).end(), { code: 'upstream/protocol' }],
  ['JSON', (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'), { code: 'upstream/protocol' }],
  ['a stream that ends', (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(), { code: 'upstream/lost' }],
  ['a reset', (_response, _seen, raw) => raw.socket.resetAndDestroy(), { code: 'upstream/lost' }],
])('does not open on %s', async (_name, answer, expected) => {
  await using upstream = await startUpstream(answer);
  await using rig = new Rig(upstream.url);
  expect(await failure(rig.open())).toMatchObject(expected);
  expect(rig.closes).toEqual([]);
});

it('gives up opening when its signal says so, and leaves no socket', async () => {
  await using upstream = await startUpstream((response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': wait\n\n'));
  await using rig = new Rig(upstream.url);
  const abort = new AbortController();
  const opening = failure(rig.open(abort.signal));
  await upstream.until(() => upstream.requests.length === 1);
  const reason = new TurnpikeError('upstream/timeout');
  abort.abort(reason);
  expect(await opening).toBe(reason);
  await upstream.until(() => upstream.sockets.size === 0);
});

it.each(['end', 'reset', 'large'])('says once that the stream is gone: %s', async (how) => {
  await using upstream = await startUpstream(
    serverOf('/message', (response, stream) => {
      response.writeHead(202).end();
      if (how === 'end') stream.end();
      else if (how === 'reset') stream.socket?.resetAndDestroy();
      else stream.write(`data: ${'x'.repeat(20_000)}\n\n`);
    }),
  );
  await using rig = new Rig(upstream.url);
  await rig.open();
  await rig.send();
  await rig.closed;
  expect(rig.closes).toMatchObject([{ code: how === 'large' ? 'upstream/protocol' : 'upstream/lost' }]);
  expect(await failure(rig.send())).toMatchObject({ code: 'upstream/down', details: { retryable: true } });
});

it.each<[string, (response: http.ServerResponse) => unknown, object]>([
  ['404', (response) => response.writeHead(404).end(), { code: 'upstream/session', details: { retryable: true } }],
  [
    '500',
    (response) => response.writeHead(500).end('session abcdef'),
    {
      code: 'upstream/down',
      message: "upstream 'S' answered with status 500",
      details: { reason: "upstream 'S' answered with status 500: session ***" },
    },
  ],
  ['a reset', (response) => response.socket?.resetAndDestroy(), { code: 'upstream/lost', details: { retryable: false } }],
])('maps %s to a message', async (_name, post, expected) => {
  await using upstream = await startUpstream(serverOf('/message?sessionId=abcdef', post));
  await using rig = new Rig(upstream.url);
  await rig.open();
  expect(await failure(rig.send())).toMatchObject(expected);
  expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(1);
});

it('is quiet when closed by us, and fails what runs', async () => {
  await using upstream = await startUpstream(serverOf('/message', () => undefined));
  await using rig = new Rig(upstream.url);
  await rig.open();
  const sent = failure(rig.send());
  await upstream.until(() => upstream.requests.length === 2);
  await rig.transport.close();
  expect(await sent).toMatchObject({ code: 'upstream/lost', details: { retryable: false } });
  await upstream.until(() => upstream.sockets.size === 0);
  expect(rig.closes).toEqual([]);
});
