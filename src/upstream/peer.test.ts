import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { Answer, JsonObject } from '../core/mcp.ts';
import type { Relay, Seen, UpstreamCall } from '../core/ports.ts';
import { Peer, type PeerOptions } from './peer.ts';
import { type SampleServer, type SampleStream, SampleTransport } from './sample-transport.ts';

const QUIET: SampleServer = () => {};

class Ear implements Relay {
  readonly heard: { readonly method: string; readonly params: JsonObject }[] = [];
  readonly asked: { readonly method: string; readonly signal: AbortSignal }[] = [];
  reply: (signal: AbortSignal) => Promise<Answer> = async () => ({ kind: 'result', result: toJson({ roots: [] }) });

  notification(method: string, params: Buffer): void {
    this.heard.push({ method, params: JSON.parse(params.toString()) as JsonObject });
  }

  request(method: string, _params: Buffer, signal: AbortSignal): Promise<Answer> {
    this.asked.push({ method, signal });
    return this.reply(signal);
  }
}

function rig(kind: 'channel' | 'exchange', server: SampleServer = QUIET, options: Partial<PeerOptions> = {}) {
  const clock = new ManualClock();
  const dropped: string[] = [];
  const events: string[] = [];
  const transport = new SampleTransport(kind, server);
  const peer = new Peer({
    name: 'S',
    transport,
    clock,
    clientInfo: { name: 'turnpike', version: '1' },
    onNotification: (method) => events.push(method),
    onRequest: async (method) => ({ kind: 'error', error: toJson({ code: -32600, message: method }), code: -32600 }),
    onDropped: (what) => dropped.push(what),
    ...options,
  });
  return { clock, dropped, events, transport, peer };
}

function call(overrides: Partial<UpstreamCall> = {}): UpstreamCall {
  return {
    method: 'tools/call',
    params: toJson({ name: 't' }),
    capabilities: {},
    progress: true,
    relay: new Ear(),
    signal: new AbortController().signal,
    ...overrides,
  };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const result = (id: unknown, value: JsonObject = {}) => ({ jsonrpc: '2.0', id, result: value });

describe('answers', () => {
  it('a channel: by id, once; an answer to nobody and a second one are dropped', async () => {
    const { peer, transport, dropped } = rig('channel');
    const answer = peer.request(call());
    await settle();
    transport.say(result(99));
    transport.say(result('1'));
    transport.say(result(1, { a: 1 }));
    transport.say(result(1, { a: 2 }));
    expect(await answer).toMatchObject({ kind: 'result', result: Buffer.from('{"a":1}') });
    expect(dropped).toHaveLength(3);
    expect(peer.inFlight).toBe(0);
  });

  it('an exchange: only on the stream of its own request', async () => {
    const streams: SampleStream[] = [];
    const { peer, transport, dropped } = rig('exchange', (_message, stream) => streams.push(stream));
    const [one, two] = [peer.request(call()), peer.request(call())];
    await settle();
    streams[0]?.say(result(2, { forged: true }));
    transport.say(result(2, { astray: true }));
    streams[1]?.say(result(2, { own: 2 }));
    streams[0]?.say(result(1, { own: 1 }));
    expect(await one).toMatchObject({ kind: 'result', result: Buffer.from('{"own":1}') });
    expect(await two).toMatchObject({ kind: 'result', result: Buffer.from('{"own":2}') });
    expect(dropped).toHaveLength(2);
    expect(transport.streams).toBe(0);
  });

  it('an exchange that ends without a response is an error', async () => {
    const { peer } = rig('exchange', (_message, stream) => stream.end());
    await expect(peer.request(call())).rejects.toMatchObject({
      code: 'upstream/protocol',
      message: "upstream 'S' ended its answer without a response",
    });
  });

  it('a batch holds answers and notifications', async () => {
    const ear = new Ear();
    const log = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info' } };
    const { peer } = rig('exchange', (message, stream) => stream.say([log, result(message.id, { ok: 1 })]));
    expect(await peer.request(call({ relay: ear }))).toMatchObject({ kind: 'result', result: Buffer.from('{"ok":1}') });
    expect(ear.heard).toHaveLength(1);
  });

  it('malformed answers fail their call, and say nothing of what was sent', async () => {
    const { peer, transport } = rig('channel');
    for (const body of [{ result: 5 }, { result: {}, error: { code: 1, message: 'x' } }, { error: { code: 'x', message: 'y' } }, {}]) {
      const answer = peer.request(call());
      await settle();
      transport.say({ jsonrpc: '2.0', id: transport.sent.at(-1)?.id, ...body });
      await expect(answer).rejects.toMatchObject({ code: 'upstream/protocol' });
    }
    const other = rig('exchange', (_message, stream) => stream.write(Buffer.from('secret-token{')));
    const error = await other.peer.request(call()).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: 'upstream/protocol', message: "upstream 'S' sent something that is not JSON" });
  });

  it('garbage on a channel is dropped and harms nobody', async () => {
    const { peer, transport, dropped } = rig('channel');
    const answer = peer.request(call());
    await settle();
    for (const text of ['log line', '{"half":', '5', 'null', '"x"', '[]', '[1]', '{}', '{"method":7}', '{"jsonrpc":"2.0","id":{},"method":"ping"}']) {
      transport.onMessage(Buffer.from(text));
    }
    transport.onMessage(Buffer.from([0xff, 0xfe]));
    transport.say(result(1));
    expect(await answer).toMatchObject({ kind: 'result' });
    expect(dropped.length).toBeGreaterThan(8);
  });

  it('an error without id: of the only call; its text stays away from a caller whose call it may not be of', async () => {
    const { peer, transport } = rig('channel');
    const nameless = { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'other tenant' } };
    const two = [peer.request(call()), peer.request(call())];
    await settle();
    transport.say(nameless);
    transport.say(result(1));
    await two[0];
    transport.say(nameless);
    await expect(two[1]).rejects.toMatchObject({ code: 'upstream/protocol', message: "upstream 'S' answered with an error that names no request" });
    const exchange = rig('exchange', (_message, stream) => stream.say({ jsonrpc: '2.0', error: { code: -32000, message: 'mine' } }));
    expect(await exchange.peer.request(call())).toMatchObject({ kind: 'error', code: -32000 });
  });
});

describe('cancelling', () => {
  it('is told exactly once, and nothing is delivered after', async () => {
    const { peer, transport, clock } = rig('channel');
    const ear = new Ear();
    const client = new AbortController();
    const answer = peer.request(call({ relay: ear, signal: client.signal }));
    await settle();
    client.abort(new Error('gone'));
    client.abort(new Error('again'));
    await expect(answer).rejects.toThrow('gone');
    transport.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } });
    transport.say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info' } });
    transport.say({ jsonrpc: '2.0', id: 'q', method: 'sampling/createMessage', params: {} });
    transport.say(result(1));
    await settle();
    expect(transport.sent.filter(({ method }) => method === 'notifications/cancelled')).toEqual([
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1, reason: 'cancelled' } },
    ]);
    expect(ear.heard).toEqual([]);
    expect(ear.asked).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('closes the stream of a modern exchange and says nothing; a legacy one is told', async () => {
    for (const era of ['modern', 'legacy'] as const) {
      const { peer, transport } = rig('exchange');
      peer.era = era;
      const client = new AbortController();
      const answer = peer.request(call({ signal: client.signal }));
      await settle();
      expect(transport.streams).toBe(1);
      client.abort(new Error('gone'));
      await expect(answer).rejects.toThrow('gone');
      expect(transport.streams).toBe(0);
      expect(transport.sent.filter(({ method }) => method === 'notifications/cancelled')).toHaveLength(era === 'modern' ? 0 : 1);
    }
  });

  it('is never told of initialize, nor of a call that was aborted before', async () => {
    const { peer, transport } = rig('channel');
    const client = new AbortController();
    const answer = peer.request(call({ method: 'initialize', signal: client.signal }));
    await settle();
    client.abort(new Error('gone'));
    await expect(answer).rejects.toThrow('gone');
    await expect(peer.request(call({ signal: client.signal }))).rejects.toThrow('gone');
    expect(transport.sent.map(({ method }) => method)).toEqual(['initialize']);
  });

  it('a stream that goes on after its call is over reaches nobody', async () => {
    let stream: SampleStream | undefined;
    const { peer, dropped } = rig('exchange', (_message, opened) => {
      stream = opened;
    });
    const ear = new Ear();
    const answer = peer.request(call({ relay: ear }));
    await settle();
    // One event with both: the transport hands the rest over although the answer was in it.
    stream?.say([result(1), { jsonrpc: '2.0', method: 'notifications/message', params: {} }, { jsonrpc: '2.0', id: 1, method: 'roots/list' }]);
    await answer;
    expect(ear.heard).toEqual([]);
    expect(ear.asked).toEqual([]);
    expect(dropped).toHaveLength(2);
  });
});

describe('log lines on the stream of a call', () => {
  it('are only scanned for who reads spans, whose call runs, and of what names a task, nobody', async () => {
    const seen: (Seen | undefined)[] = [];
    class Reader extends Ear {
      readonly readsSpans = true;
      override notification(method: string, params: Buffer, more?: Seen): void {
        seen.push(more);
        super.notification(method, params);
      }
    }
    const streams: SampleStream[] = [];
    const { peer, dropped } = rig('exchange', (_message, stream) => streams.push(stream));
    const [ear, reader] = [new Ear(), new Reader()];
    const answers = [peer.request(call({ relay: ear })), peer.request(call({ relay: reader }))];
    await settle();
    const log = (params: JsonObject) => ({ jsonrpc: '2.0', method: 'notifications/message', params });
    const lines = [
      { level: 'info', data: [1] },
      { _meta: { v: 1 }, level: 'info' },
    ];
    for (const stream of streams) for (const line of lines) stream.say(log(line));
    expect(ear.heard.map(({ params }) => params)).toEqual(lines);
    expect(reader.heard.map(({ params }) => params)).toEqual(lines);
    expect(seen.map((more) => more?.spans.map(({ key }) => key))).toEqual([['level', 'data'], undefined]);
    expect(dropped).toEqual([]);
    for (const [at, stream] of streams.entries()) stream.say([result(at + 1), log({ level: 'alert' })]);
    await Promise.all(answers);
    expect([reader.heard.length, dropped.length]).toEqual([2, 2]);
  });
});

describe('progress', () => {
  it('keeps our token only for who puts its own there; of what names a task, nobody', async () => {
    const { peer, transport } = rig('channel');
    const [ear, replacing] = [new Ear(), Object.assign(new Ear(), { readsSpans: true as const })];
    const answers = [peer.request(call({ relay: ear })), peer.request(call({ relay: replacing }))];
    await settle();
    const say = (params: JsonObject) => transport.say({ jsonrpc: '2.0', method: 'notifications/progress', params });
    say({ progressToken: 1, progress: 1 });
    say({ progressToken: 2, progress: 1 });
    say({ progressToken: 2, progress: 2, _meta: { v: 1 } });
    say({ progressToken: 2, progress: 2 });
    expect(ear.heard.map(({ params }) => params)).toEqual([{ progress: 1 }]);
    expect(replacing.heard.map(({ params }) => params)).toEqual([
      { progressToken: 2, progress: 1 },
      { progress: 2, _meta: { v: 1 } },
    ]);
    transport.say(result(1));
    transport.say(result(2));
    await Promise.all(answers);
  });

  it('has our token outside and none inside, rises strictly, ten a second, none unasked', async () => {
    const { peer, transport, clock } = rig('channel');
    const [ear, deaf] = [new Ear(), new Ear()];
    const answers = [peer.request(call({ relay: ear })), peer.request(call({ relay: deaf, progress: false }))];
    await settle();
    expect(transport.sent[0]?.params).toEqual({ name: 't', _meta: { progressToken: 1 } });
    expect(transport.sent[1]?.params).toEqual({ name: 't' });
    const say = (progressToken: unknown, progress: unknown) =>
      transport.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress, total: 9 } });
    for (const progress of [1, 1, 0.5, '2', null, 2]) say(1, progress);
    say('1', 3);
    say(2, 3);
    transport.onMessage(Buffer.from('{"method":"notifications/progress","params":{"progressToken":1,"progress":1e999}}'));
    expect(ear.heard.map(({ params }) => params)).toEqual([
      { progress: 1, total: 9 },
      { progress: 2, total: 9 },
    ]);
    for (let progress = 3; progress < 100; progress++) say(1, progress);
    expect(ear.heard).toHaveLength(10);
    clock.advance(1000);
    say(1, 100);
    expect(ear.heard).toHaveLength(11);
    transport.say(result(1));
    transport.say(result(2));
    await Promise.all(answers);
    say(1, 101);
    expect(ear.heard).toHaveLength(11);
    expect(deaf.heard).toEqual([]);
  });
});

describe('what belongs to no call', () => {
  const log = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info' } };
  const question = (id: number, params: JsonObject = {}) => ({ jsonrpc: '2.0', id, method: 'sampling/createMessage', params });

  it('log lines and questions go to the newest call of a connection that is one caller’s', async () => {
    const { peer, transport } = rig('channel');
    const [old, recent] = [new Ear(), new Ear()];
    void peer.request(call({ relay: old })).catch(() => {});
    void peer.request(call({ relay: recent })).catch(() => {});
    void peer.request(call({ method: 'subscriptions/listen', relay: new Ear() })).catch(() => {});
    void peer.request(call({ method: 'logging/setLevel', relay: new Ear() })).catch(() => {});
    await settle();
    transport.say(log);
    transport.say(question(1));
    await settle();
    expect(old.heard).toEqual([]);
    expect(recent.heard).toHaveLength(1);
    expect(recent.asked).toHaveLength(1);
  });

  it('on a shared connection they are nobody’s', async () => {
    const { peer, transport, dropped } = rig('channel', QUIET, { shared: true });
    const ear = new Ear();
    void peer.request(call({ relay: ear })).catch(() => {});
    await settle();
    transport.say(log);
    transport.say(question(1));
    await settle();
    expect(ear.heard).toEqual([]);
    expect(ear.asked).toEqual([]);
    expect(dropped).toHaveLength(1);
    expect(transport.sent.at(-1)).toMatchObject({ id: 1, error: { code: -32600 } });
  });

  it('a question about a task is not given to the call beside it; ping is answered', async () => {
    const { peer, transport, clock } = rig('channel');
    const ear = new Ear();
    void peer.request(call({ relay: ear })).catch(() => {});
    await settle();
    transport.say(question(1, { _meta: { 'io.modelcontextprotocol/related-task': { taskId: 'x' } } }));
    transport.say({ jsonrpc: '2.0', id: 2, method: 'ping' });
    await settle();
    // Whoever claims the task might come a moment later.
    clock.advance(1_000);
    await settle();
    expect(ear.asked).toEqual([]);
    expect(transport.sent.find(({ id, method }) => id === 1 && method === undefined)).toMatchObject({ error: { code: -32600 } });
    expect(transport.sent.find(({ id }) => id === 2)).toMatchObject({ result: {} });
  });

  it('an ambiguous question makes the connection serial', async () => {
    const { peer, transport } = rig('channel');
    const answers = [1, 2, 3].map(() => peer.request(call()));
    await settle();
    transport.say(question(1));
    await settle();
    const later = [peer.request(call()), peer.request(call())];
    const listing = peer.request(call({ method: 'tools/list' }));
    await settle();
    const calls = () => transport.sent.filter(({ method }) => method === 'tools/call').length;
    expect(calls()).toBe(3);
    expect(transport.sent.some(({ method }) => method === 'tools/list')).toBe(true);
    for (const id of [1, 2]) transport.say(result(id));
    await settle();
    expect(calls()).toBe(3);
    transport.say(result(3));
    await settle();
    expect(calls()).toBe(4);
    transport.say(result(5));
    await settle();
    expect(calls()).toBe(5);
    for (const id of [4, 6]) transport.say(result(id));
    await Promise.all([...answers, ...later, listing]);
  });

  it('a serial connection whose call waits for input sends everybody on, those who wait for their turn included', async () => {
    const { peer, transport } = rig('channel');
    const ear = new Ear();
    let release: (() => void) | undefined;
    ear.reply = () => new Promise((resolve) => (release = () => resolve({ kind: 'result', result: toJson({}) })));
    const [first, second] = [peer.request(call({ relay: ear })), peer.request(call({ relay: ear }))];
    await settle();
    expect(peer.busy).toBe(false);
    transport.say(question(1));
    await settle();
    expect(peer.busy).toBe(true);
    await expect(peer.request(call())).rejects.toMatchObject({ code: 'upstream/busy' });
    release?.();
    await settle();
    expect(peer.busy).toBe(false);
    const waiting = peer.request(call());
    await settle();
    transport.say(question(2));
    await expect(waiting).rejects.toMatchObject({ code: 'upstream/busy' });
    expect(transport.sent.filter(({ method }) => method === 'tools/call')).toHaveLength(2);
    for (const id of [1, 2]) transport.say(result(id));
    await Promise.all([first, second]);
    // Nothing runs any more, so a turn is free.
    const next = peer.request(call());
    await settle();
    transport.say(result(3));
    await next;
  });

  it('changes are the connection’s, listen streams hear their own only', async () => {
    const streams: SampleStream[] = [];
    const { peer, transport, events, dropped } = rig('exchange', (_message, stream) => streams.push(stream));
    peer.era = 'modern';
    const [listener, ear] = [new Ear(), new Ear()];
    void peer.request(call({ method: 'subscriptions/listen', relay: listener, progress: false })).catch(() => {});
    void peer.request(call({ relay: ear })).catch(() => {});
    await settle();
    const changed = (subscriptionId?: unknown) => ({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
      params: subscriptionId === undefined ? {} : { _meta: { 'io.modelcontextprotocol/subscriptionId': subscriptionId } },
    });
    streams[0]?.say(changed(1));
    streams[0]?.say(changed(2));
    streams[1]?.say(changed(1));
    transport.say(changed());
    transport.say(changed(77));
    expect(listener.heard).toHaveLength(1);
    expect(ear.heard).toEqual([]);
    expect(events).toEqual(['notifications/tools/list_changed', 'notifications/tools/list_changed']);
    expect(dropped).toHaveLength(2);
  });
});

describe('questions of the upstream', () => {
  it('end with the call they belong to, and with their own cancel; an open id is not asked twice', async () => {
    const { peer, transport } = rig('channel');
    const ear = new Ear();
    ear.reply = (signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const answer = peer.request(call({ relay: ear }));
    await settle();
    for (const id of ['a', 'a', 'b']) transport.say({ jsonrpc: '2.0', id, method: 'roots/list' });
    await settle();
    expect(ear.asked).toHaveLength(2);
    transport.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'a' } });
    expect(ear.asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    transport.say(result(1));
    await answer;
    await settle();
    expect(ear.asked.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    expect(peer.asked).toBe(0);
    // The one that was cancelled wants no answer. The other may be that of a call which waits: a pipe does not say whose it is.
    expect(transport.sent.slice(1)).toMatchObject([{ id: 'b', error: { code: -32603 } }]);
  });

  it('of a call that waits are answered, although the call that they were taken for is over', async () => {
    const { peer, transport } = rig('channel');
    const ear = new Ear();
    ear.reply = (signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve({ kind: 'result', result: toJson({ action: 'cancel' }) })));
    const [first, newest] = [peer.request(call()), peer.request(call({ relay: ear }))];
    await settle();
    transport.say({ jsonrpc: '2.0', id: 7, method: 'elicitation/create', params: {} });
    await settle();
    transport.say(result(2));
    await newest;
    await settle();
    expect(transport.sent.at(-1)).toEqual({ jsonrpc: '2.0', id: 7, result: { action: 'cancel' } });
    transport.say(result(1));
    await first;
  });

  it('are bounded: what comes beyond is refused', async () => {
    const { peer, transport } = rig('channel');
    const ear = new Ear();
    ear.reply = () => new Promise(() => {});
    void peer.request(call({ relay: ear })).catch(() => {});
    await settle();
    for (let id = 0; id < 300; id++) transport.say({ jsonrpc: '2.0', id, method: 'roots/list' });
    await settle();
    expect(ear.asked).toHaveLength(256);
    expect(transport.sent.filter(({ error }) => error !== undefined)).toHaveLength(44);
  });

  it('a relay that throws harms nobody', async () => {
    const { peer, transport, dropped } = rig('channel');
    const broken: Relay = {
      notification: () => {
        throw new Error('broken');
      },
      request: () => {
        throw new Error('broken');
      },
    };
    const answer = peer.request(call({ relay: broken }));
    await settle();
    transport.say({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
    transport.say({ jsonrpc: '2.0', id: 4, method: 'roots/list' });
    await settle();
    expect(dropped).toHaveLength(1);
    expect(transport.sent.at(-1)).toMatchObject({ id: 4, error: { code: -32603, message: 'Internal error.' } });
    transport.say(result(1));
    await answer;
  });
});

describe('the end of the transport', () => {
  it('leaves what was sent with an unknown outcome, and what comes later unsent', async () => {
    const { peer, clock } = rig('channel');
    const running = peer.request(call());
    await settle();
    peer.fail(new TurnpikeError('upstream/session', 'lost', { retryable: true }));
    await expect(running).rejects.toMatchObject({ code: 'upstream/lost', details: { retryable: false } });
    await expect(peer.request(call())).rejects.toMatchObject({ code: 'upstream/down', details: { retryable: true } });
    expect(peer.inFlight).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('names a broken protocol', async () => {
    const { peer } = rig('channel');
    const running = peer.request(call());
    await settle();
    peer.fail(new TurnpikeError('upstream/protocol', "upstream 'S' sent a line of more than 16 MiB"));
    await expect(running).rejects.toThrow("upstream 'S' sent a line of more than 16 MiB");
  });
});

describe('listeners on signals', () => {
  it('are gone when the call is over, so that a signal may live as long as the process', async () => {
    const { peer, transport } = rig('channel');
    const signal = new AbortController().signal;
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    for (let round = 1; round <= 20; round++) {
      const answer = peer.request(call({ signal }));
      await settle();
      transport.say(result(round));
      await answer;
    }
    expect(listeners).toBe(0);
  });
});
