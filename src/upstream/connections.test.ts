import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Caller } from '../core/caller.ts';
import { Fingerprinter } from '../core/fingerprinter.ts';
import { toJson } from '../core/json.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { Era, JsonObject } from '../core/mcp.ts';
import type { ConnectionLease, ConnectionOwner } from '../core/ports.ts';
import { MemoryStore } from '../store/memory.ts';
import { Connector } from './connect.ts';
import { Connections } from './connections.ts';
import { EraMemory } from './era-memory.ts';
import { ownCall } from './own-call.ts';
import { capabilitiesOf } from './profile.ts';
import { type Handlers, sampleServer } from './sample-servers.ts';
import { remote, SampleTransport, sampleSettings } from './sample-transport.ts';
import type { UpstreamSettings } from './settings.ts';

const NEVER = new AbortController().signal;

interface Options {
  readonly handlers?: Handlers;
  readonly limits?: { readonly total: number; readonly perPrincipal: number; readonly stdio: number };
}

/** A pool over connectors whose transports are functions. */
class Rig implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly transports: SampleTransport[] = [];
  readonly eras: Era[] = [];
  readonly observed: [string, unknown][] = [];
  readonly connections: Connections;
  readonly #store = new MemoryStore(this.clock);
  era: Era = 'legacy';

  constructor(settings: readonly UpstreamSettings[], { handlers = {}, limits = { total: 512, perPrincipal: 32, stdio: 64 } }: Options = {}) {
    const connectors = new Map(
      settings.map((one) => {
        const connector = new Connector(one, {
          clock: this.clock,
          reaper: { start: async () => {}, add: () => {}, remove: () => {} },
          environment: {},
          memory: new EraMemory(this.#store, () => {}),
          clientInfo: { name: 'turnpike', version: '1' },
          onStderr: () => {},
          onDropped: () => {},
          transport: ({ target }) => {
            const transport = new SampleTransport(target.type === 'stdio' ? 'channel' : 'exchange', sampleServer(this.era, handlers));
            this.transports.push(transport);
            return transport;
          },
        });
        return [one.name, connector] as const;
      }),
    );
    this.connections = new Connections({
      clock: this.clock,
      fingerprint: new Fingerprinter(Buffer.alloc(32, 1)),
      limits,
      idleTimeout: 1_800_000,
      cleanupInterval: 300_000,
      closeDelay: 60_000,
      eraOf: () => undefined,
      connector: (name) => {
        const connector = connectors.get(name);
        if (connector === undefined) throw new Error(`no ${name}`);
        return connector;
      },
      onConnect: (upstream, error) => this.observed.push([upstream, error]),
    });
  }

  async lease(caller: Caller, profile = '-', upstream = 'S', owner?: ConnectionOwner): Promise<ConnectionLease> {
    return this.connections.lease(upstream, caller, profile, NEVER, owner);
  }

  /** The transports that are open. */
  get live(): SampleTransport[] {
    return this.transports.filter(({ opens, closes }) => opens > 0 && closes === 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connections.drain(AbortSignal.abort());
    await this.#store.close();
    expect(this.live).toEqual([]);
    expect(this.clock.pending).toBe(0);
  }
}

function callerOf(subject: string, sessionId?: string, tenant = subject): Caller {
  return { principal: { issuer: 'static', subject }, tenant, scopes: new Set(), ...(sessionId === undefined ? {} : { sessionId }) };
}

const capabilitiesIn = (transport: SampleTransport | undefined) => {
  const initialize = transport?.sent.find(({ method }) => method === 'initialize');
  return (initialize?.params as JsonObject | undefined)?.capabilities;
};

describe('whose a connection is (aggregator.md acceptance 26 to 28)', () => {
  it('a session has its own, its principal’s other session another', async () => {
    await using rig = new Rig([sampleSettings()]);
    const [one, same, other] = [await rig.lease(callerOf('a', 's1')), await rig.lease(callerOf('a', 's1')), await rig.lease(callerOf('a', 's2'))];
    expect(one.connection).toBe(same.connection);
    expect(other.connection).not.toBe(one.connection);
  });

  it('outside any call roots are those of the configuration', async () => {
    const roots = [{ uri: 'file:///srv/docs', name: 'docs' }];
    await using rig = new Rig([sampleSettings({ roots })]);
    await rig.lease(callerOf('a'), 'r');
    rig.transports[0]?.say({ jsonrpc: '2.0', id: 9, method: 'roots/list' });
    rig.transports[0]?.say({ jsonrpc: '2.0', id: 10, method: 'sampling/createMessage', params: {} });
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.transports[0]?.sent.slice(-2)).toMatchObject([
      { id: 9, result: { roots } },
      { id: 10, error: { code: -32600 } },
    ]);
  });

  it('stateless callers: one per principal; shared: one for all, unless it may ask its client something', async () => {
    await using rig = new Rig([sampleSettings(), sampleSettings({ name: 'T', sharing: 'shared' })]);
    const leases = await Promise.all(['a', 'a', 'b'].map((subject) => rig.lease(callerOf(subject))));
    expect(new Set(leases.map(({ connection }) => connection)).size).toBe(2);
    const shared = await Promise.all(['a', 'b', 'c'].map((subject) => rig.lease(callerOf(subject, `s-${subject}`), '-', 'T')));
    expect(new Set(shared.map(({ connection }) => connection)).size).toBe(1);
    const asking = await Promise.all(['a', 'b'].map((subject) => rig.lease(callerOf(subject), 'fs', 'T')));
    expect(new Set([...shared, ...asking].map(({ connection }) => connection)).size).toBe(3);
  });

  it('20 simultaneous calls of one session open one', async () => {
    await using rig = new Rig([sampleSettings()]);
    const leases = await Promise.all(Array.from({ length: 20 }, () => rig.lease(callerOf('a', 's1'))));
    expect(new Set(leases.map(({ connection }) => connection)).size).toBe(1);
    expect(rig.live).toHaveLength(1);
  });
});

describe('an upstream that is not of the era its key was made for', () => {
  it('a session never gets into the place that modern connections share', async () => {
    await using rig = new Rig([sampleSettings({ target: remote('http://x.test/mcp') })]);
    rig.era = 'modern';
    // The first one is made before the era is known.
    await rig.lease(callerOf('z'));
    const shared = await Promise.all(['a', 'b'].map((subject) => rig.lease(callerOf(subject, `s-${subject}`))));
    expect(shared[0]?.connection).toBe(shared[1]?.connection);
    await shared[0]?.connection.close();
    rig.era = 'legacy';
    const [a, b] = await Promise.all([rig.lease(callerOf('a', 's1')), rig.lease(callerOf('b', 's2'))]);
    expect([a.connection.era, b.connection.era]).toEqual(['legacy', 'legacy']);
    expect(a.connection).not.toBe(b.connection);
  });
});

describe('sessions', () => {
  it('ending one closes exactly its connections, at once, also under a lease', async () => {
    await using rig = new Rig([sampleSettings(), sampleSettings({ name: 'T' }), sampleSettings({ name: 'U', sharing: 'principal' })]);
    const mine = [await rig.lease(callerOf('a', 's1')), await rig.lease(callerOf('a', 's1'), 'f'), await rig.lease(callerOf('a', 's1'), '-', 'T')];
    const others = [await rig.lease(callerOf('a', 's2')), await rig.lease(callerOf('b', 's11')), await rig.lease(callerOf('a', 's1'), '-', 'U')];
    await rig.connections.endSession('s1');
    expect(mine.map(({ connection, ended }) => [connection.alive, ended.aborted])).toEqual([
      [false, true],
      [false, true],
      [false, true],
    ]);
    expect(others.every(({ connection, ended }) => connection.alive && !ended.aborted)).toBe(true);
    await expect(mine[0]?.connection.request(ownCall('ping', toJson({}), NEVER))).rejects.toMatchObject({ code: 'upstream/down' });
  });

  it('what an upstream says outside calls reaches the owner of a session’s own connection, of no other', async () => {
    await using rig = new Rig([sampleSettings(), sampleSettings({ name: 'T', sharing: 'principal' })]);
    const heard: string[] = [];
    const owner: ConnectionOwner = {
      request: async (method) => ({ kind: 'result', result: toJson({ of: method }) }),
      notification: (method) => heard.push(method),
    };
    await rig.lease(callerOf('a', 's1'), 'r', 'S', owner);
    await rig.lease(callerOf('a', 's1'), 'r', 'T', owner);
    const [own, wider] = rig.transports;
    for (const transport of [own, wider]) {
      transport?.say({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'x:' } });
      transport?.say({ jsonrpc: '2.0', id: 9, method: 'roots/list' });
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual(['notifications/resources/updated']);
    expect(own?.sent.at(-1)).toMatchObject({ id: 9, result: { of: 'roots/list' } });
    expect(wider?.sent.at(-1)).toMatchObject({ id: 9, result: { roots: [] } });
    await rig.connections.notifySession('s1', 'notifications/roots/list_changed', toJson({}));
    expect([own, wider].map((transport) => transport?.sent.at(-1)?.method)).toEqual(['notifications/roots/list_changed', undefined]);
  });
});

describe('a connection that was silent for over a minute', () => {
  const silent: Handlers = { ping: () => undefined };

  it('is asked first, once for all who wait', async () => {
    await using rig = new Rig([sampleSettings()]);
    const first = await rig.lease(callerOf('a', 's1'));
    first.release('ok');
    const pings = () => rig.transports[0]?.sent.filter(({ method }) => method === 'ping').length;
    rig.clock.advance(59_000);
    (await rig.lease(callerOf('a', 's1'))).release('ok');
    expect(pings()).toBe(0);
    rig.clock.advance(2_000);
    const leases = await Promise.all([1, 2, 3].map(() => rig.lease(callerOf('a', 's1'))));
    expect(pings()).toBe(1);
    expect(leases.every(({ connection }) => connection === first.connection)).toBe(true);
  });

  it('is replaced when it does not answer', async () => {
    await using rig = new Rig([sampleSettings()], { handlers: silent });
    const first = await rig.lease(callerOf('a', 's1'));
    first.release('ok');
    rig.clock.advance(61_000);
    const next = rig.lease(callerOf('a', 's1'));
    await new Promise((resolve) => setImmediate(resolve));
    rig.clock.advance(5_000);
    const second = await next;
    expect(second.connection).not.toBe(first.connection);
    expect(first.connection.alive).toBe(false);
  });
});

describe('calls that wait for input on a connection that serves one at a time', () => {
  const unanswered = (signal: AbortSignal) => new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const RELAY = { notification: () => {}, request: (_method: string, _params: Buffer, signal: AbortSignal) => unanswered(signal) };
  const ask = (id: number) => ({ jsonrpc: '2.0', id, method: 'elicitation/create', params: { message: 'm' } });

  /** Two calls whose upstream asks, so that the connection turns serial and one of them waits. */
  async function occupy(rig: Rig, profile = 'f'): Promise<ConnectionLease> {
    const lease = await rig.lease(callerOf('a'), profile);
    const call = { ...ownCall('tools/call', toJson({ name: 'slow' }), NEVER), relay: RELAY };
    for (let calls = 0; calls < 2; calls++) lease.connection.request(call).catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    rig.transports.at(-1)?.say(ask(1));
    await new Promise((resolve) => setImmediate(resolve));
    return lease;
  }

  it('the next caller gets a sibling, four in all, and the first one again when it is free', async () => {
    await using rig = new Rig([sampleSettings()], { handlers: { 'tools/call': () => undefined } });
    const leases = [await occupy(rig), await occupy(rig), await occupy(rig), await occupy(rig)];
    expect(new Set(leases.map(({ connection }) => connection)).size).toBe(4);
    expect(rig.transports.map(capabilitiesIn)).toEqual(new Array(4).fill({ elicitation: { form: {} } }));
    await expect(rig.lease(callerOf('a'), 'f')).rejects.toMatchObject({
      code: 'upstream/capacity',
      message: "too many calls of this caller wait for input at upstream 'S' (limit 4)",
      details: { upstream: 'S', retryable: true },
    });
    // Somebody else, and another profile, are not kept from anything.
    expect((await rig.lease(callerOf('b'), 'f')).connection).not.toBe(leases[0]?.connection);
    await rig.lease(callerOf('a'), 's');
    rig.transports[1]?.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    await new Promise((resolve) => setImmediate(resolve));
    expect((await rig.lease(callerOf('a'), 'f')).connection).toBe(leases[1]?.connection);
  });
});

describe('profiles of a caller without a session (protocol.md section 10)', () => {
  it('are four at one upstream: the least used idle connection gives way', async () => {
    await using rig = new Rig([sampleSettings()]);
    const leases = new Map<string, ConnectionLease>();
    for (const profile of ['f', 's', 'r', 'fs']) {
      const lease = await rig.lease(callerOf('a'), profile);
      leases.set(profile, lease);
      if (profile !== 'f') lease.release('ok');
      rig.clock.advance(10);
    }
    (await rig.lease(callerOf('a'), 's')).release('ok');
    const fifth = await rig.lease(callerOf('a'), 'fr');
    expect(fifth.connection.alive).toBe(true);
    expect(['f', 's', 'r', 'fs'].map((profile) => leases.get(profile)?.connection.alive)).toEqual([true, true, false, true]);
    // Sessions have one profile each, however many they are.
    for (let session = 0; session < 6; session++) await rig.lease(callerOf('a', `s${session}`), 'f');
  });
});

describe('caps and ends, in the words of upstreams', () => {
  it('a full pool', async () => {
    await using rig = new Rig([sampleSettings({ pool: { idleTimeout: 1e6, maxErrorCount: 10, closeDelay: 1e3, maxConnections: 2 } })]);
    await rig.lease(callerOf('a'));
    await rig.lease(callerOf('b'));
    const third = rig.lease(callerOf('c')).catch((error: unknown) => error);
    await rig.clock.advanceAsync(10_000, 1_000);
    expect(await third).toMatchObject({
      code: 'upstream/capacity',
      message: "connection limit reached for upstream 'S' (limit 2); retry later",
      details: { retryable: true, upstream: 'S' },
    });
  });

  it('a lost connection is replaced at the next call, a failed open is told', async () => {
    await using rig = new Rig([sampleSettings({ protocol: '2025-11-25' })], {
      handlers: { initialize: (_params, _message) => (rig.era === 'legacy' ? INITIALIZED : { error: { code: -32603, message: 'path /secret' } }) },
    });
    const first = await rig.lease(callerOf('a'));
    rig.transports[0]?.break(new Error('gone'));
    rig.era = 'modern';
    await expect(rig.lease(callerOf('a'))).rejects.toMatchObject({
      code: 'upstream/protocol',
      message: "upstream 'S' refused to initialize (code -32603)",
    });
    rig.era = 'legacy';
    expect((await rig.lease(callerOf('a'))).connection).not.toBe(first.connection);
    expect(rig.observed.map(([, error]) => error !== undefined)).toEqual([false, true, false]);
  });
});

const INITIALIZED = { result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} } };

/** Security class 7, against an account of its own: who was ever on one connection together, and might they? */
describe('two callers share a connection only where the rules say so', () => {
  const who = fc.record({
    subject: fc.constantFrom('a', 'b', 'a:b'),
    tenant: fc.constantFrom('t1', 't2'),
    session: fc.constantFrom(undefined, 1, 2),
    profile: fc.constantFrom('-', 'f', 'fs'),
    upstream: fc.nat(5),
  });
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('lease' as const), who }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), lease: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('break' as const), transport: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), who }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('flip' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 100_000 }) }) },
  );
  const SHARINGS = ['session', 'principal', 'shared'] as const;
  const upstreams = SHARINGS.flatMap((sharing) => [
    sampleSettings({ name: `pipe-${sharing}`, sharing }),
    sampleSettings({ name: `http-${sharing}`, sharing, target: remote('http://x.test/mcp') }),
  ]);

  interface Use {
    readonly caller: Caller;
    readonly profile: string;
    readonly settings: UpstreamSettings;
  }

  function mayShare(one: Use, other: Use, era: Era): boolean {
    if (one.settings !== other.settings) return false;
    if (era === 'modern' && one.settings.target.type === 'remote') return true;
    const asksNobody = era === 'modern' || (one.profile === '-' && other.profile === '-');
    if (one.settings.sharing === 'shared' && asksNobody) return true;
    const [a, b] = [one.caller, other.caller];
    const samePerson = a.principal.subject === b.principal.subject && a.tenant === b.tenant && a.principal.issuer === b.principal.issuer;
    if (!samePerson || (era === 'legacy' && one.profile !== other.profile)) return false;
    return one.settings.sharing !== 'session' || a.sessionId === b.sessionId;
  }

  it('under any order of leases, releases, losses, ends and changes of era', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        await using rig = new Rig(upstreams);
        const uses = new Map<ConnectionLease['connection'], Use[]>();
        const leases: { readonly lease: ConnectionLease; readonly use: Use }[] = [];
        const callerIn = ({ subject, tenant, session }: { subject: string; tenant: string; session: number | undefined }) =>
          callerOf(subject, session === undefined ? undefined : `${subject}/${tenant}/${session}`, tenant);
        for (const one of steps) {
          if (one.do === 'flip') rig.era = rig.era === 'modern' ? 'legacy' : 'modern';
          else if (one.do === 'wait') await rig.clock.advanceAsync(one.ms, 10_000);
          else if (one.do === 'break') rig.live[one.transport]?.break(new Error('gone'));
          else if (one.do === 'release') leases.splice(one.lease, 1)[0]?.lease.release('ok');
          else if (one.do === 'end') {
            const { sessionId } = callerIn(one.who);
            if (sessionId === undefined) continue;
            const before = leases.filter(({ lease }) => lease.connection.alive);
            await rig.connections.endSession(sessionId);
            for (const { lease, use } of before) {
              const wasItsOwn =
                use.settings.sharing === 'session' &&
                use.caller.sessionId === sessionId &&
                !(uses.get(lease.connection) ?? []).some(({ caller }) => caller.sessionId !== sessionId);
              if (!lease.connection.alive) expect(use.caller.sessionId).toBe(sessionId);
              else if (wasItsOwn) expect(lease.connection.era).toBe('modern');
            }
          } else {
            const settings = upstreams[one.who.upstream];
            if (settings === undefined) continue;
            const use: Use = { caller: callerIn(one.who), profile: one.who.profile, settings };
            const lease = await rig.lease(use.caller, use.profile, settings.name);
            leases.push({ lease, use });
            const known = uses.get(lease.connection) ?? [];
            for (const other of known) expect(mayShare(use, other, lease.connection.era)).toBe(true);
            uses.set(lease.connection, [...known, use]);
            expect(lease.connection.alive).toBe(true);
          }
        }
        // A session upstream was told exactly what those who use it can do.
        for (const [connection, users] of uses) {
          if (connection.era !== 'legacy') continue;
          const { transport } = connection as unknown as { transport: SampleTransport };
          for (const { profile } of users) expect(capabilitiesIn(transport)).toEqual(capabilitiesOf(profile, '2025-11-25'));
        }
        for (const { lease } of leases) lease.release('ok');
      }),
      { numRuns: 120 },
    );
  });
});
