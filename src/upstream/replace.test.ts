import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Caller } from '../core/caller.ts';
import { TurnpikeError } from '../core/errors.ts';
import { Fingerprinter } from '../core/fingerprinter.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { ConnectionLease } from '../core/ports.ts';
import { Secret } from '../core/secret.ts';
import { MemoryStore } from '../store/memory.ts';
import { Link } from './connection.ts';
import { Connections } from './connections.ts';
import { EraMemory } from './era-memory.ts';
import { Registry } from './registry.ts';
import { sampleServer } from './sample-servers.ts';
import { remote, SampleTransport, sampleSettings } from './sample-transport.ts';
import { needsReconnect, type UpstreamSettings } from './settings.ts';

const NEVER = new AbortController().signal;
const settle = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};
const caller = (subject: string, sessionId?: string): Caller => ({
  principal: { issuer: 'static', subject },
  tenant: 'default',
  scopes: new Set(),
  ...(sessionId === undefined ? {} : { sessionId }),
});
const named = (name: string, more: Partial<UpstreamSettings> = {}) => sampleSettings({ name, ...more });
const command = (text: string): Partial<UpstreamSettings> => ({
  target: { type: 'stdio', command: text, args: [], env: {}, cwd: '/', allowUnsafeEnv: false },
});

/** A registry and the callers' connections, wired as the gateway does it. The tool that an upstream lists is called after its command. */
class Rig implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly transports: { readonly name: string; readonly tool: string; readonly transport: SampleTransport }[] = [];
  readonly registry: Registry;
  readonly connections: Connections;
  readonly told: string[] = [];
  era: 'modern' | 'legacy' = 'legacy';
  down = false;
  /** Opening never ends. */
  hangs = false;
  readonly #store = new MemoryStore(this.clock);

  constructor(settings: readonly UpstreamSettings[]) {
    this.registry = new Registry(settings, {
      clock: this.clock,
      profile: '-',
      onState: () => {},
      onEvent: () => {},
      ports: {
        clock: this.clock,
        reaper: { start: async () => {}, add: () => {}, remove: () => {} },
        environment: {},
        memory: new EraMemory(this.#store, () => {}),
        clientInfo: {},
        onStderr: () => {},
        onDropped: () => {},
        transport: (of) => this.#transport(of),
      },
    });
    this.registry.onChange((upstream) => this.told.push(upstream));
    this.connections = new Connections({
      clock: this.clock,
      fingerprint: new Fingerprinter(Buffer.alloc(32, 1)),
      limits: { total: 512, perPrincipal: 32, stdio: 64 },
      idleTimeout: 1_800_000,
      cleanupInterval: 300_000,
      closeDelay: 60_000,
      eraOf: (upstream) => this.registry.eraOf(upstream),
      connector: (upstream) => this.registry.connector(upstream),
      ownLink: (upstream) => this.registry.ownLink(upstream),
      onConnect: (upstream, error) => this.registry.observed(upstream, error),
    });
  }

  static async started(settings: readonly UpstreamSettings[], era: 'modern' | 'legacy' = 'legacy'): Promise<Rig> {
    const rig = new Rig(settings);
    rig.era = era;
    await rig.registry.start(NEVER);
    return rig;
  }

  replace(settings: readonly UpstreamSettings[], restarts: readonly string[] = []): Promise<void> {
    const begin = this.registry.replace(settings, {
      restarts: (upstream) => restarts.includes(upstream),
      retire: (upstream, own) => this.connections.retire(upstream, own),
    });
    return begin(NEVER);
  }

  lease(upstream: string, who = caller('ann')) {
    return this.connections.lease(upstream, who, '-', NEVER);
  }

  /** Names of the upstreams whose transports are open. */
  get live(): string[] {
    return this.transports.filter(({ transport: { opens, closes } }) => opens > 0 && closes === 0).map(({ name }) => name);
  }

  /** What the server behind a connection was made from. */
  toolOf({ connection }: ConnectionLease): string | undefined {
    return connection instanceof Link ? this.transports.find(({ transport }) => transport === connection.transport)?.tool : undefined;
  }

  listed(): Record<string, readonly string[] | undefined> {
    return Object.fromEntries(
      this.registry.snapshot().map(({ status, capabilities }) => [status.name, capabilities?.lists.tools.map(({ id }) => id)]),
    );
  }

  #transport({ name, target }: UpstreamSettings): SampleTransport {
    const tool = target.type === 'stdio' ? target.command : target.type === 'remote' ? (target.endpoints[0]?.url ?? '') : '';
    const handlers = { 'tools/list': () => ({ result: { tools: [{ name: tool }] } }) };
    const transport = new SampleTransport(target.type === 'stdio' ? 'channel' : 'exchange', sampleServer(this.era, handlers));
    const { open } = transport;
    transport.open = async (signal) => {
      await open.call(transport, signal);
      if (this.hangs) await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
      if (this.down) throw new TurnpikeError('upstream/down', 'nobody there', { retryable: true });
    };
    this.transports.push({ name, tool, transport });
    return transport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const drained = this.connections.drain(AbortSignal.abort());
    await Promise.all([drained, this.registry.stop(drained)]);
    await this.#store.close();
    expect(this.live).toEqual([]);
    expect(this.clock.pending).toBe(0);
  }
}

describe('replacing upstreams', () => {
  it('keeps those that stay, ends those that leave, starts those that come, and tells nobody before that', async () => {
    await using rig = await Rig.started([named('a'), named('b')]);
    const before = rig.registry.ownLink('a');
    rig.told.length = 0;
    const begun = rig.replace([named('c'), named('a', { retry: { initial: 1, factor: 1, max: 1, jitter: 0 } })]);
    expect(Object.keys(rig.listed())).toEqual(['c', 'a']);
    expect(rig.told).toEqual(['c']);
    await begun;
    await settle();
    expect(rig.live).toEqual(['a', 'c']);
    expect(rig.registry.ownLink('a')).toBe(before);
    expect(rig.registry.connector('a').settings.retry.initial).toBe(1);
    expect(() => rig.registry.connector('b')).toThrow("server 'b' not found in config");
    // What ends under another's name is nobody's news.
    expect(rig.told).not.toContain('b');
  });

  it('what restarts stays listed as it was until it has listed anew', async () => {
    await using rig = await Rig.started([named('a', command('one'))]);
    const begun = rig.replace([named('a', command('two'))], ['a']);
    expect(rig.listed()).toEqual({ a: ['one'] });
    await begun;
    await settle();
    expect(rig.listed()).toEqual({ a: ['two'] });
    expect(rig.live).toEqual(['a']);
  });

  it('what cannot be reached under its new settings is not listed by its old ones', async () => {
    await using rig = await Rig.started([named('a', command('one'))]);
    rig.down = true;
    rig.told.length = 0;
    await rig.replace([named('a', command('two'))], ['a']);
    expect(rig.listed()).toEqual({ a: undefined });
    expect(rig.told).toContain('a');
    rig.down = false;
    rig.clock.advance(10_000);
    await settle();
    expect(rig.listed()).toEqual({ a: ['two'] });
  });

  it.each(['legacy', 'modern'] as const)('calls of a %s upstream go on over the old connection, new ones take the new', async (era) => {
    const far = (url: string) => named('a', { target: remote(url), protocol: era === 'modern' ? '2026-07-28' : '2025-11-25' });
    await using rig = await Rig.started([far('http://one')], era);
    const own = rig.registry.ownLink('a');
    const running = await rig.lease('a', caller('ann', 's1'));
    expect(running.connection === own).toBe(era === 'modern');
    await rig.replace([far('http://two')], ['a']);
    await settle();
    const next = await rig.lease('a', caller('ann', 's1'));
    expect(next.connection).not.toBe(running.connection);
    expect([running.connection.alive, running.ended.aborted]).toEqual([true, false]);
    running.release('ok');
    await settle();
    expect([running.connection.alive, next.connection.alive]).toEqual([false, true]);
    expect(own?.alive).toBe(false);
    next.release('ok');
  });

  it.each(['legacy', 'modern'] as const)('a call of a %s upstream that goes on for longer than closeDelay is cut', async (era) => {
    const target = remote('http://one');
    const pool = { ...sampleSettings().pool, closeDelay: 5_000 };
    await using rig = await Rig.started([named('a', { target, pool, protocol: era === 'modern' ? '2026-07-28' : '2025-11-25' })], era);
    const running = await rig.lease('a', caller('ann', 's1'));
    await rig.replace([]);
    rig.clock.advance(4_999);
    await settle();
    expect(running.ended.aborted).toBe(false);
    rig.clock.advance(1);
    await settle();
    expect([running.ended.aborted, running.connection.alive, rig.live]).toEqual([true, false, []]);
    running.release('transport-error');
  });

  it('who leaves does not keep the gateway from ending', async () => {
    const rig = await Rig.started([named('a', { target: remote('http://one'), protocol: '2026-07-28' })], 'modern');
    const running = await rig.lease('a');
    await rig.replace([]);
    await rig[Symbol.asyncDispose]();
    expect(running.ended.aborted).toBe(true);
    expect(await rig.replace([named('late')])).toBeUndefined();
    expect(rig.registry.snapshot()).toEqual([]);
  });

  it('what is still starting is given up, and the other begins at once', async () => {
    await using rig = new Rig([named('a', command('one')), named('b')]);
    rig.hangs = true;
    const starting = rig.registry.start(NEVER);
    await settle();
    rig.hangs = false;
    await rig.replace([named('a', command('two'))], ['a']);
    await starting;
    await settle();
    expect([rig.listed(), rig.live]).toEqual([{ a: ['two'] }, ['a']]);
  });

  it('a connection is retired when the last call on it is over, and its sockets go after that', async () => {
    await using rig = await Rig.started([named('a', { target: remote('http://one'), protocol: '2025-11-25' })]);
    const running = await rig.lease('a', caller('ann', 's1'));
    let isOver = false;
    const retired = rig.connections.retire('a', { link: undefined, closeDelay: 1 }).then(() => {
      isOver = true;
    });
    await settle();
    expect(isOver).toBe(false);
    running.release('ok');
    await retired;
  });

  it('connections of revoked principals close at once, and no others', async () => {
    await using rig = await Rig.started([named('a')]);
    const [ann, bob] = [await rig.lease('a', caller('ann')), await rig.lease('a', caller('bob'))];
    await rig.connections.endOwners((owner) => owner.includes('ann'));
    expect([ann.ended.aborted, bob.ended.aborted]).toEqual([true, false]);
    bob.release('ok');
  });
});

/** Which version of which upstreams there are; absent: removed. */
const editionOf = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 2 }), { maxKeys: 3 });
const stepOf = fc.oneof(
  fc.record({ kind: fc.constant('replace' as const), edition: editionOf }),
  fc.record({ kind: fc.constant('lease' as const), upstream: fc.constantFrom('a', 'b', 'c'), who: fc.constantFrom('ann', 'bob') }),
  fc.record({ kind: fc.constant('release' as const), which: fc.nat({ max: 5 }) }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
);

it('in any order of reloads, calls and ends: a call meets the version in force, is cut by nothing but closeDelay, and nothing is left', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('legacy' as const, 'modern' as const),
      fc.boolean(),
      fc.array(stepOf, { maxLength: 25 }),
      async (era, far, steps) => {
        const closeDelay = 30_000;
        const make = (name: string, version: number) => {
          const target = far ? remote(`http://${name}-${version}`) : command(`${name}-${version}`).target;
          return named(name, { ...(target === undefined ? {} : { target }), pool: { ...sampleSettings().pool, closeDelay } });
        };
        let edition: Record<string, number> = { a: 0, b: 0 };
        const settingsOf = () => Object.entries(edition).map(([name, version]) => make(name, version));
        await using rig = await Rig.started(settingsOf(), era);
        const leases: { readonly lease: ConnectionLease; readonly upstream: string; readonly version: number; retiredAt?: number }[] = [];
        for (const step of steps) {
          if (step.kind === 'replace') {
            const before = edition;
            edition = step.edition;
            const restarts = Object.keys(edition).filter((name) => name in before && before[name] !== edition[name]);
            void rig.replace(settingsOf(), restarts);
            for (const held of leases) if (edition[held.upstream] !== held.version) held.retiredAt ??= rig.clock.monotonic();
          } else if (step.kind === 'lease') {
            const version = edition[step.upstream];
            if (version === undefined) {
              await expect(rig.lease(step.upstream, caller(step.who))).rejects.toMatchObject({ code: 'upstream/down' });
              continue;
            }
            const lease = await rig.lease(step.upstream, caller(step.who));
            expect(rig.toolOf(lease)).toBe(far ? `http://${step.upstream}-${version}` : `${step.upstream}-${version}`);
            leases.push({ lease, upstream: step.upstream, version });
          } else if (step.kind === 'release') leases.splice(step.which, 1)[0]?.lease.release('ok');
          else rig.clock.advance(step.ms);
          await settle();
          for (const { lease, retiredAt } of leases) {
            const isDue = retiredAt !== undefined && rig.clock.monotonic() - retiredAt >= closeDelay;
            expect(lease.ended.aborted).toBe(isDue);
          }
        }
        for (const { lease } of leases) lease.release('ok');
        await settle();
        // Every upstream that is there has one connection of ours and what its callers may use again; nobody else has any.
        expect(rig.live.every((name) => name in edition)).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

describe('a connection is made anew', () => {
  const base = named('a', { target: remote('http://one') });
  const stdio = named('a');
  it.each<[string, UpstreamSettings, UpstreamSettings]>([
    ['another address', base, named('a', { target: remote('http://two') })],
    [
      'another credential',
      base,
      named('a', { target: { ...remote('http://one'), headers: { 'X-Key': new Secret('b') } } as UpstreamSettings['target'] }),
    ],
    ['another command', stdio, named('a', command('two'))],
    ['another revision', base, { ...base, protocol: '2025-11-25' }],
    ['other roots', base, { ...base, roots: [{ uri: 'file:///a' }] }],
    ['another sharing', base, { ...base, sharing: 'shared' }],
    ['another time to connect', base, { ...base, timeouts: { ...base.timeouts, connect: 1 } }],
    ['probes that begin', { ...base, health: { ...base.health, interval: 0 } }, base],
  ])('for %s', (_what, before, after) => {
    expect(needsReconnect(before, after)).toBe(true);
    expect(needsReconnect(after, after)).toBe(false);
  });

  it.each<[string, Partial<UpstreamSettings>]>([
    ['health', { health: { interval: 1, timeout: 1, failures: 1, staleFor: 1 } }],
    ['retry', { retry: { initial: 1, factor: 1, max: 1, jitter: 0 } }],
    ['pool', { pool: { idleTimeout: 1, maxErrorCount: 1, closeDelay: 1, maxConnections: 1 } }],
    ['timeouts of lists', { timeouts: { ...base.timeouts, list: 1, startup: 1 } }],
    ['no roots in other words', { roots: [] }],
    ['sockets', { target: { ...remote('http://one'), maxSockets: 5 } as UpstreamSettings['target'] }],
  ])('but not for %s', (_what, more) => {
    expect(needsReconnect(base, { ...base, ...more })).toBe(false);
  });
});
