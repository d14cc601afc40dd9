import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { JsonObject } from '../core/mcp.ts';
import type { UpstreamSnapshot, UpstreamState } from '../core/ports.ts';
import { MemoryStore } from '../store/memory.ts';
import { EraMemory } from './era-memory.ts';
import { Registry } from './registry.ts';
import { type Handlers, sampleServer } from './sample-servers.ts';
import { remote, type SampleServer, SampleTransport, sampleSettings } from './sample-transport.ts';
import type { UpstreamSettings } from './settings.ts';

const NEVER = new AbortController().signal;
const settle = async () => {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** A registry over upstreams that are functions and may be out of order. */
class Rig implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly transports: SampleTransport[] = [];
  readonly states: UpstreamState[] = [];
  readonly errors: (string | undefined)[] = [];
  readonly registry: Registry;
  changes = 0;
  handlers: Handlers = {};
  era: 'modern' | 'legacy' = 'legacy';
  /** What opening throws. */
  down: Error | undefined;
  readonly #store = new MemoryStore(this.clock);

  constructor(settings: readonly UpstreamSettings[] = [sampleSettings()]) {
    this.registry = new Registry(settings, {
      clock: this.clock,
      profile: '-',
      random: () => 0.5,
      onState: (_upstream, state, error) => {
        this.states.push(state);
        this.errors.push(error);
      },
      onEvent: () => {},
      ports: {
        clock: this.clock,
        reaper: { start: async () => {}, add: () => {}, remove: () => {} },
        environment: {},
        memory: new EraMemory(this.#store, () => {}),
        clientInfo: {},
        onStderr: () => {},
        onDropped: () => {},
        transport: ({ target }) => this.#transport(target.type === 'stdio' ? 'channel' : 'exchange'),
      },
    });
    this.registry.onChange(() => this.changes++);
  }

  get snapshot(): UpstreamSnapshot {
    const [first] = this.registry.snapshot();
    if (first === undefined) throw new Error('no upstream');
    return first;
  }

  get live(): SampleTransport[] {
    return this.transports.filter(({ opens, closes }) => opens > 0 && closes === 0);
  }

  /** What the only open transport was asked. */
  asked(method: string): number {
    return this.live.reduce((count, { sent }) => count + sent.filter((message) => message.method === method).length, 0);
  }

  async start(): Promise<void> {
    await this.registry.start(NEVER);
  }

  async pass(ms: number, step = ms): Promise<void> {
    for (let left = ms; left > 0; left -= step) {
      this.clock.advance(Math.min(step, left));
      await settle();
    }
  }

  #transport(kind: 'channel' | 'exchange'): SampleTransport {
    const serve: SampleServer = (message, stream) => sampleServer(this.era, this.handlers)(message, stream);
    const transport = new SampleTransport(kind, serve);
    const { open } = transport;
    transport.open = async (signal) => {
      await open.call(transport, signal);
      if (this.down !== undefined) throw this.down;
    };
    this.transports.push(transport);
    return transport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
    await this.#store.close();
    expect(this.live).toEqual([]);
    expect(this.clock.pending).toBe(0);
  }
}

const DOWN = new TurnpikeError('upstream/down', "upstream 'S' cannot be reached", {
  reason: 'cannot connect to http://internal.test:81/secret',
  retryable: true,
});
const names = ({ capabilities }: UpstreamSnapshot) => capabilities?.lists.tools.map(({ id }) => id);
const tools = (...found: string[]): JsonObject => ({ result: { tools: found.map((name) => ({ name })) } });
const CHANGED = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };
const ANNOUNCES = { result: { protocolVersion: '2025-11-25', capabilities: { tools: { listChanged: true } } } };

describe('states (aggregator.md section 1, "Lifecycle")', () => {
  it('starts, connects, stops; a stopped one is unlisted and stays stopped', async () => {
    const rig = new Rig();
    expect(rig.snapshot.status).toMatchObject({ state: 'stopped', restartCount: 0 });
    await rig.start();
    expect(rig.snapshot.status).toMatchObject({ state: 'connected', era: 'legacy', consecutiveFailures: 0, restartCount: 0 });
    expect(names(rig.snapshot)).toEqual(['echo']);
    await rig[Symbol.asyncDispose]();
    expect(rig.states).toEqual(['starting', 'connected', 'stopping', 'stopped']);
    expect(rig.snapshot.capabilities).toBeUndefined();
    await rig.start();
    expect(rig.states).toHaveLength(4);
  });

  it('fails transiently: retrying after 2 s, 4 s, then unreachable, still retried; back again', async () => {
    await using rig = new Rig();
    rig.down = DOWN;
    await rig.start();
    expect(rig.snapshot.status).toMatchObject({ state: 'retrying', consecutiveFailures: 1, lastError: "upstream 'S' cannot be reached" });
    expect(rig.snapshot.status.nextRetryAfter?.getTime()).toBe(rig.clock.now() + 2_000);
    expect(rig.errors.at(-1)).toContain('http://internal.test:81/secret');
    await rig.pass(2_000);
    expect(rig.snapshot.status.state).toBe('retrying');
    await rig.pass(3_999);
    expect(rig.snapshot.status.consecutiveFailures).toBe(2);
    await rig.pass(1);
    expect(rig.snapshot.status).toMatchObject({ state: 'unreachable', consecutiveFailures: 3, restartCount: 2 });
    rig.down = undefined;
    await rig.pass(8_000);
    expect(rig.snapshot.status).toMatchObject({ state: 'connected', consecutiveFailures: 3, restartCount: 3 });
    expect(rig.snapshot.status.lastError).toBeUndefined();
    await rig.pass(60_000, 30_000);
    expect(rig.snapshot.status.consecutiveFailures).toBe(0);
  });

  it('a connection that does not hold for a minute does not reset the pauses', async () => {
    await using rig = new Rig();
    await rig.start();
    for (const wait of [2_000, 4_000, 8_000]) {
      await rig.pass(1_000);
      rig.live[0]?.break(new TurnpikeError('upstream/lost', "upstream 'S' exited with code 1"));
      expect(rig.snapshot.status.lastError).toBe("upstream 'S' exited with code 1");
      expect(rig.snapshot.status.nextRetryAfter?.getTime()).toBe(rig.clock.now() + wait);
      await rig.pass(wait);
      expect(rig.snapshot.status.state).toBe('connected');
    }
    await rig.pass(60_000, 30_000);
    rig.live[0]?.break(new Error('gone'));
    expect(rig.snapshot.status.nextRetryAfter?.getTime()).toBe(rig.clock.now() + 2_000);
  });

  it('what waiting does not mend is failed, and tried again each 10 minutes', async () => {
    await using rig = new Rig([sampleSettings({ protocol: '2025-11-25' })]);
    rig.handlers = { initialize: () => ({ error: { code: -32603, message: 'look at /etc/secret and https://token@x.test/y' } }) };
    await rig.start();
    expect(rig.snapshot.status).toMatchObject({ state: 'failed', lastError: "upstream 'S' refused to initialize (code -32603)" });
    rig.handlers = {};
    await rig.pass(599_999, 300_000);
    expect(rig.snapshot.status.state).toBe('failed');
    await rig.pass(1);
    expect(rig.snapshot.status.state).toBe('connected');
  });

  it('a list that breaks the protocol is transient; a sign-in is another state', async () => {
    await using rig = new Rig();
    rig.handlers = { 'tools/list': () => ({ result: { tools: 'none' } }) };
    await rig.start();
    expect(rig.snapshot.status.state).toBe('retrying');
    rig.down = new TurnpikeError('upstream/login', "upstream 'S' asks for a sign-in", { data: { status: 401, body: { token: 'x' } } });
    await rig.pass(2_000);
    expect(rig.snapshot.status).toMatchObject({ state: 'auth_required', lastError: "upstream 'S' asks for a sign-in" });
  });

  it('a lost upstream stays listed for staleFor, whatever is tried meanwhile', async () => {
    await using rig = new Rig();
    await rig.start();
    rig.down = DOWN;
    rig.live[0]?.break(new Error('gone'));
    await rig.pass(599_000, 10_000);
    expect(names(rig.snapshot)).toEqual(['echo']);
    const { changes } = rig;
    await rig.pass(1_000);
    expect(rig.snapshot.capabilities).toBeUndefined();
    expect(rig.changes).toBeGreaterThan(changes);
  });

  it('a call that reached it brings it back at once', async () => {
    await using rig = new Rig([sampleSettings()]);
    expect(rig.states).toEqual([]);
    rig.registry.observed('S', new Error('a call that failed'));
    await settle();
    expect(rig.states).toEqual([]);
    rig.registry.observed('S');
    await settle();
    expect(rig.snapshot.status.state).toBe('connected');
    rig.live[0]?.break(new Error('gone'));
    rig.registry.observed('S');
    await settle();
    expect(rig.snapshot.status).toMatchObject({ state: 'connected', restartCount: 1 });
  });

  it('one that hangs delays no other, and stopping leaves nothing of it', async () => {
    await using rig = new Rig([sampleSettings({ name: 'H', protocol: '2025-11-25' }), sampleSettings({ name: 'S' })]);
    let first = true;
    rig.handlers = {
      initialize: () => {
        const answered = !first;
        first = false;
        return answered ? ANNOUNCES : undefined;
      },
    };
    const leaving = new AbortController();
    const starting = rig.registry.start(leaving.signal);
    await settle();
    expect(rig.registry.snapshot().map(({ status }) => status.state)).toEqual(['starting', 'connected']);
    leaving.abort(new Error('enough'));
    await starting;
    // Who waits may leave; the attempt goes on until its own deadline.
    expect(rig.registry.snapshot()[0]?.status.state).toBe('starting');
    await rig.pass(30_000);
    expect(rig.registry.snapshot()[0]?.status).toMatchObject({ state: 'retrying', lastError: 'server startup timeout after 30s' });
  });

  it('five reconnect at once', async () => {
    const many = Array.from({ length: 12 }, (_, index) => sampleSettings({ name: `u${index}`, protocol: '2025-11-25' }));
    await using rig = new Rig(many);
    await rig.start();
    rig.handlers = { initialize: () => undefined };
    for (const transport of rig.live) transport.break(new Error('gone'));
    await rig.pass(2_000);
    expect(rig.live).toHaveLength(5);
    await rig.pass(30_000);
    expect(rig.live).toHaveLength(5);
    rig.handlers = {};
  });
});

describe('probes', () => {
  const missed: Handlers = { ping: () => undefined };

  it('ask when no call did; misses degrade, the third reconnects', async () => {
    await using rig = new Rig();
    await rig.start();
    rig.handlers = missed;
    await rig.pass(35_000, 5_000);
    expect(rig.snapshot.status).toMatchObject({ state: 'degraded', lastError: "upstream 'S' did not answer within 5s" });
    rig.handlers = {};
    await rig.pass(35_000, 5_000);
    expect(rig.snapshot.status.state).toBe('connected');
    expect(rig.snapshot.status.lastError).toBeUndefined();
    rig.handlers = missed;
    await rig.pass(70_000, 5_000);
    expect(rig.snapshot.status.state).toBe('degraded');
    await rig.pass(35_000, 5_000);
    expect(rig.states.slice(-2)).not.toContain('degraded');
    expect(rig.transports).toHaveLength(2);
  });

  it('are spared by calls to a remote upstream, not by those to another process', async () => {
    for (const [target, pings] of [
      [remote('http://x.test/mcp'), 0],
      [sampleSettings().target, 2],
    ] as const) {
      await using rig = new Rig([sampleSettings({ target })]);
      await rig.start();
      for (let seconds = 0; seconds < 70; seconds += 10) {
        await rig.pass(10_000);
        rig.registry.observed('S');
      }
      expect(rig.asked('ping')).toBe(pings);
    }
  });

  it('of a modern upstream discover; an answer that is an error is an answer; interval 0 asks never', async () => {
    await using rig = new Rig();
    rig.era = 'modern';
    await rig.start();
    const before = rig.asked('server/discover');
    rig.handlers = { 'server/discover': () => ({ error: { code: -32603, message: 'busy' } }) };
    await rig.pass(30_000);
    expect(rig.asked('server/discover')).toBe(before + 1);
    expect(rig.snapshot.status.state).toBe('connected');
    await using off = new Rig([sampleSettings({ health: { interval: 0, timeout: 5_000, failures: 3, staleFor: 600_000 } })]);
    await off.start();
    await off.pass(120_000, 10_000);
    expect(off.asked('ping')).toBe(0);
  });
});

describe('changes', () => {
  it('10,000 list_changed in a second are one new list a second', async () => {
    await using rig = new Rig();
    rig.handlers = { initialize: () => ANNOUNCES };
    await rig.start();
    const before = rig.asked('tools/list');
    for (let tenth = 0; tenth < 10; tenth++) {
      for (let burst = 0; burst < 1_000; burst++) rig.live[0]?.say(CHANGED);
      await rig.pass(100);
    }
    expect(rig.asked('tools/list') - before).toBe(1);
    await rig.pass(10_000, 250);
    expect(rig.asked('tools/list') - before).toBe(2);
  });

  it('one list at a time: what comes while it is read is read after it', async () => {
    await using rig = new Rig();
    rig.handlers = { initialize: () => ANNOUNCES };
    await rig.start();
    const before = rig.asked('tools/list');
    rig.handlers = { ...rig.handlers, 'tools/list': () => undefined };
    rig.live[0]?.say(CHANGED);
    await rig.pass(250);
    rig.live[0]?.say(CHANGED);
    await rig.pass(5_000, 500);
    expect(rig.asked('tools/list') - before).toBe(1);
    rig.handlers = { ...rig.handlers, 'tools/list': () => tools('new') };
    await rig.pass(7_000, 500);
    expect(names(rig.snapshot)).toEqual(['new']);
  });

  it('whole definitions count; the same list is no change; a list that fails keeps the old one and is asked for again', async () => {
    await using rig = new Rig();
    let list = tools('a');
    rig.handlers = { initialize: () => ANNOUNCES, 'tools/list': () => list };
    await rig.start();
    const { changes } = rig;
    rig.live[0]?.say(CHANGED);
    await rig.pass(1_000, 250);
    expect(rig.changes).toBe(changes);
    list = { result: { tools: [{ name: 'a', description: 'other' }] } };
    rig.live[0]?.say(CHANGED);
    await rig.pass(1_000, 250);
    expect(rig.changes).toBe(changes + 1);
    list = { error: { code: -32603, message: 'no' } };
    rig.live[0]?.say(CHANGED);
    await rig.pass(1_000, 250);
    expect(names(rig.snapshot)).toEqual(['a']);
    expect(rig.snapshot.status.state).toBe('connected');
    list = tools('b');
    await rig.pass(2_000, 250);
    expect(names(rig.snapshot)).toEqual(['b']);
  });

  it('who announces nothing is asked each 5 minutes', async () => {
    await using rig = new Rig([sampleSettings({ health: { interval: 0, timeout: 5_000, failures: 3, staleFor: 600_000 } })]);
    await rig.start();
    rig.handlers = { 'tools/list': () => tools('later') };
    await rig.pass(299_000, 10_000);
    expect(names(rig.snapshot)).toEqual(['echo']);
    await rig.pass(2_000, 250);
    expect(names(rig.snapshot)).toEqual(['later']);
  });

  it('a modern upstream is listened to, again after the stream broke, and what changed meanwhile is read', async () => {
    await using rig = new Rig([sampleSettings({ target: remote('http://x.test/mcp') })]);
    rig.era = 'modern';
    const listens: JsonObject[] = [];
    let ends: (() => JsonObject) | undefined;
    rig.handlers = {
      'server/discover': () => ({ result: { supportedVersions: ['2026-07-28'], capabilities: { tools: { listChanged: true }, prompts: {} } } }),
      'subscriptions/listen': (params) => {
        listens.push(params);
        return ends?.();
      },
    };
    ends = () => ({ result: { resultType: 'complete' } });
    await rig.start();
    await settle();
    expect(listens.map(({ notifications }) => notifications)).toEqual([{ toolsListChanged: true }]);
    ends = undefined;
    await rig.pass(2_000);
    expect(listens).toHaveLength(2);
    expect(rig.snapshot.status.state).toBe('connected');
  });

  it('a list of another kind that fails at the start is asked for again, and keeps nothing from the others', async () => {
    await using rig = new Rig();
    let prompts: JsonObject = { error: { code: -32603, message: 'not now' } };
    rig.handlers = {
      initialize: () => ({ result: { protocolVersion: '2025-11-25', capabilities: { tools: {}, prompts: {} } } }),
      'prompts/list': () => prompts,
    };
    await rig.start();
    expect(rig.snapshot.status.state).toBe('connected');
    prompts = { result: { prompts: [{ name: 'p' }] } };
    await rig.pass(3_000, 500);
    expect(rig.snapshot.capabilities?.lists.prompts.map(({ id }) => id)).toEqual(['p']);
  });
});

describe('an upstream whose callers find another era', () => {
  it('is listed anew in that', async () => {
    await using rig = new Rig();
    await rig.start();
    rig.era = 'modern';
    const link = await rig.registry.connector('S').connect('-', NEVER);
    expect(link.era).toBe('modern');
    rig.registry.observed('S');
    await rig.pass(2_000);
    expect(rig.snapshot.status).toMatchObject({ state: 'connected', era: 'modern' });
    await link.close();
  });
});
