import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { JsonObject } from '../core/mcp.ts';
import { Secret } from '../core/secret.ts';
import { MemoryStore } from '../store/memory.ts';
import { Connector } from './connect.ts';
import { EraMemory } from './era-memory.ts';
import { isLasting, operatorText, statusText } from './failure.ts';
import { HttpFailure } from './http/http-failure.ts';
import { ofFailure, ofStatus } from './http/upstream-errors.ts';
import { sampleServer } from './sample-servers.ts';
import { remote, type SampleServer, SampleTransport, sampleSettings } from './sample-transport.ts';
import type { UpstreamSettings } from './settings.ts';

const NEVER = new AbortController().signal;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const HTTP = remote('http://x.test/mcp');

function rig(server: SampleServer | (() => SampleServer), overrides: Partial<UpstreamSettings> = {}) {
  const clock = new ManualClock();
  const transports: SampleTransport[] = [];
  const store = new MemoryStore(clock);
  const memory = new EraMemory(store, () => {});
  const settings = sampleSettings(overrides);
  const connector = new Connector(settings, {
    clock,
    reaper: { start: async () => {}, add: () => {}, remove: () => {} },
    environment: {},
    memory,
    clientInfo: { name: 'turnpike', version: '1' },
    onStderr: () => {},
    onDropped: () => {},
    transport: ({ target }) => {
      const made = server.length === 0 ? (server as () => SampleServer)() : (server as SampleServer);
      const transport = new SampleTransport(target.type === 'stdio' ? 'channel' : 'exchange', made);
      transports.push(transport);
      return transport;
    },
  });
  const methods = () => transports.map(({ sent }) => sent.map(({ method }) => method));
  const closed = () => transports.every(({ closes }) => closes === 1);
  /** Timers that are left; the store's own sweep is none of ours. */
  const timers = async () => {
    await store.close();
    return clock.pending;
  };
  return { clock, transports, connector, memory, settings, methods, closed, timers };
}

/** A legacy upstream that takes `server/discover` in a way of its own. */
function taking(discover: (stream: Parameters<SampleServer>[1], id: unknown) => void): SampleServer {
  const legacy = sampleServer('legacy');
  return (message, stream) => (message.method === 'server/discover' ? discover(stream, message.id) : legacy(message, stream));
}

const failing = (status: number) =>
  taking((stream) => stream.end(ofStatus('S', { status, headers: {}, body: Buffer.alloc(0), inSession: false, secrets: [] })));
const error = (code: number, data?: unknown) => taking((stream, id) => stream.say({ jsonrpc: '2.0', id, error: { code, message: 'no', data } }));
const result = (value: JsonObject) => taking((stream, id) => stream.say({ jsonrpc: '2.0', id, result: value }));

describe('the verdict about the era (protocol.md section 4)', () => {
  const cases: readonly (readonly [string, SampleServer, 'modern' | 'legacy' | 'none'])[] = [
    ['a discover result', result({ supportedVersions: ['2026-07-28'], capabilities: {} }), 'modern'],
    ['a result without our version', result({ supportedVersions: ['2099-01-01'] }), 'legacy'],
    ['a result that is something else', result({}), 'legacy'],
    ['-32020', error(-32020), 'modern'],
    ['-32021', error(-32021), 'modern'],
    ['-32022 that lists ours', error(-32022, { supported: ['2026-07-28'] }), 'modern'],
    ['-32022 that lists others', error(-32022, { supported: ['2025-11-25'] }), 'legacy'],
    ['-32022 without a list', error(-32022), 'legacy'],
    ['-32601', error(-32601), 'legacy'],
    ['-32000', error(-32000), 'legacy'],
    ...[400, 404, 405, 406, 415].map((status) => [`status ${status}`, failing(status), 'legacy'] as const),
    ...[401, 403, 407, 408, 429, 500, 503].map((status) => [`status ${status}`, failing(status), 'none'] as const),
    ['a network that fails', taking((stream) => stream.end(new TurnpikeError('upstream/down', 'x', { retryable: true }))), 'none'],
  ];
  for (const [what, server, verdict] of cases) {
    it(`over HTTP, ${what}: ${verdict}`, async () => {
      const { connector, memory, settings, methods, closed, timers } = rig(server, { target: HTTP });
      const attempt = connector.connect('-', NEVER);
      if (verdict === 'none') {
        await expect(attempt).rejects.toBeInstanceOf(TurnpikeError);
        expect(await memory.recall(settings, NEVER)).toBeUndefined();
        expect(methods().flat()).not.toContain('initialize');
        expect(closed()).toBe(true);
      } else {
        const link = await attempt;
        expect(link.era).toBe(verdict);
        expect(await memory.recall(settings, NEVER)).toBe(verdict);
        if (verdict === 'modern') expect(link.capabilities.tools === undefined).toBe(what === 'a discover result');
        await link.close();
      }
      expect(await timers()).toBe(0);
    });
  }

  it('a child that answers with any error is initialized in place; a silent one is started again after 3 s', async () => {
    const same = rig(error(-32601));
    expect((await same.connector.connect('-', NEVER)).era).toBe('legacy');
    expect(same.transports).toHaveLength(1);
    const silent = rig(taking(() => {}));
    const attempt = silent.connector.connect('-', NEVER);
    await settle();
    silent.clock.advance(2_999);
    await settle();
    expect(silent.transports).toHaveLength(1);
    silent.clock.advance(1);
    expect((await attempt).era).toBe('legacy');
    expect(silent.methods()).toEqual([
      ['server/discover', 'notifications/cancelled'],
      ['initialize', 'notifications/initialized'],
    ]);
    expect(silent.transports[0]?.closes).toBe(1);
    expect((await silent.connector.connect('-', NEVER)).era).toBe('legacy');
    expect(silent.methods()[2]).toEqual(['initialize', 'notifications/initialized']);
    expect(await silent.timers()).toBe(0);
  });

  it('a child known to be modern may take longer', async () => {
    let answer: (() => void) | undefined;
    const slow: SampleServer = (message, stream) => {
      answer = () => sampleServer('modern')(message, stream);
    };
    const { connector, memory, settings, clock, transports } = rig(slow);
    await memory.remember(settings, 'modern', NEVER);
    const attempt = connector.connect('-', NEVER);
    await settle();
    clock.advance(20_000);
    await settle();
    answer?.();
    expect((await attempt).era).toBe('modern');
    expect(transports).toHaveLength(1);
  });

  it('a protocol that is configured is not asked for', async () => {
    const legacy = rig(sampleServer('legacy'), { protocol: '2025-06-18' });
    await legacy.connector.connect('f', NEVER);
    expect(legacy.transports[0]?.sent[0]).toMatchObject({
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: { elicitation: {} } },
    });
    const modern = rig(error(-32601), { protocol: '2026-07-28' });
    await expect(modern.connector.connect('-', NEVER)).rejects.toMatchObject({ message: "upstream 'S' does not speak 2026-07-28" });
    expect(modern.closed()).toBe(true);
  });

  it('a legacy verdict that is contradicted is asked again, in one connect; one that is only down is kept', async () => {
    const { connector, memory, settings, methods } = rig(sampleServer('modern'), { target: HTTP });
    await memory.remember(settings, 'legacy', NEVER);
    expect((await connector.connect('-', NEVER)).era).toBe('modern');
    expect(methods()).toEqual([['initialize'], ['server/discover']]);
    expect(await memory.recall(settings, NEVER)).toBe('modern');
    const down = rig((_message, stream) => stream.end(new TurnpikeError('upstream/down', 'x')), { target: HTTP });
    await down.memory.remember(down.settings, 'legacy', NEVER);
    await expect(down.connector.connect('-', NEVER)).rejects.toMatchObject({ code: 'upstream/down' });
    expect(await down.memory.recall(down.settings, NEVER)).toBe('legacy');
  });

  it('a legacy verdict lasts a day; another address is another upstream', async () => {
    const { memory, settings, clock } = rig(sampleServer('legacy'), { target: HTTP });
    await memory.remember(settings, 'legacy', NEVER);
    expect(await memory.recall(sampleSettings({ target: remote('http://other.test/mcp') }), NEVER)).toBeUndefined();
    clock.advance(24 * 3_600_000 - 1);
    expect(await memory.recall(settings, NEVER)).toBe('legacy');
    clock.advance(1);
    expect(await memory.recall(settings, NEVER)).toBeUndefined();
    await memory.remember(settings, 'modern', NEVER);
    clock.advance(365 * 24 * 3_600_000);
    expect(await memory.recall(settings, NEVER)).toBe('modern');
  });

  it('a store that fails costs a probe, not the connection', async () => {
    const failures: unknown[] = [];
    const broken = async () => Promise.reject(new Error('disk'));
    const memory = new EraMemory({ get: broken, set: broken, delete: broken }, (thrown) => failures.push(thrown));
    expect(await memory.recall(sampleSettings(), NEVER)).toBeUndefined();
    await memory.remember(sampleSettings(), 'legacy', NEVER);
    await memory.forget(sampleSettings(), NEVER);
    expect(failures).toHaveLength(3);
  });
});

describe('an attempt that ends early leaves nothing', () => {
  it('at the deadline, with its text; when its caller leaves, with the caller’s reason', async () => {
    for (const target of [HTTP, sampleSettings().target]) {
      const late = rig(() => () => {}, { target, protocol: '2025-11-25' });
      const attempt = late.connector.connect('-', NEVER).catch((thrown: unknown) => thrown);
      await settle();
      late.clock.advance(30_000);
      expect(await attempt).toMatchObject({ code: 'upstream/timeout', message: 'server startup timeout after 30s' });
      const left = rig(() => () => {}, { target });
      const client = new AbortController();
      const leaving = left.connector.connect('-', client.signal);
      await settle();
      client.abort(new Error('gone'));
      await expect(leaving).rejects.toThrow('gone');
      for (const { closed, timers, transports } of [late, left]) {
        expect(closed()).toBe(true);
        expect(transports.every(({ streams }) => streams === 0)).toBe(true);
        expect(await timers()).toBe(0);
      }
    }
  });
});

describe('endpoints', () => {
  const endpoint = (url: string, priority: number) => ({ url, type: 'streamable-http' as const, priority, weight: 1 });

  it('only what certainly reached nobody moves on to the next', async () => {
    for (const [sent, attempts] of [
      [false, 2],
      [true, 1],
    ] as const) {
      let first = true;
      const gone = ofFailure('S', new HttpFailure(sent ? 'reset' : 'connect', sent, 'x.test refused'));
      const server = () => {
        const serve: SampleServer = first ? (_message, stream) => stream.end(gone) : sampleServer('modern');
        first = false;
        return serve;
      };
      const target = { type: 'remote' as const, endpoints: [endpoint('http://a.test/', 0), endpoint('http://b.test/', 1)], headers: {} };
      const { connector, transports } = rig(server, { target });
      const attempt = connector.connect('-', NEVER);
      if (sent) await expect(attempt).rejects.toMatchObject({ code: 'upstream/lost' });
      else expect((await attempt).era).toBe('modern');
      expect(transports).toHaveLength(attempts);
    }
  });
});

describe('what is said about a failure', () => {
  it('to everybody: no URL, no path, nothing that the upstream wrote', () => {
    const body = Buffer.from('{"error":"token sk-123 in /etc/x at https://y.test"}');
    const status = ofStatus('S', { status: 500, headers: {}, body, inSession: false, secrets: [] });
    expect(statusText('S', status)).toBe("upstream 'S' answered with status 500");
    const redirect = ofFailure('S', new HttpFailure('redirect', true, 'redirects to internal.test (status 302)', { status: 302 }));
    expect(statusText('S', redirect)).toBe("upstream 'S' answered with status 302");
    expect(statusText('S', new TurnpikeError('upstream/down', "see http://a.test/b?c=d and '/var/lib/x' or ~/y"))).toBe("see … and '… or …");
    expect(statusText('S', new Error('/secret/path'))).toBe('Internal error.');
    expect(operatorText(new TurnpikeError('upstream/down', 'not started', { reason: 'command /bin/x' }))).toBe('not started: command /bin/x');
  });

  it('what waiting does not mend', () => {
    const down = (cause: unknown) => new TurnpikeError('upstream/down', 'x', { cause });
    expect(isLasting(down(new HttpFailure('tls', false, 'x')))).toBe(true);
    expect(isLasting(down(Object.assign(new Error('x'), { code: 'ENOENT' })))).toBe(true);
    expect(isLasting(new TurnpikeError('config/invalid', 'secret missing'))).toBe(true);
    for (const cause of [
      new HttpFailure('connect', false, 'x'),
      new HttpFailure('dns', false, 'x'),
      Object.assign(new Error('x'), { code: 'EAGAIN' }),
    ]) {
      expect(isLasting(down(cause))).toBe(false);
    }
    expect(isLasting(new TurnpikeError('upstream/protocol', 'garbage'))).toBe(false);
    expect(isLasting(new TurnpikeError('upstream/lost', 'exited with code 1'))).toBe(false);
  });

  it('a secret in the settings is never in the memory’s key', async () => {
    const keys: string[] = [];
    const get = async (_space: string, id: string) => {
      keys.push(id);
      return undefined;
    };
    const memory = new EraMemory({ get, set: async () => true, delete: async () => true }, () => {});
    const target = (value: string) => ({ ...sampleSettings().target, env: { TOKEN: new Secret(value) } }) as UpstreamSettings['target'];
    await memory.recall(sampleSettings({ target: target('one') }), NEVER);
    await memory.recall(sampleSettings({ target: target('two') }), NEVER);
    expect(keys[0]).toBe(keys[1]);
  });
});
