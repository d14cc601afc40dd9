import { Catalog } from '../catalog/catalog.ts';
import { ListBytes } from '../catalog/list-bytes.ts';
import { Cursors } from '../catalog/pages.ts';
import { SampleSource, sampleSet, sampleSettings, sampleTool } from '../catalog/sample-source.ts';
import type { Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { Deadlines } from '../core/deadlines.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { Fingerprinter } from '../core/fingerprinter.ts';
import { editObject, toJson } from '../core/json.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { Answer, Era, JsonObject } from '../core/mcp.ts';
import type { Connection, ConnectionEvent, ConnectionLease, ConnectionOwner, ConnectionSource, Relay, UpstreamCall } from '../core/ports.ts';
import { MemoryStore } from '../store/memory.ts';
import { Sealer } from '../store/seal.ts';
import { AuditLog } from '../telemetry/audit.ts';
import { Instruments } from '../telemetry/instruments.ts';
import { silentLogger } from '../telemetry/log.ts';
import { ToldLevels } from './log-levels.ts';
import { Offers } from './offers.ts';
import { ParkingLot } from './parking/parking-lot.ts';
import { ResultMetas } from './result-metas.ts';
import type { Services } from './services.ts';
import { HostedTasks } from './tasks/hosted-tasks.ts';
import { SubscriptionCounts } from './update-feed.ts';

export type Answering = (call: UpstreamCall) => Promise<Answer> | Answer;

export const resultOf = (result: object | string): Answer => ({
  kind: 'result',
  result: typeof result === 'string' ? Buffer.from(result) : toJson(result),
});
export const errorOf = (code: number, message = 'no', data?: unknown): Answer => ({ kind: 'error', error: toJson({ code, message, data }), code });
export const NEVER: Answering = () => new Promise(() => {});

/** A connection without a wire, for tests: a function is the upstream. */
export class SampleConnection implements Connection {
  readonly era: Era;
  readonly version: string;
  readonly serverInfo = { name: 'sample', version: '1' };
  capabilities: JsonObject = { tools: {}, logging: {}, resources: { subscribe: true } };
  readonly calls: UpstreamCall[] = [];
  answer: Answering = () => resultOf({ content: [] });
  alive = true;
  /** Who hears of which task. */
  readonly claims = new Map<string, Relay>();
  readonly #listeners = new Set<(event: ConnectionEvent) => void>();
  readonly #waiting = new Set<(reason: unknown) => void>();

  constructor(era: Era) {
    this.era = era;
    this.version = era === 'modern' ? '2026-07-28' : '2025-11-25';
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Calls of one method. */
  of(method: string): UpstreamCall[] {
    return this.calls.filter((call) => call.method === method);
  }

  request(call: UpstreamCall): Promise<Answer> {
    // As it was sent: its bytes are let go while it waits for input.
    Object.assign(call, { params: editObject(call.params, call.edits ?? {}), edits: undefined, spans: undefined });
    this.calls.push({ ...call });
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(call.signal.reason);
      this.#waiting.add(reject);
      if (call.signal.aborted) onAbort();
      call.signal.addEventListener('abort', onAbort, { once: true });
      Promise.resolve()
        .then(() => this.answer(call))
        .then(resolve, reject)
        .finally(() => {
          this.#waiting.delete(reject);
          call.signal.removeEventListener('abort', onAbort);
        });
    });
  }

  async notify(): Promise<void> {}

  claimTask(taskId: string, relay: Relay): () => void {
    this.claims.set(taskId, relay);
    return () => void this.claims.delete(taskId);
  }

  subscribe(listener: (event: ConnectionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  emit(event: ConnectionEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** The link breaks: what waits may have run. */
  lose(): void {
    this.alive = false;
    for (const reject of this.#waiting) reject(new TurnpikeError('upstream/lost', 'the connection was lost', { upstream: 'a' }));
    this.emit({ kind: 'closed', reason: new Error('lost') });
  }

  async close(): Promise<void> {
    this.lose();
  }
}

/** Leases of connections that a test makes. */
export class SampleConnections implements ConnectionSource {
  readonly taken: { readonly upstream: string; readonly caller: Caller; readonly profile: string }[] = [];
  readonly outcomes: string[] = [];
  /** Leases that were not released. */
  held = 0;
  /** What the next leases get; the last one is given again. */
  next: (SampleConnection | Error)[];
  readonly closing = new AbortController();

  constructor(...next: (SampleConnection | Error)[]) {
    this.next = next;
  }

  eraOf(): Era | undefined {
    const [next] = this.next;
    return next instanceof SampleConnection ? next.era : undefined;
  }

  async lease(upstream: string, caller: Caller, profile: string, signal: AbortSignal, _owner?: ConnectionOwner): Promise<ConnectionLease> {
    this.taken.push({ upstream, caller, profile });
    signal.throwIfAborted();
    const connection = this.next.length > 1 ? this.next.shift() : this.next[0];
    if (connection === undefined || connection instanceof Error) throw connection ?? new Error('no connection');
    this.held++;
    let released = false;
    const release = (outcome: string) => {
      if (released) return;
      released = true;
      this.held--;
      this.outcomes.push(outcome);
    };
    return { connection, ended: this.closing.signal, release };
  }

  async notifySession(): Promise<void> {}
  async endSession(): Promise<void> {}
}

const key = (seed: number) => ({ id: 'k1', key: Buffer.alloc(32, seed) });

/** Nothing is gathered by it: between any two moments there is time enough. */
function hasty(clock: Clock): Clock {
  let moment = 0;
  return { now: () => clock.now(), monotonic: () => (moment += 1_000), after: (ms, fn) => clock.after(ms, fn) };
}

/** Services of the router over one upstream `a` with the tools `read` (trusted as read-only) and `write`. */
export function sampleServices(connections: SampleConnections = new SampleConnections(new SampleConnection('modern'))) {
  const clock = new ManualClock();
  const source = new SampleSource();
  const upstream = { name: 'a', naming: 'prefixed', tools: { allow: ['*'], deny: [], readOnly: [], trustAnnotations: true } } as const;
  const catalog = new Catalog(sampleSettings([{ ...upstream }]), source, { clock });
  const tools = [sampleTool('read', { annotations: { readOnlyHint: true } }), sampleTool('write')];
  source.set('a', sampleSet({ tools, prompts: ['p'], resources: ['memo://x'] }));
  const audited: JsonObject[] = [];
  const sink = {
    open: async () => {},
    close: async () => {},
    write: async (chunk: Buffer) =>
      void audited.push(
        ...chunk
          .toString()
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as JsonObject),
      ),
  };
  const none = { add() {} };
  const settings = {
    upstreams: new Map([
      ['a', { timeouts: { call: 60_000, callMax: 3_600_000 }, naming: 'prefixed' as const, credentialMode: 'none', configHash: 'hash-of-a' }],
    ]),
    bridge: {
      interactive: ['f', 'u', 's', 't', 'c', 'r'],
      stateTtl: 600_000,
      maxRounds: 8,
      roundTimeout: 600_000,
      gatherWindow: 25,
      replayWindow: 60_000,
      blockSecretForms: true,
      park: { perPrincipal: 16, perUpstream: 64, total: 1000 },
      roots: new Map(),
    },
    serverInfo: { name: 'turnpike', version: '0' },
  };
  const services: Services = {
    catalog,
    lists: new ListBytes({ serverInfo: settings.serverInfo, cursors: new Cursors({ seal: (payload) => payload, open: (text) => text }) }),
    connections,
    subscriptions: new SubscriptionCounts(),
    levels: new ToldLevels(),
    offers: new Offers(),
    resultMetas: new ResultMetas(settings.serverInfo),
    parking: new ParkingLot(settings.bridge.park),
    hosted: new HostedTasks({ store: new MemoryStore(clock), clock, onStoreFailure: () => {} }),
    upstreams: source,
    seals: { state: new Sealer([key(1)], 'rs1.', clock), task: new Sealer([key(1)], 'tk1.', clock) },
    fingerprint: new Fingerprinter(Buffer.alloc(32, 3)),
    settings,
    audit: new AuditLog({ sink, clock: hasty(clock), logger: silentLogger, onError: 'continue', failures: none, lost: none }),
    instruments: new Instruments(clock),
    logger: silentLogger,
    clock,
    deadlines: new Deadlines(clock),
    started: async () => {},
  };
  return { services, clock, source, audited };
}

export const ALICE: Caller = {
  principal: { issuer: 'static', subject: 'alice' },
  tenant: 't1',
  scopes: new Set(['turnpike:read', 'turnpike:write'] as const),
};

/** What a client was told in an exchange. */
export interface Told {
  readonly method: string;
  readonly params: JsonObject;
  readonly bytes: string;
}

/** An exchange by hand, and what its client was told. */
export function sampleExchange(more: Partial<Omit<Exchange, 'body' | 'params'>> & { readonly body?: JsonObject | string } = {}) {
  const { body = {}, ...others } = more;
  const params = typeof body === 'string' ? Buffer.from(body) : toJson(body);
  const told: Told[] = [];
  const gone = new AbortController();
  const era = others.era ?? 'modern';
  const exchange: Exchange = {
    era,
    version: era === 'modern' ? '2026-07-28' : '2025-11-25',
    id: 1,
    method: 'tools/call',
    params,
    body: JSON.parse(params.toString()) as JsonObject,
    caller: ALICE,
    signal: gone.signal,
    capabilities: {},
    notify: (method, bytes) => void told.push({ method, params: JSON.parse(bytes.toString()) as JsonObject, bytes: bytes.toString() }),
    ...others,
  };
  return { exchange, told, gone };
}
