import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { Era, JsonObject } from '../core/mcp.ts';
import type { ConnectionEvent } from '../core/ports.ts';
import { Link, type LinkOptions } from './connection.ts';
import { initialize } from './handshake.ts';
import { ofStatus } from './http/upstream-errors.ts';
import { ownCall } from './own-call.ts';
import { type SampleServer, type SampleStream, SampleTransport } from './sample-transport.ts';

const NEVER = new AbortController().signal;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const status = (code: number, inSession: boolean, body = '') =>
  ofStatus('S', { status: code, headers: {}, body: Buffer.from(body), inSession, secrets: [] });

function linkTo(server: SampleServer, era: Era, options: Partial<LinkOptions> = {}, kind: 'channel' | 'exchange' = 'exchange') {
  const clock = new ManualClock();
  const transport = new SampleTransport(kind, server);
  const contradictions: number[] = [];
  const link = new Link({
    name: 'S',
    transport,
    clock,
    clientInfo: {},
    renewalMs: 30_000,
    onDropped: () => {},
    onContradiction: () => contradictions.push(1),
    ...options,
  });
  const renew = (signal: AbortSignal) => initialize(link, '2025-11-25', { name: 'S', clock, profile: '-', clientInfo: {}, signal });
  const handshake = { era, version: era === 'modern' ? '2026-07-28' : '2025-11-25', serverInfo: {}, capabilities: { tools: {} } };
  link.agreed(handshake, era === 'legacy' ? renew : undefined);
  return { clock, transport, link, contradictions };
}

const list = (link: Link, signal = NEVER) => link.request(ownCall('tools/list', toJson({}), signal));
const methods = (transport: SampleTransport) => transport.sent.map(({ method }) => method);

/** A session server that can forget; requests of a session it does not know get 404. */
class Forgetful {
  known = true;
  refuses = false;
  /** Questions to initialize that wait. */
  readonly held: (() => void)[] = [];
  hold = false;

  readonly serve: SampleServer = ({ id, method }, stream) => {
    if (method === 'initialize') {
      const answer = () => {
        this.known = true;
        const result = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'again' } };
        stream.say({ jsonrpc: '2.0', id, ...(this.refuses ? { error: { code: -32601, message: 'no' } } : { result }) });
      };
      if (this.hold) this.held.push(answer);
      else answer();
    } else if (id !== undefined && !this.known) stream.end(status(404, true));
    else stream.say({ jsonrpc: '2.0', id, result: {} });
  };
}

describe('a session that the upstream forgot (aggregator.md section 1, "404")', () => {
  it('is opened again once for all, and each request is sent once more', async () => {
    const server = new Forgetful();
    const { link, transport, clock } = linkTo(server.serve, 'legacy');
    await list(link);
    server.known = false;
    server.hold = true;
    const three = [list(link), list(link), list(link)];
    await settle();
    // It comes while the session is being opened: it waits, for without session it would be refused.
    const late = list(link);
    await settle();
    expect(server.held).toHaveLength(1);
    expect(methods(transport).filter((method) => method === 'tools/list')).toHaveLength(4);
    server.held[0]?.();
    const answers = await Promise.all([...three, late]);
    expect(answers.every(({ kind }) => kind === 'result')).toBe(true);
    expect(methods(transport).filter((method) => method === 'initialize')).toHaveLength(1);
    expect(methods(transport).filter((method) => method === 'tools/list')).toHaveLength(8);
    expect(link.serverInfo).toEqual({ name: 'again' });
    expect(clock.pending).toBe(0);
  });

  it('is not opened a second time for who hears of it late', async () => {
    const late: SampleStream[] = [];
    const server = new Forgetful();
    const { link, transport } = linkTo((message, stream) => {
      if (message.method === 'prompts/list' && late.length === 0) late.push(stream);
      else server.serve(message, stream);
    }, 'legacy');
    await list(link);
    server.known = false;
    const slow = link.request(ownCall('prompts/list', toJson({}), NEVER));
    await list(link);
    late[0]?.end(status(404, true));
    expect(await slow).toMatchObject({ kind: 'result' });
    expect(methods(transport).filter((method) => method === 'initialize')).toHaveLength(1);
  });

  it('as its own stream tells first: calls under way are mended, an idle connection ends', async () => {
    const server = new Forgetful();
    const { link, transport } = linkTo(server.serve, 'legacy');
    await list(link);
    server.known = false;
    server.hold = true;
    const waiting = list(link);
    await settle();
    transport.break(status(404, true));
    expect(link.alive).toBe(false);
    expect(link.ended.aborted).toBe(false);
    server.held[0]?.();
    expect(await waiting).toMatchObject({ kind: 'result' });
    expect(link.alive).toBe(true);
    transport.break(status(404, true));
    expect([link.alive, link.ended.aborted]).toEqual([false, true]);
  });

  it('twice in a row: that is said', async () => {
    const { link } = linkTo(({ id, method }, stream) => {
      if (method === 'initialize') stream.say({ jsonrpc: '2.0', id, result: { protocolVersion: '2025-11-25', capabilities: {} } });
      else if (id !== undefined) stream.end(status(404, true));
    }, 'legacy');
    await expect(list(link)).rejects.toMatchObject({ code: 'upstream/session', message: "upstream 'S' lost its session" });
  });

  it('is told its log level and subscriptions again', async () => {
    const server = new Forgetful();
    const { link, transport } = linkTo(server.serve, 'legacy');
    const tell = (method: string, params: JsonObject) => link.request({ ...ownCall(method, toJson(params), NEVER) });
    await tell('logging/setLevel', { level: 'debug' });
    await tell('logging/setLevel', { level: 'error' });
    for (const uri of ['a:', 'b:']) await tell('resources/subscribe', { uri });
    await tell('resources/unsubscribe', { uri: 'a:' });
    server.known = false;
    transport.sent.length = 0;
    await list(link);
    expect(transport.sent.map(({ method, params }) => [method, params]).slice(3)).toEqual([
      ['logging/setLevel', { level: 'error' }],
      ['resources/subscribe', { uri: 'b:' }],
      ['tools/list', {}],
    ]);
  });

  it('one who leaves does not leave the session half open', async () => {
    const server = new Forgetful();
    const { link } = linkTo(server.serve, 'legacy');
    await list(link);
    server.known = false;
    server.hold = true;
    const client = new AbortController();
    const leaving = list(link, client.signal);
    await settle();
    client.abort(new Error('gone'));
    await expect(leaving).rejects.toThrow('gone');
    const waiting = list(link);
    server.held[0]?.();
    expect(await waiting).toMatchObject({ kind: 'result' });
  });

  it('and will not open again: the connection ends, the request may be sent on another', async () => {
    const server = new Forgetful();
    const { link, transport, contradictions } = linkTo(server.serve, 'legacy');
    await list(link);
    server.known = false;
    server.refuses = true;
    await expect(list(link)).rejects.toMatchObject({ code: 'upstream/down', details: { retryable: true } });
    expect(link.alive).toBe(false);
    await settle();
    expect(transport.closes).toBe(1);
    expect(contradictions).toHaveLength(1);
  });

  it('and never answers: the renewal has a deadline', async () => {
    const server = new Forgetful();
    const { link, clock } = linkTo(server.serve, 'legacy');
    await list(link);
    server.known = false;
    server.hold = true;
    const waiting = list(link).catch((error: unknown) => error);
    await settle();
    clock.advance(30_000);
    expect(await waiting).toMatchObject({ code: 'upstream/down', details: { retryable: true } });
    expect(clock.pending).toBe(0);
  });

  it('a 400 that speaks of the session is one, too; any other is not', async () => {
    let refusal: string | undefined;
    const { link, transport } = linkTo(({ id, method }, stream) => {
      if (refusal !== undefined && method === 'tools/list') {
        stream.end(status(400, true, JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32000, message: refusal } })));
        if (refusal.includes('session')) refusal = undefined;
      } else stream.say({ jsonrpc: '2.0', id, result: { protocolVersion: '2025-11-25', capabilities: {} } });
    }, 'legacy');
    await list(link);
    refusal = 'Bad Request: No valid session ID provided';
    expect(await list(link)).toMatchObject({ kind: 'result' });
    refusal = 'Bad Request: something else';
    await expect(list(link)).rejects.toMatchObject({ code: 'upstream/protocol' });
    expect(methods(transport).filter((method) => method === 'initialize')).toHaveLength(1);
    expect(link.alive).toBe(true);
  });
});

describe('an upstream that does not speak its era any more', () => {
  const refusals: readonly [string, Era, (stream: SampleStream, id: unknown) => void][] = [
    ['400 without answer', 'modern', (stream) => stream.end(status(400, false))],
    ['404', 'modern', (stream) => stream.end(status(404, false))],
    ['-32022', 'modern', (stream, id) => stream.say({ jsonrpc: '2.0', id, error: { code: -32022, message: 'version' } })],
    ['-32022', 'legacy', (stream, id) => stream.say({ jsonrpc: '2.0', id, error: { code: -32022, message: 'version' } })],
    [
      'a missing envelope',
      'legacy',
      (stream, id) => stream.say({ jsonrpc: '2.0', id, error: { code: -32602, message: 'missing _meta.io.modelcontextprotocol/protocolVersion' } }),
    ],
  ];
  for (const [what, era, refuse] of refusals) {
    it(`${era}, ${what}: no new calls, those that run go on, the refused one may be sent again`, async () => {
      let refusing = false;
      const running: SampleStream[] = [];
      const { link, contradictions } = linkTo(({ id, method }, stream) => {
        if (method === 'tools/call') running.push(stream);
        else if (refusing) refuse(stream, id);
        else stream.say({ jsonrpc: '2.0', id, result: {} });
      }, era);
      await list(link);
      const call = link.request(ownCall('tools/call', toJson({ name: 'x' }), NEVER));
      await settle();
      refusing = true;
      await expect(list(link)).rejects.toMatchObject({ code: 'upstream/down', details: { retryable: true } });
      expect(link.alive).toBe(false);
      expect(contradictions).toHaveLength(1);
      running[0]?.say({ jsonrpc: '2.0', id: 2, result: {} });
      expect(await call).toMatchObject({ kind: 'result' });
    });
  }

  it('right after the handshake, and for statuses of other kinds, an error is only an error', async () => {
    const fresh = linkTo((_message, stream) => stream.end(status(400, false)), 'modern');
    await expect(list(fresh.link)).rejects.toMatchObject({ code: 'upstream/protocol' });
    const strict = linkTo(({ id }, stream) => stream.say({ jsonrpc: '2.0', id, error: { code: -32022, message: 'version' } }), 'modern');
    await expect(list(strict.link)).rejects.toMatchObject({ code: 'upstream/protocol', details: { retryable: false } });
    expect(strict.contradictions).toEqual([]);
    for (const code of [401, 403, 413, 429, 500]) {
      let refusing = false;
      const { link } = linkTo(
        ({ id }, stream) => (refusing ? stream.end(status(code, false)) : stream.say({ jsonrpc: '2.0', id, result: {} })),
        'modern',
      );
      await list(link);
      refusing = true;
      await expect(list(link)).rejects.toMatchObject({ details: { retryable: false } });
      expect(link.alive).toBe(true);
    }
  });
});

describe('the end of a connection', () => {
  it('is told once, with listeners that fail harming nobody, and leaves nothing', async () => {
    const { link, transport, clock } = linkTo(() => {}, 'legacy', {}, 'channel');
    const events: ConnectionEvent['kind'][] = [];
    link.subscribe(() => {
      throw new Error('broken');
    });
    link.subscribe(({ kind }) => events.push(kind));
    const unheard = link.subscribe(() => events.push('notification'));
    unheard();
    const running = list(link);
    await settle();
    transport.break(new TurnpikeError('upstream/lost', 'exited with code 1'));
    transport.break(new Error('again'));
    await expect(running).rejects.toMatchObject({ code: 'upstream/lost', details: { retryable: false } });
    await Promise.all([link.close(), link.close()]);
    expect(events).toEqual(['closed']);
    expect(transport.closes).toBe(1);
    expect(link.ended.aborted).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('at an endpoint that cannot be reached: another one is taken', async () => {
    const unreachable: number[] = [];
    const { link } = linkTo((_message, stream) => stream.end(new TurnpikeError('upstream/down', 'refused', { retryable: true })), 'modern', {
      onUnreachable: () => unreachable.push(1),
    });
    await expect(list(link)).rejects.toMatchObject({ code: 'upstream/down' });
    expect([link.alive, unreachable.length]).toEqual([false, 1]);
  });
});
