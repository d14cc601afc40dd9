import { describe, expect, it } from 'vitest';
import { toJson } from '../core/json.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { Answer, JsonObject } from '../core/mcp.ts';
import type { Relay, UpstreamCall } from '../core/ports.ts';
import { Peer } from './peer.ts';
import { SampleTransport } from './sample-transport.ts';

const RELATED = 'io.modelcontextprotocol/related-task';
const about = (taskId: unknown): JsonObject => ({ _meta: { [RELATED]: { taskId } } });
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Hears everything, answers with its name when told to. */
class Ear implements Relay {
  readonly name: string;
  readonly forTask?: true;
  readonly heard: string[] = [];
  readonly signals: AbortSignal[] = [];
  waiting: Promise<void> | undefined;

  constructor(name: string, forTask = false) {
    this.name = name;
    if (forTask) this.forTask = true;
  }

  notification(method: string, params: Buffer): void {
    this.heard.push(`${method} ${params.toString()}`);
  }

  async request(method: string, _params: Buffer, signal: AbortSignal): Promise<Answer> {
    this.heard.push(method);
    this.signals.push(signal);
    await this.waiting;
    return { kind: 'result', result: toJson({ of: this.name }) };
  }
}

function rig(kind: 'channel' | 'exchange' = 'channel', shared = false) {
  const clock = new ManualClock();
  const events: string[] = [];
  const dropped: string[] = [];
  const transport = new SampleTransport(kind, (message, stream) => {
    if (message.method === 'tasks/result') streams.set(Number(message.id), stream);
    if (message.method === 'tools/call') streams.set(Number(message.id), stream);
  });
  const streams = new Map<number, { say(message: unknown): void; end(): void }>();
  const peer = new Peer({
    name: 'S',
    transport,
    clock,
    shared,
    clientInfo: {},
    onNotification: (method) => events.push(method),
    onRequest: async () => ({ kind: 'result', result: toJson({ of: 'nobody' }) }),
    onDropped: (what) => dropped.push(what),
  });
  const request = (method: string, relay: Relay, more: Partial<UpstreamCall> = {}) => {
    const done = peer.request({
      method,
      params: toJson({ taskId: 't' }),
      capabilities: {},
      progress: true,
      relay,
      signal: new AbortController().signal,
      ...more,
    });
    done.catch(() => {});
    return done;
  };
  const ask = (id: string, params: JsonObject = {}) => transport.say({ jsonrpc: '2.0', id, method: 'roots/list', params });
  const answered = (id: string) => transport.sent.find((message) => message.id === id && message.method === undefined)?.result;
  return { clock, events, dropped, transport, streams, peer, request, ask, answered };
}

describe('a question that names a task', () => {
  it('goes to whoever claimed it, beside other calls, and these do not become serial by it', async () => {
    const { peer, request, ask, answered } = rig();
    const [task, one, two] = [new Ear('task', true), new Ear('one'), new Ear('two')];
    const unclaim = peer.claimTask('t', task);
    void request('tools/call', one);
    void request('tools/call', two);
    ask('q1', about('t'));
    await settle();
    expect(answered('q1')).toEqual({ of: 'task' });
    expect(peer.busy).toBe(false);
    unclaim();
  });

  it('may come before the claim, but not much', async () => {
    const { clock, peer, ask, answered } = rig();
    ask('q1', about('t'));
    await settle();
    expect(answered('q1')).toBeUndefined();
    peer.claimTask('t', new Ear('task', true));
    await settle();
    expect(answered('q1')).toEqual({ of: 'task' });
    expect(clock.pending).toBe(0);
    ask('q2', about('other'));
    await settle();
    clock.advance(999);
    await settle();
    expect(answered('q2')).toBeUndefined();
    clock.advance(1);
    await settle();
    expect(answered('q2')).toEqual({ of: 'nobody' });
  });

  it('that is taken back while it waits for a claim leaves nothing', async () => {
    const { clock, transport, ask, answered, peer } = rig();
    ask('q1', about('t'));
    transport.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'q1' } });
    await settle();
    expect([answered('q1'), clock.pending, peer.asked]).toEqual([undefined, 0, 0]);
  });

  it('ends with the claim', async () => {
    const { peer, ask } = rig();
    const task = new Ear('task', true);
    task.waiting = new Promise(() => {});
    const unclaim = peer.claimTask('t', task);
    ask('q1', about('t'));
    await settle();
    expect(task.signals[0]?.aborted).toBe(false);
    unclaim();
    expect(task.signals[0]?.aborted).toBe(true);
  });

  it('is not given to the newest claim of another task, nor, in another shape, to anybody', async () => {
    const { clock, peer, ask, answered } = rig();
    peer.claimTask('t', new Ear('task', true));
    peer.claimTask('u', new Ear('other', true));
    ask('q1', about('t'));
    for (const [n, odd] of [7, {}, null].entries()) ask(`odd${n}`, about(odd));
    await settle();
    clock.advance(1_000);
    await settle();
    expect(answered('q1')).toEqual({ of: 'task' });
    for (const n of [0, 1, 2]) expect(answered(`odd${n}`)).toEqual({ of: 'nobody' });
  });

  it('is the task’s also on the stream of another call', async () => {
    const { peer, request, streams, transport } = rig('exchange');
    const [task, one] = [new Ear('task', true), new Ear('one')];
    peer.claimTask('t', task);
    void request('tools/call', one);
    await settle();
    streams.get(1)?.say({ jsonrpc: '2.0', id: 'q1', method: 'roots/list', params: about('t') });
    streams.get(1)?.say({ jsonrpc: '2.0', id: 'q2', method: 'roots/list', params: about('unknown') });
    await settle();
    expect(transport.sent.filter(({ result }) => result !== undefined).map(({ id, result }) => [id, result])).toEqual([
      ['q1', { of: 'task' }],
      ['q2', { of: 'one' }],
    ]);
  });
});

describe('what names no task', () => {
  it('is never meant for one that outlived its call', async () => {
    const { request, ask, answered, transport, dropped } = rig();
    const [task, one] = [new Ear('task', true), new Ear('one')];
    void request('tools/call', one);
    await settle();
    void request('tasks/result', task);
    ask('q1');
    transport.say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
    await settle();
    expect(answered('q1')).toEqual({ of: 'one' });
    expect(one.heard).toHaveLength(2);
    expect([task.heard, dropped]).toEqual([[], []]);
  });
});

describe('a call that goes on as a task', () => {
  it('is the call in flight until the task is over: questions, log, progress under its token', async () => {
    const { request, ask, answered, transport, dropped } = rig();
    const call = new Ear('call');
    const over = new AbortController();
    const done = request('tools/call', call, { lasting: over.signal });
    await settle();
    transport.say({ jsonrpc: '2.0', id: 1, result: { task: { taskId: 't' } } });
    await done;
    void request('tasks/get', call);
    void request('tasks/result', call);
    ask('q1');
    transport.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } });
    transport.say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
    await settle();
    expect(answered('q1')).toEqual({ of: 'call' });
    expect(call.heard).toEqual(['roots/list', 'notifications/progress {"progress":1}', 'notifications/message {"level":"info","data":"x"}']);
    over.abort(new Error('over'));
    transport.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 2 } });
    expect(dropped).toEqual(['progress of no call']);
    // It is one call, whatever is asked about its task: nobody had to be guessed, and others need not wait.
    for (const name of ['next', 'last']) void request('tools/call', new Ear(name));
    await settle();
    expect(transport.sent.filter(({ method }) => method === 'tools/call')).toHaveLength(3);
  });

  it('takes its questions along', async () => {
    const { request, ask, transport } = rig();
    const call = new Ear('call');
    call.waiting = new Promise(() => {});
    const over = new AbortController();
    const done = request('tools/call', call, { lasting: over.signal });
    await settle();
    transport.say({ jsonrpc: '2.0', id: 1, result: { task: { taskId: 't' } } });
    await done;
    ask('q1');
    await settle();
    over.abort(new Error('over'));
    expect(call.signals[0]?.aborted).toBe(true);
  });

  it('has progress that names the task, without a token of ours', async () => {
    const { peer, transport } = rig();
    const call = new Ear('call');
    peer.claimTask('t', call);
    const progress = (value: number) => ({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 'theirs', progress: value, ...about('t') },
    });
    transport.say(progress(2));
    transport.say(progress(1));
    expect(call.heard).toHaveLength(1);
    expect(call.heard[0]).not.toContain('theirs');
  });
});

it('the state of a task is said to the connection, on whatever stream it comes', async () => {
  const { request, streams, events, peer } = rig('exchange');
  const call = new Ear('call');
  peer.claimTask('t', call);
  void request('tools/call', call);
  await settle();
  streams.get(1)?.say({ jsonrpc: '2.0', method: 'notifications/tasks/status', params: { taskId: 't', status: 'working', ...about('t') } });
  expect([events, call.heard]).toEqual([['notifications/tasks/status'], []]);
});
