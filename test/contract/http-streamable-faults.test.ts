import { describe, expect, it } from 'vitest';
import { ERRORS, TurnpikeError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import { answer, events, failure, json, legacyRig, Rig, withSession } from '../fixtures/http-rig.ts';
import type { Answerer } from '../fixtures/http-upstream.ts';
import { startRaw, startUpstream } from '../fixtures/http-upstream.ts';

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
      {
        code: 'upstream/protocol',
        retryable: false,
        data: { status: 404 },
        message: /status 404$/,
        reason: "upstream 'S' answered with status 404: none",
      },
    ],
    [
      '500',
      (response) => response.writeHead(500).end('oops\u0000 <b>'),
      {
        code: 'upstream/down',
        retryable: false,
        message: /^upstream 'S' answered with status 500$/,
        reason: "upstream 'S' answered with status 500: oops <b>",
      },
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
      { code: 'upstream/protocol', message: /redirects \(status 307\)/, reason: expect.stringContaining('elsewhere.example'), data: { status: 307 } },
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
    expect(error.message).not.toMatch(/hidden|elsewhere/);
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

  it('shows operators at most 500 masked characters of a body, without what we sent, and callers nothing', async () => {
    const long = `token=abc sent-secret-value session-1 ${'word '.repeat(400)}`;
    await using upstream = await startUpstream(withSession((response) => response.writeHead(500).end(long)));
    await using rig = await legacyRig(upstream, { headers: { authorization: new Secret('Bearer sent-secret-value') } });
    const { message, details } = await failure(rig.send(1));
    expect(message).toBe("upstream 'S' answered with status 500");
    expect(details.reason).toContain('token=*** *** *** word');
    expect(details.reason?.length).toBeLessThan(560);
    expect(details.reason).not.toMatch(/sent-secret|session-1|abc/);
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
      if (kind !== 'an error body') expect(error.message).toMatch(/(?:larger|longer) than 1048576 bytes/);
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
