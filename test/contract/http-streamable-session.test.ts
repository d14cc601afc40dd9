import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { answer, events, failure, legacyRig, Rig, until, withSession } from '../fixtures/http-rig.ts';
import { startUpstream } from '../fixtures/http-upstream.ts';

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
    expect(clock.pending).toBe(1);
    clock.advance(1);
    await until(() => upstream.requests.length === 3 && clock.pending === 1);
    clock.advance(699);
    expect(clock.pending).toBe(1);
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
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(clock.pending).toBe(0);
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
      expect(clock.pending).toBe(1);
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
