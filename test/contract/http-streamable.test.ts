import type http from 'node:http';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { ERRORS, TurnpikeError } from '../../src/core/errors.ts';
import { ManualClock } from '../../src/core/manual-clock.ts';
import type { SendOptions } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/secret.ts';
import { HttpClient } from '../../src/upstream/http/http-client.ts';
import { StreamableHttpTransport } from '../../src/upstream/http/streamable-http-transport.ts';
import { type Answerer, type HttpUpstream, startRaw, startUpstream } from '../fixtures/http-upstream.ts';

const request = (id: number, method = 'tools/call') => Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method, params: {} }));
const answer = (id: number, result: object = {}) => JSON.stringify({ jsonrpc: '2.0', id, result });
const json = (response: http.ServerResponse, body: string, status = 200, headers: http.OutgoingHttpHeaders = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
const events = (response: http.ServerResponse, text: string, headers: http.OutgoingHttpHeaders = {}) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', ...headers });
  response.write(text);
};

interface RigOptions {
  clock?: ManualClock;
  maxMessageBytes?: number;
  headers?: Record<string, string | Secret>;
  era?: 'modern' | 'legacy';
  url?: string;
}

/** A transport with a real client, and what it heard. */
class Rig implements AsyncDisposable {
  readonly client = new HttpClient({ connectTimeoutMs: 2000 });
  readonly clock: ManualClock | typeof systemClock;
  readonly transport: StreamableHttpTransport;
  readonly delivered: string[] = [];
  readonly messages: string[] = [];
  readonly closes: Error[] = [];
  onMessage = () => {};

  constructor(url: string, options: RigOptions = {}) {
    this.clock = options.clock ?? systemClock;
    const { maxMessageBytes } = options;
    this.transport = new StreamableHttpTransport(
      { url, headers: options.headers ?? {}, name: 'S' },
      { client: this.client, clock: this.clock, ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }) },
    );
    this.transport.onMessage = (message) => {
      this.messages.push(message.toString());
      this.onMessage();
    };
    this.transport.onClose = (reason) => this.closes.push(reason);
    if (options.era) this.transport.setProtocol({ era: options.era, version: options.era === 'modern' ? '2026-07-28' : '2025-11-25' });
  }

  send(id: number, options: Partial<SendOptions> = {}): Promise<void> {
    return this.transport.send(request(id, options.method ?? 'tools/call'), {
      signal: AbortSignal.timeout(8000),
      method: 'tools/call',
      expectsAnswer: true,
      deliver: (message) => {
        this.delivered.push(message.toString());
        return JSON.parse(message.toString()).id === id;
      },
      ...options,
    });
  }

  initialize(): Promise<void> {
    return this.send(0, { method: 'initialize' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.transport.close();
    await this.client.close();
    expect(this.client.sockets).toBe(0);
  }
}

async function failure(work: Promise<unknown>): Promise<TurnpikeError> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TurnpikeError);
  return error as TurnpikeError;
}

/** Answers `initialize` with a session, and everything else by `next`. */
const withSession =
  (next: Answerer, id = 'session-1'): Answerer =>
  (response, seen, raw) => {
    if (seen.body.includes('"initialize"')) json(response, answer(0), 200, { 'mcp-session-id': id });
    else if (seen.method === 'DELETE') response.writeHead(204).end();
    else next(response, seen, raw);
  };

async function legacyRig(upstream: HttpUpstream, options: RigOptions = {}): Promise<Rig> {
  const rig = new Rig(upstream.url, options);
  await rig.initialize();
  rig.transport.setProtocol({ era: 'legacy', version: '2025-06-18' });
  rig.delivered.length = 0;
  return rig;
}

describe('headers', () => {
  it('modern: version, method and minted headers, never a session', async () => {
    await using upstream = await startUpstream((response) => json(response, answer(1), 200, { 'mcp-session-id': 'unwanted' }));
    await using rig = new Rig(upstream.url, { era: 'modern', headers: { 'X-Region': 'eu', Authorization: new Secret('Bearer t') } });
    for (let turn = 0; turn < 2; turn++) await rig.send(1, { headers: { 'mcp-name': 'echo', 'mcp-param-region': 'eu' } });
    for (const { headers, body } of upstream.requests) {
      expect(headers).toMatchObject({
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'echo',
        'mcp-param-region': 'eu',
        'x-region': 'eu',
        authorization: 'Bearer t',
      });
      expect(headers['mcp-session-id']).toBeUndefined();
      expect(headers['last-event-id']).toBeUndefined();
      expect(JSON.parse(body).id).toBe(1);
    }
    await rig.transport.close();
    expect(upstream.requests.map(({ method }) => method)).toEqual(['POST', 'POST']);
  });

  it('modern: a method that is no header text travels encoded', async () => {
    await using upstream = await startUpstream((response) => json(response, answer(1)));
    await using rig = new Rig(upstream.url, { era: 'modern' });
    await rig.send(1, { method: 'weird\r\nx-evil: 1' });
    expect(upstream.requests[0]?.headers['mcp-method']).toMatch(/^=\?base64\?/);
    expect(upstream.requests[0]?.headers['x-evil']).toBeUndefined();
  });

  it('legacy: version and session on everything after initialize, and no minted header', async () => {
    await using upstream = await startUpstream(withSession((response) => json(response, answer(1))));
    await using rig = await legacyRig(upstream);
    await rig.send(1, { headers: { 'mcp-name': 'echo' } });
    const [initialize, call] = upstream.requests;
    expect(initialize?.headers['mcp-session-id']).toBeUndefined();
    expect(initialize?.headers['mcp-protocol-version']).toBeUndefined();
    expect(call?.headers).toMatchObject({ 'mcp-session-id': 'session-1', 'mcp-protocol-version': '2025-06-18' });
    expect(call?.headers['mcp-name']).toBeUndefined();
    expect(call?.headers['mcp-method']).toBeUndefined();
    await rig.transport.close();
    expect(upstream.requests.at(-1)).toMatchObject({ method: 'DELETE', headers: { 'mcp-session-id': 'session-1' } });
  });

  it('legacy: a new initialize starts without the old session', async () => {
    let sessions = 0;
    await using upstream = await startUpstream((response) => json(response, answer(0), 200, { 'mcp-session-id': `session-${++sessions}` }));
    await using rig = await legacyRig(upstream);
    await rig.initialize();
    expect(upstream.requests[1]?.headers['mcp-session-id']).toBeUndefined();
    expect(rig.transport.sessionId).toBe('session-2');
  });

  it('refuses a session id that is not visible ASCII', async () => {
    await using upstream = await startUpstream((response) => json(response, answer(0), 200, { 'mcp-session-id': 'a b' }));
    await using rig = new Rig(upstream.url);
    expect((await failure(rig.initialize())).code).toBe('upstream/protocol');
    expect(rig.transport.sessionId).toBeUndefined();
  });

  it('sends a renewed credential in the same session', async () => {
    await using upstream = await startUpstream(withSession((response) => json(response, answer(1))));
    await using rig = await legacyRig(upstream, { headers: { authorization: new Secret('Bearer old') } });
    rig.transport.setHeaders({ authorization: new Secret('Bearer new') });
    await rig.send(1);
    expect(upstream.requests[1]?.headers).toMatchObject({ authorization: 'Bearer new', 'mcp-session-id': 'session-1' });
  });
});

describe('answers', () => {
  it('delivers one JSON message byte for byte', async () => {
    const body = '{ "jsonrpc":"2.0","id":1, "result":{"n":12345678901234567890, "n":1.0} }';
    await using upstream = await startUpstream((response) => json(response, body, 200, { 'content-type': 'application/json; charset=utf-8' }));
    await using rig = new Rig(upstream.url, { era: 'modern' });
    await rig.send(1);
    expect(rig.delivered).toEqual([body]);
  });

  it('delivers events as they come, and is done with the answer though the stream stays open', async () => {
    const clock = new ManualClock();
    let go = () => {};
    await using upstream = await startUpstream((response) => {
      events(response, ': hi\n\nid: 1\ndata:\n\nevent: ping\ndata: no\n\ndata: {"method":"p"}\n\n');
      go = () => response.write(`data: ${answer(1)}\n\ndata: {"method":"late"}\n\n`);
    });
    await using rig = new Rig(upstream.url, { era: 'modern', clock });
    const { promise: first, resolve } = Promise.withResolvers<void>();
    const sent = rig.send(1, {
      deliver: (message) => {
        rig.delivered.push(message.toString());
        resolve();
        return message.toString() === answer(1);
      },
    });
    await first;
    expect(rig.delivered).toEqual(['{"method":"p"}']);
    go();
    await sent;
    expect(rig.delivered).toEqual(['{"method":"p"}', answer(1)]);
    // The server never ends the stream: its socket goes a second later.
    expect(upstream.sockets.size).toBe(1);
    clock.advance(1000);
    await upstream.until(() => upstream.sockets.size === 0);
    expect(clock.pending).toBe(0);
  });

  it('reuses the socket of a stream that ends after its answer', async () => {
    const clock = new ManualClock();
    await using upstream = await startUpstream((response) => {
      events(response, `data: ${answer(1)}\n\n`);
      response.end();
    });
    await using rig = new Rig(upstream.url, { era: 'modern', clock });
    for (let turn = 0; turn < 6; turn++) await rig.send(1);
    expect(upstream.accepted).toBeLessThanOrEqual(2);
    while (clock.pending > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('takes 202 for what wants no answer, and does not wait for a body', async () => {
    await using upstream = await startUpstream((response, seen) => {
      if (seen.body.includes('"id":1')) response.writeHead(202).end();
      else events(response, 'data: {}\n\n');
    });
    await using rig = new Rig(upstream.url, { era: 'modern' });
    await rig.send(1, { expectsAnswer: false });
    await rig.send(2, { expectsAnswer: false });
    expect(rig.delivered).toEqual([]);
    expect((await failure(rig.send(1))).code).toBe('upstream/protocol');
  });

  it('delivers a JSON-RPC error of a 4xx or 5xx that has an id', async () => {
    const body = '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}';
    for (const status of [400, 404, 500]) {
      await using upstream = await startUpstream((response) => json(response, body, status));
      await using rig = new Rig(upstream.url, { era: 'modern' });
      await rig.send(1);
      expect(rig.delivered).toEqual([body]);
    }
  });
});

describe('statuses', () => {
  const cases: [string, Answerer, Partial<TurnpikeError['details']> & { code: string; message?: RegExp }][] = [
    [
      '401',
      (response) => response.writeHead(401, { 'www-authenticate': 'Bearer realm="x"' }).end('no'),
      { code: 'upstream/login', retryable: false, data: { status: 401, wwwAuthenticate: 'Bearer realm="x"' } },
    ],
    [
      '404',
      (response) => response.writeHead(404).end('none'),
      { code: 'upstream/protocol', retryable: false, data: { status: 404 }, message: /status 404: none$/ },
    ],
    [
      '500',
      (response) => response.writeHead(500).end('oops\u0000 <b>'),
      { code: 'upstream/down', retryable: false, message: /^upstream 'S' answered with status 500: oops <b>$/ },
    ],
    [
      '502',
      (response) => response.writeHead(502).end(),
      { code: 'upstream/down', retryable: false, message: /^upstream 'S' answered with status 502$/ },
    ],
    ['503', (response) => response.writeHead(503, { 'retry-after': '7' }).end(), { code: 'upstream/down', retryable: false, retryAfter: 7 }],
    ['429', (response) => response.writeHead(429).end(), { code: 'upstream/down', retryable: false }],
    [
      '400 with an error that has no id',
      (response) => json(response, '{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"v","data":{"supported":["2026-07-28"]}}}', 400),
      {
        code: 'upstream/protocol',
        data: { status: 400, body: { jsonrpc: '2.0', id: null, error: { code: -32022, message: 'v', data: { supported: ['2026-07-28'] } } } },
      },
    ],
    [
      '307',
      (response) => response.writeHead(307, { location: 'https://elsewhere.example/x?t=hidden' }).end(),
      { code: 'upstream/protocol', message: /redirects to elsewhere\.example \(status 307\)/, data: { status: 307 } },
    ],
    [
      'HTML',
      (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
      { code: 'upstream/protocol', message: /neither JSON nor an event stream/ },
    ],
    ['no content type', (response) => response.end('{}'), { code: 'upstream/protocol' }],
    ['an empty JSON answer', (response) => json(response, ''), { code: 'upstream/protocol', message: /empty answer/ }],
    ['the answer to another request', (response) => json(response, answer(7)), { code: 'upstream/protocol', message: /not the answer/ }],
    [
      'a content encoding',
      (response) => json(response, 'x', 200, { 'content-encoding': 'gzip' }),
      { code: 'upstream/protocol', message: /content encoding/ },
    ],
  ];
  it.each(cases)('%s', async (_name, answerer, { code, message, ...details }) => {
    await using upstream = await startUpstream(answerer);
    await using rig = new Rig(upstream.url, { era: 'modern' });
    const error = await failure(rig.send(1));
    expect(error.code).toBe(code);
    expect(error.details).toMatchObject({ upstream: 'S', ...details });
    if (message) expect(error.message).toMatch(message);
    expect(error.message).not.toContain('hidden');
    expect(upstream.requests).toHaveLength(1);
    expect(rig.delivered.every((one) => one === answer(7))).toBe(true);
  });

  it('404 to a session is retryable, and the dead session is not ended once more', async () => {
    await using upstream = await startUpstream(
      withSession((response) => json(response, '{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"x"}}', 404)),
    );
    await using rig = await legacyRig(upstream);
    const error = await failure(rig.send(1));
    expect(error).toMatchObject({ code: 'upstream/session', details: { retryable: true, data: { status: 404 } } });
    expect(rig.delivered).toEqual([]);
    await rig.transport.close();
    expect(upstream.requests.map(({ method }) => method)).toEqual(['POST', 'POST']);
  });

  it('shows at most 500 masked characters of a body, without what we sent', async () => {
    const long = `token=abc sent-secret-value session-1 ${'word '.repeat(400)}`;
    await using upstream = await startUpstream(withSession((response) => response.writeHead(500).end(long)));
    await using rig = await legacyRig(upstream, { headers: { authorization: new Secret('Bearer sent-secret-value') } });
    const { message } = await failure(rig.send(1));
    expect(message).toContain('token=*** *** *** word');
    expect(message.length).toBeLessThan(560);
    expect(message).not.toMatch(/sent-secret|session-1|abc/);
  });
});

describe('faults', () => {
  it.each(['modern', 'legacy'] as const)('a reset before the head is lost, once (%s)', async (era) => {
    await using upstream = await startUpstream((_response, _seen, raw) => raw.socket.resetAndDestroy());
    await using rig = new Rig(upstream.url, { era });
    const error = await failure(rig.send(1));
    expect(error).toMatchObject({ code: 'upstream/lost', details: { retryable: false } });
    expect(error.message).toBe("upstream 'S' closed the connection after the request was sent; the outcome is unknown");
    expect(ERRORS[error.code].rpc).toBe(-31003);
    expect(upstream.requests).toHaveLength(1);
    await upstream.until(() => upstream.sockets.size === 0);
  });

  it('a modern stream that drops, with an event id or not, is lost and not resumed', async () => {
    for (const end of ['reset', 'end'] as const) {
      await using upstream = await startUpstream((response) => {
        events(response, 'id: 5\nretry: 1\ndata: {"method":"p"}\n\n');
        setImmediate(() => (end === 'end' ? response.end() : response.socket?.resetAndDestroy()));
      });
      await using rig = new Rig(upstream.url, { era: 'modern' });
      expect((await failure(rig.send(1))).code).toBe('upstream/lost');
      expect(upstream.requests).toHaveLength(1);
    }
  });

  it('half a JSON body is lost', async () => {
    await using raw = await startRaw((socket) =>
      socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"jsonrpc"')),
    );
    await using rig = new Rig(`http://127.0.0.1:${raw.port}/`, { era: 'modern' });
    expect((await failure(rig.send(1))).code).toBe('upstream/lost');
    expect(rig.delivered).toEqual([]);
  });

  it('what deliver throws ends the call and the socket', async () => {
    await using upstream = await startUpstream((response) => events(response, 'data: garbage\n\n'));
    await using rig = new Rig(upstream.url, { era: 'modern' });
    await expect(rig.send(1)).rejects.toThrow(SyntaxError);
    await upstream.until(() => upstream.sockets.size === 0);
  });

  it('garbage instead of HTTP is a protocol error', async () => {
    await using raw = await startRaw((socket) => socket.on('data', () => socket.end('\u0000\u0001garbage')));
    await using rig = new Rig(`http://127.0.0.1:${raw.port}/`, { era: 'modern' });
    expect((await failure(rig.send(1))).code).toBe('upstream/protocol');
  });

  it('an unreachable upstream is down and retryable, and the message names no host', async () => {
    const gone = await startUpstream(() => undefined);
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    await using rig = new Rig(url, { era: 'modern' });
    const error = await failure(rig.send(1));
    expect(error).toMatchObject({ code: 'upstream/down', message: "upstream 'S' cannot be reached", details: { retryable: true } });
    expect(error.details.reason).toContain('ECONNREFUSED');
  });

  it.each(['JSON without length', 'JSON with length', 'an event', 'an event line', 'an error body'])(
    '100 MB as %s is cut off early',
    async (kind) => {
      let written = 0;
      await using upstream = await startUpstream((response) => {
        const isEvent = kind.startsWith('an event');
        response.writeHead(kind === 'an error body' ? 500 : 200, {
          'content-type': isEvent ? 'text/event-stream' : 'application/json',
          ...(kind === 'JSON with length' ? { 'content-length': 100e6 } : {}),
        });
        if (isEvent) response.write('data: ');
        const chunk = Buffer.alloc(64 * 1024, 'x');
        if (kind === 'an event') chunk.write('\ndata: ');
        const more = () => {
          while (!response.destroyed && written < 100e6) {
            written += chunk.length;
            if (!response.write(chunk)) {
              response.once('drain', more);
              return;
            }
          }
        };
        more();
      });
      await using rig = new Rig(upstream.url, { era: 'modern', maxMessageBytes: 1024 * 1024 });
      const error = await failure(rig.send(1));
      expect(error.code).toBe(kind === 'an error body' ? 'upstream/down' : 'upstream/protocol');
      expect(rig.delivered).toEqual([]);
      await upstream.until(() => upstream.sockets.size === 0);
      expect(written).toBeLessThan(50e6);
    },
  );

  it('a stall ends with the signal, in its reason, and closes the stream', async () => {
    for (const stall of ['before the head', 'in JSON', 'in a stream', 'in an error']) {
      await using upstream = await startUpstream((response) => {
        if (stall === 'in JSON') response.writeHead(200, { 'content-type': 'application/json' }).write('{');
        if (stall === 'in a stream') events(response, ': x\n\n');
        if (stall === 'in an error') response.writeHead(500).write('x');
      });
      await using rig = new Rig(upstream.url, { era: 'modern' });
      const abort = new AbortController();
      const sent = rig.send(1, { signal: abort.signal });
      await upstream.until(() => upstream.requests.length === 1);
      const reason = new TurnpikeError('upstream/timeout');
      abort.abort(reason);
      await expect(sent).rejects.toBe(reason);
      await upstream.until(() => upstream.sockets.size === 0);
    }
  });
});

describe('resumption (legacy)', () => {
  it('polls: waits for retry, sends Last-Event-ID, delivers into the same call', async () => {
    const clock = new ManualClock();
    await using upstream = await startUpstream(
      withSession((response, { method, headers }) => {
        if (method === 'POST') {
          events(response, 'id: e1\nretry: 500\ndata: \n\n');
          response.end();
        } else if (headers['last-event-id'] === 'e1') {
          events(response, 'id: e2\nretry: 700\ndata: {"method":"p"}\n\n');
          response.end();
        } else events(response, `id: e3\ndata: ${answer(1)}\n\n`);
      }),
    );
    await using rig = await legacyRig(upstream, { clock });
    const sent = rig.send(1);
    await until(() => clock.pending === 1);
    clock.advance(499);
    expect(upstream.requests).toHaveLength(2);
    clock.advance(1);
    await until(() => upstream.requests.length === 3 && clock.pending === 1);
    clock.advance(699);
    await new Promise((resolve) => setImmediate(resolve));
    expect(upstream.requests).toHaveLength(3);
    clock.advance(1);
    await sent;
    expect(rig.delivered).toEqual(['{"method":"p"}', answer(1)]);
    expect(
      upstream.requests.slice(2).map(({ method, headers }) => [method, headers['last-event-id'], headers['mcp-session-id'], headers.accept]),
    ).toEqual([
      ['GET', 'e1', 'session-1', 'text/event-stream'],
      ['GET', 'e2', 'session-1', 'text/event-stream'],
    ]);
  });

  it('keeps polling as long as ids move on, and gives up after three tries that bring nothing', async () => {
    const clock = new ManualClock();
    let gets = 0;
    await using upstream = await startUpstream(
      withSession((response, { method }) => {
        if (method === 'POST' || ++gets <= 6) events(response, `id: e${gets}\nretry: 100\ndata: \n\n`);
        else events(response, ': nothing\n\n');
        response.end();
      }),
    );
    await using rig = await legacyRig(upstream, { clock });
    const sent = failure(rig.send(1));
    let settled = false;
    void sent.then(() => {
      settled = true;
    });
    while (!settled) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(100);
    }
    expect(await sent).toMatchObject({ code: 'upstream/lost', details: { retryable: false } });
    expect(gets).toBe(9);
    expect(clock.pending).toBe(0);
  });

  it('a stream without an event id cannot be resumed, and a refused resumption is not tried again', async () => {
    const clock = new ManualClock();
    let id = '';
    await using upstream = await startUpstream(
      withSession((response, { method }) => {
        if (method === 'GET') return response.writeHead(404).end();
        events(response, `${id}data: {"method":"p"}\n\n`);
        return response.end();
      }),
    );
    await using rig = await legacyRig(upstream, { clock });
    expect((await failure(rig.send(1))).code).toBe('upstream/lost');
    expect(clock.pending).toBe(0);
    id = 'id: e1\n';
    const sent = failure(rig.send(1));
    await until(() => clock.pending === 1);
    clock.advance(1000);
    // The call was taken: a session that is gone now does not make it repeatable.
    expect(await sent).toMatchObject({ code: 'upstream/lost', details: { retryable: false } });
    expect(upstream.requests.filter(({ method }) => method === 'GET')).toHaveLength(1);
  });

  it.each(['abort', 'close'])('ends while it waits, by %s, and leaves no timer', async (how) => {
    const clock = new ManualClock();
    await using upstream = await startUpstream(
      withSession((response) => {
        events(response, 'id: e1\ndata: \n\n');
        response.end();
      }),
    );
    await using rig = await legacyRig(upstream, { clock });
    const abort = new AbortController();
    const sent = rig.send(1, { signal: abort.signal }).catch((error: unknown) => error);
    await until(() => clock.pending === 1);
    if (how === 'abort') abort.abort(new Error('gone'));
    else await rig.transport.close();
    expect(await sent).toMatchObject(how === 'abort' ? { message: 'gone' } : { code: 'upstream/lost', details: { retryable: false } });
    expect(clock.pending).toBe(0);
  });
});

describe('server stream (legacy)', () => {
  it('brings messages, and is opened again with the last id after retry', async () => {
    const clock = new ManualClock();
    await using upstream = await startUpstream(
      withSession((response, { headers }) => {
        if (headers['last-event-id'] === undefined) {
          events(response, 'id: a\nretry: 300\ndata: {"method":"one"}\n\n');
          response.end();
        } else events(response, 'data: {"method":"two"}\n\n');
      }),
    );
    await using rig = await legacyRig(upstream, { clock });
    expect(await rig.transport.openServerStream(new AbortController().signal)).toBe(true);
    await until(() => clock.pending === 1);
    clock.advance(299);
    await new Promise((resolve) => setImmediate(resolve));
    expect(upstream.requests).toHaveLength(2);
    clock.advance(1);
    await until(() => rig.messages.length === 2);
    expect(rig.messages).toEqual(['{"method":"one"}', '{"method":"two"}']);
    expect(upstream.requests[2]?.headers).toMatchObject({
      'last-event-id': 'a',
      'mcp-session-id': 'session-1',
      'mcp-protocol-version': '2025-06-18',
    });
    await rig.transport.close();
    await rig.client.close();
    await upstream.until(() => upstream.sockets.size === 0);
    expect(clock.pending).toBe(0);
  });

  it.each([405, 404, 400, 401])('%i is no stream and no error', async (status) => {
    const clock = new ManualClock();
    await using upstream = await startUpstream(withSession((response) => response.writeHead(status).end()));
    await using rig = await legacyRig(upstream, { clock });
    expect(await rig.transport.openServerStream(new AbortController().signal)).toBe(false);
    expect(clock.pending).toBe(0);
    expect(rig.closes).toEqual([]);
  });

  it('backs off while the upstream fails, and goes on when it is back', async () => {
    const clock = new ManualClock();
    let status = 503;
    await using upstream = await startUpstream(
      withSession((response) => {
        if (status === 200) events(response, 'data: {"method":"back"}\n\n');
        else response.writeHead(status).end();
      }),
    );
    await using rig = await legacyRig(upstream, { clock });
    expect(await rig.transport.openServerStream(new AbortController().signal)).toBe(false);
    for (const [tries, wait] of [
      [1, 800],
      [2, 1600],
      [3, 3200],
    ] as const) {
      await until(() => clock.pending === 1);
      clock.advance(wait - 1);
      await new Promise((resolve) => setImmediate(resolve));
      expect(upstream.requests).toHaveLength(1 + tries);
      if (tries === 3) status = 200;
      clock.advance(wait);
      await until(() => upstream.requests.length === 2 + tries);
    }
    await until(() => rig.messages.length === 1);
  });

  it('says once that the session is gone when a stream that worked is refused with 404', async () => {
    const clock = new ManualClock();
    let first = true;
    await using upstream = await startUpstream(
      withSession((response) => {
        if (!first) return response.writeHead(404).end();
        first = false;
        events(response, 'id: a\ndata:\n\n');
        return response.end();
      }),
    );
    await using rig = await legacyRig(upstream, { clock });
    await rig.transport.openServerStream(new AbortController().signal);
    await until(() => clock.pending === 1);
    clock.advance(1000);
    await until(() => rig.closes.length === 1);
    expect(rig.closes[0]).toMatchObject({ code: 'upstream/session' });
    expect(clock.pending).toBe(0);
  });

  it('ends the connection when an event is too large', async () => {
    await using upstream = await startUpstream(withSession((response) => events(response, `data: ${'x'.repeat(3000)}\n\n`)));
    await using rig = await legacyRig(upstream, { maxMessageBytes: 2000 });
    await rig.transport.openServerStream(new AbortController().signal);
    await until(() => rig.closes.length === 1);
    expect(rig.closes[0]).toMatchObject({ code: 'upstream/protocol' });
  });

  it('ends with its signal, and does not exist on the modern era', async () => {
    await using upstream = await startUpstream(withSession((response) => events(response, ': open\n\n')));
    await using rig = await legacyRig(upstream);
    const abort = new AbortController();
    expect(await rig.transport.openServerStream(abort.signal)).toBe(true);
    abort.abort();
    await upstream.until(() => upstream.sockets.size <= 1);
    expect(rig.closes).toEqual([]);
    await using modern = new Rig(upstream.url, { era: 'modern' });
    expect(await modern.transport.openServerStream(new AbortController().signal)).toBe(false);
    expect(upstream.requests.filter(({ method }) => method === 'GET')).toHaveLength(1);
  });
});

describe('close', () => {
  it('fails what runs as lost, closes its stream, and takes no more', async () => {
    await using upstream = await startUpstream((response) => events(response, ': open\n\n'));
    await using rig = new Rig(upstream.url, { era: 'modern' });
    const sent = failure(rig.send(1));
    await upstream.until(() => upstream.requests.length === 1);
    await rig.transport.close();
    expect(await sent).toMatchObject({ code: 'upstream/lost', details: { retryable: false } });
    await upstream.until(() => upstream.sockets.size === 0);
    expect(await failure(rig.send(2))).toMatchObject({ code: 'upstream/down', details: { retryable: true } });
    await expect(rig.transport.open(new AbortController().signal)).rejects.toMatchObject({ code: 'upstream/down' });
    await rig.transport.close();
    expect(rig.closes).toEqual([]);
  });

  it('waits at most two seconds for the end of the session', async () => {
    const clock = new ManualClock();
    await using upstream = await startUpstream((response, seen) => {
      if (seen.method !== 'DELETE') json(response, answer(0), 200, { 'mcp-session-id': 'session-1' });
    });
    await using rig = await legacyRig(upstream, { clock });
    const closing = rig.transport.close();
    await upstream.until(() => upstream.requests.length === 2);
    clock.advance(2000);
    await closing;
    expect(clock.pending).toBe(0);
  });
});

/** Lets I/O happen until something holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
