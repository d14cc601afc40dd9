import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { Secret } from '../../src/core/secret.ts';
import { answer, events, failure, json, legacyRig, Rig, withSession } from '../fixtures/http-rig.ts';
import { startUpstream } from '../fixtures/http-upstream.ts';

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
    upstream.answer = (response) => json(response, answer(0));
    await rig.initialize();
    expect(rig.transport.sessionId).toBeUndefined();
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
