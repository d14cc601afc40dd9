import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Deadlines } from '../core/deadlines.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { ConnectionLease } from '../core/ports.ts';
import { Link } from '../upstream/connection.ts';
import { type Handlers, sampleServer } from '../upstream/sample-servers.ts';
import { type SampleServer, SampleTransport } from '../upstream/sample-transport.ts';
import { LaunchedConnection } from './launched-connection.ts';
import { McpError, type McpNotification } from './mcp-client.ts';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A place in a pool of one, with what was leased on record. */
class Rig {
  readonly clock = new ManualClock();
  readonly outcomes: string[] = [];
  readonly ended = new AbortController();
  transport!: SampleTransport;
  link!: Link;
  retired = 0;
  leases = 0;
  readonly #server: SampleServer;
  readonly #era: 'legacy' | 'modern';

  constructor(server: SampleServer, era: 'legacy' | 'modern' = 'legacy') {
    this.#server = server;
    this.#era = era;
    this.relink();
  }

  /** Another connection lives in the place from now on. */
  relink(): void {
    this.transport = new SampleTransport(this.#era === 'modern' ? 'exchange' : 'channel', this.#server);
    this.link = new Link({ name: 'up', clock: this.clock, clientInfo: {}, transport: this.transport, renewalMs: 1_000, onDropped: () => {} });
    const version = this.#era === 'modern' ? '2026-07-28' : '2025-11-25';
    this.link.agreed({
      era: this.#era,
      version,
      serverInfo: { name: 'sample' },
      capabilities: { tools: {}, prompts: {}, resources: {} },
      instructions: 'Be kind.',
    });
  }

  connection(): LaunchedConnection {
    const place = {
      key: { backendId: 'up', sessionId: 's' },
      deadlines: new Deadlines(this.clock),
      timeouts: { call: 1_000, callMax: 3_000, list: 500 },
      lease: async (signal: AbortSignal): Promise<ConnectionLease> => {
        signal.throwIfAborted();
        this.leases++;
        return { connection: this.link, ended: this.ended.signal, release: (outcome) => void this.outcomes.push(outcome) };
      },
      retire: async () => void this.retired++,
    };
    return new LaunchedConnection(place, this.link);
  }
}

const rig = (handlers: Handlers = {}, era: 'legacy' | 'modern' = 'legacy') => new Rig(sampleServer(era, handlers), era);
let clocks: ManualClock[] = [];
function made(handlers: Handlers = {}, era: 'legacy' | 'modern' = 'legacy'): Rig {
  const one = rig(handlers, era);
  clocks.push(one.clock);
  return one;
}
beforeEach(() => {
  clocks = [];
});
afterEach(() => {
  for (const { pending } of clocks) expect(pending).toBe(0);
});

describe('what McpClient can do', () => {
  it('lists all pages, calls, reads and gets, each under one lease', async () => {
    const pages = (member: string, item: string) => (params: { cursor?: unknown }) =>
      params.cursor === undefined ? { result: { [member]: [{ [item]: 'a', x: 1 }], nextCursor: '2' } } : { result: { [member]: [{ [item]: 'b' }] } };
    const one = made({
      'tools/list': pages('tools', 'name'),
      'prompts/list': pages('prompts', 'name'),
      'resources/list': pages('resources', 'uri'),
      'prompts/get': (params) => ({ result: { messages: [], params } }),
      'resources/read': (params) => ({ result: { contents: [], params } }),
    });
    const connection = one.connection();
    await connection.initialize();
    expect(await connection.listTools()).toEqual([{ name: 'a', x: 1 }, { name: 'b' }]);
    expect(await connection.listPrompts()).toEqual([{ name: 'a', x: 1 }, { name: 'b' }]);
    expect(await connection.listResources()).toEqual([{ uri: 'a', x: 1 }, { uri: 'b' }]);
    expect(await connection.callTool('t', { n: 1 })).toMatchObject({ structuredContent: { name: 't', arguments: { n: 1 } } });
    expect(await connection.callTool('t')).toMatchObject({ structuredContent: { arguments: {} } });
    expect(await connection.getPrompt('p', { who: 'me' })).toMatchObject({ params: { name: 'p', arguments: { who: 'me' } } });
    expect(await connection.readResource('file:///x')).toMatchObject({ params: { uri: 'file:///x' } });
    await connection.ping();
    expect(one.outcomes).toEqual(Array.from({ length: 9 }, () => 'ok'));
  });

  it('tells what the handshake agreed on', () => {
    const connection = made().connection();
    const { key, era, version, serverInfo, capabilities, instructions } = connection;
    expect({ key, era, version, serverInfo, capabilities, instructions }).toEqual({
      key: { backendId: 'up', sessionId: 's' },
      era: 'legacy',
      version: '2025-11-25',
      serverInfo: { name: 'sample' },
      capabilities: { tools: {}, prompts: {}, resources: {} },
      instructions: 'Be kind.',
    });
  });

  it('a modern server is pinged by server/discover, and gets the name as a header', async () => {
    const one = made({}, 'modern');
    await one.connection().ping();
    expect(one.transport.sent.map(({ method }) => method)).toEqual(['server/discover']);
    const names: unknown[] = [];
    const two = new Rig((message, stream) => {
      names.push(stream.options.headers?.['mcp-name']);
      stream.say({ jsonrpc: '2.0', id: message.id, result: { resultType: 'complete' } });
    }, 'modern');
    await two.connection().callTool('größe');
    await two.connection().readResource('file:///x');
    await two.connection().request('x/y', { name: 'no' });
    expect(names).toEqual([expect.stringMatching(/^=\?base64\?/), 'file:///x', undefined]);
  });

  it('an error of the server is an McpError, and no failure of the transport', async () => {
    const one = made({ 'x/y': () => ({ error: { code: -32050, message: 'not now', data: { wait: 5 } } }) });
    await expect(one.connection().request('x/y')).rejects.toEqual(new McpError(-32050, 'not now', { wait: 5 }));
    await expect(one.connection().request('x/y')).rejects.toMatchObject({ code: -32050, data: { wait: 5 }, name: 'McpError' });
    expect(one.outcomes).toEqual(['ok', 'ok']);
  });
});

describe('time and cancels', () => {
  it('progress restarts the deadline of a call, `callMax` bounds it', async () => {
    let token: unknown;
    const one = made({
      'tools/call': ({ _meta }) => {
        token = (_meta as { progressToken: unknown }).progressToken;
        return undefined;
      },
    });
    const heard: unknown[] = [];
    const running = one.connection().callTool('slow', {}, { onProgress: ({ progress }) => void heard.push(progress) });
    const late = expect(running).rejects.toMatchObject({ code: 'upstream/timeout', message: "tool 'slow' timed out after 3s" });
    await settle();
    for (let step = 1; step <= 3; step++) {
      one.clock.advance(900);
      one.transport.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress: step } });
    }
    expect(heard).toEqual([1, 2, 3]);
    one.clock.advance(300);
    await late;
    expect([one.outcomes, one.transport.sent.at(-1)?.method]).toEqual([['transport-error'], 'notifications/cancelled']);
    await settle();
  });

  it('without progress a call ends after `call`, a list after `list`', async () => {
    const one = made({ 'tools/call': () => undefined, 'tools/list': () => undefined, 'x/y': () => undefined });
    const connection = one.connection();
    const late = [
      expect(connection.callTool('slow')).rejects.toThrow("tool 'slow' timed out after 1s"),
      expect(connection.request('x/y')).rejects.toThrow("server 'up' did not answer x/y within 1s"),
      expect(connection.listTools()).rejects.toThrow("upstream 'up' did not answer tools/list within 0.5s"),
    ];
    await settle();
    one.clock.advance(1_000);
    await Promise.all(late);
    await settle();
  });

  it('an abort rejects with its reason, tells the server, and counts as no failure', async () => {
    const one = made({ 'tools/call': () => undefined });
    const stop = new AbortController();
    const running = expect(one.connection().callTool('slow', {}, { signal: stop.signal })).rejects.toThrow('enough');
    await settle();
    stop.abort(new Error('enough'));
    await running;
    expect([one.outcomes, one.transport.sent.at(-1)?.method]).toEqual([['ok'], 'notifications/cancelled']);
    await settle();
  });
});

describe('when the connection ends', () => {
  it('a call that ran has an unknown outcome and is not repeated', async () => {
    const one = made({ 'tools/call': () => undefined });
    const running = expect(one.connection().callTool('write')).rejects.toMatchObject({
      code: 'upstream/lost',
      message: expect.stringMatching(/the outcome is unknown/),
    });
    await settle();
    one.transport.break(new Error('gone'));
    await running;
    expect([one.outcomes, one.leases]).toEqual([['transport-error'], 1]);
  });

  it('a call under a lease that is cut has one, too, and that is nobody’s failure', async () => {
    const one = made({ 'tools/call': () => undefined });
    const running = expect(one.connection().callTool('write')).rejects.toMatchObject({
      code: 'upstream/lost',
      message: expect.stringMatching(/the outcome is unknown/),
    });
    await settle();
    one.ended.abort(new Error('session ended'));
    await running;
    expect(one.outcomes).toEqual(['ok']);
    await settle();
  });

  it('a call that was certainly not sent goes to the next connection, once', async () => {
    const one = made();
    const connection = one.connection();
    await one.link.close();
    const running = connection.callTool('t');
    one.relink();
    expect(await running).toMatchObject({ structuredContent: { name: 't' } });
    expect([one.leases, one.outcomes]).toEqual([2, ['transport-error', 'ok']]);
    await one.link.close();
    await expect(connection.callTool('t')).rejects.toMatchObject({ code: 'upstream/down' });
    expect(one.leases).toBe(4);
  });

  it('close ends the object, and what lives in its place', async () => {
    const one = made();
    const connection = one.connection();
    await connection.close();
    expect(one.retired).toBe(1);
    await expect(connection.callTool('t')).rejects.toMatchObject({ code: 'pool/closed' });
    expect(one.leases).toBe(0);
  });
});

describe('notifications', () => {
  const changed = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };

  it('are heard until disposed, on whichever connection lives, and not twice', async () => {
    const one = made();
    const connection = one.connection();
    const heard: McpNotification[] = [];
    const listening = connection.onNotification((notification) => void heard.push(notification));
    one.transport.say(changed);
    expect(heard).toEqual([{ method: changed.method, params: {} }]);
    const old = one.transport;
    one.relink();
    await connection.callTool('t');
    old.say(changed);
    expect(heard).toHaveLength(1);
    one.transport.say(changed);
    expect(heard).toHaveLength(2);
    listening[Symbol.dispose]();
    one.transport.say(changed);
    await connection.callTool('t');
    one.transport.say(changed);
    expect(heard).toHaveLength(2);
  });

  it('include those of a running call; after close there are none', async () => {
    let answer = () => {};
    const one = new Rig((message, stream) => {
      if (message.method !== 'tools/call') return;
      stream.say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'working' } });
      answer = () => stream.say({ jsonrpc: '2.0', id: message.id, result: {} });
    });
    const connection = one.connection();
    const heard: string[] = [];
    connection.onNotification(({ method }) => void heard.push(method));
    const running = connection.callTool('t');
    await settle();
    answer();
    await running;
    expect(heard).toEqual(['notifications/message']);
    await connection.close();
    one.transport.say(changed);
    connection.onNotification(({ method }) => void heard.push(method));
    one.transport.say(changed);
    expect(heard).toHaveLength(1);
  });
});
