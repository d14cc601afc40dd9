import { STATUS_CODES } from 'node:http';
import { Counter, Gauge, Registry } from 'prom-client';
import type { Clock } from '../core/clock.ts';
import type { Era } from '../core/mcp.ts';
import { RPC } from '../core/mcp.ts';
import type { UpstreamStatus } from '../core/ports.ts';
import { type Cell, CellHistogram, Cells, type Count } from './cells.ts';
import { METRICS, type MetricKey, type MetricRow } from './metric-table.ts';

/** How a call ended (aggregator.md 9; `cancelled` counts as `error` in metrics). */
const CALL_OUTCOMES = ['ok', 'error', 'error_result', 'refused', 'cancelled'] as const;
export type CallOutcome = (typeof CALL_OUTCOMES)[number];

export interface PoolNumbers {
  readonly pool: string;
  readonly entries: number;
  readonly leases: number;
  readonly waiting: number;
  readonly opened: number;
  readonly closed: number;
  readonly evicted: number;
}

/** What callers get from a pool of things that are made when they are first asked for. */
export interface CacheNumbers {
  readonly pool: string;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly size: number;
  readonly maxSize: number;
}

export interface GitLabNumbers {
  readonly caches: readonly CacheNumbers[];
  /** Questions about credentials that were known, by their outcome. */
  readonly revalidations: { readonly succeeded: number; readonly failed: number; readonly skipped: number };
}

/** Where numbers are read when somebody asks: what is only read at a scrape costs nothing in between. */
export interface InstrumentSources {
  pools(): readonly PoolNumbers[];
  sessions(): number;
  /** Calls that wait for input of a stateless client. */
  parked(): number;
  upstreams(): readonly UpstreamStatus[];
  /** Absent without a GitLab. */
  gitlab(): GitLabNumbers | undefined;
}

/** The numbers of one tool, resolved when the route is built. */
export interface ToolNumbers {
  /** `seconds` is left out for calls that never went upstream. */
  record(outcome: CallOutcome, seconds?: number): void;
}

/** Most tools that get a label of their own (aggregator.md 9). */
const MAX_TOOLS = 2000;
/** Methods beyond this are `other`: a caller may send any word. */
const METHODS: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'server/discover',
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/directory/read',
  'skills/list',
  'skills/get',
  'resources/subscribe',
  'resources/unsubscribe',
  'completion/complete',
  'logging/setLevel',
  'subscriptions/listen',
  'tasks/get',
  'tasks/update',
  'tasks/cancel',
  'tasks/list',
  'tasks/result',
]);
/** Codes beyond these and our own are `other`: an upstream may answer any number. */
const CODES: ReadonlySet<number> = new Set(Object.values(RPC));

type CellKey = { [K in MetricKey]: (typeof METRICS)[K]['type'] extends 'counter' ? K : never }[MetricKey];

/** All metrics of one gateway, in a registry of its own. */
export class Instruments {
  readonly #registry = new Registry();
  readonly #cells = new Map<MetricKey, Cells>();
  readonly #duration: CellHistogram;
  readonly #sources: Partial<InstrumentSources> = {};
  /** By upstream and tool. */
  readonly #tools = new Map<string, Map<string, ToolNumbers>>();
  #toolCount = 0;
  /** By method and code, of each era. */
  readonly #requests: Readonly<Record<Era, Map<string, Map<number | undefined, Cell>>>> = { modern: new Map(), legacy: new Map() };
  readonly #responses = new Map<number, Cell>();
  readonly #bridgeCalls: Readonly<Record<Era, Partial<Record<Era, Count>>>> = { modern: {}, legacy: {} };
  readonly #inboundAuth = { success: new Map<string, Cell>(), failure: new Map<string, Cell>() };
  readonly #weakened = new Set<string>();
  readonly #startedAt: number;

  constructor(clock: Clock) {
    this.#startedAt = (clock.now() - process.uptime() * 1000) / 1000;
    this.#duration = new CellHistogram(METRICS.toolDuration, [this.#registry]);
    this.#countersOfCells();
    this.#ofSources();
    this.#ofProcess();
  }

  /** Says where gauges are read. May be called several times, as parts come up. */
  attach(sources: Partial<InstrumentSources>): void {
    Object.assign(this.#sources, sources);
  }

  /** One MCP request answered; `code` is absent for a result. */
  request(era: Era, method: string, code?: number): void {
    const known = this.#requests[era].get(method)?.get(code);
    if (known !== undefined) {
      known.add();
      return;
    }
    const name = METHODS.has(method) ? method : 'other';
    const cell = this.#cell('requests', era, name, code === undefined ? 'ok' : isKnownCode(code) ? String(code) : 'other');
    // Only bounded combinations are remembered by what was said; the cell itself is bounded by `name` and code.
    if (name === method && (code === undefined || isKnownCode(code))) within(this.#requests[era], method).set(code, cell);
    cell.add();
  }

  response(status: number): void {
    let cell = this.#responses.get(status);
    if (cell === undefined) {
      cell = this.#cell('responses', String(status));
      this.#responses.set(status, cell);
    }
    cell.add();
  }

  /** The count of one client era × upstream era. */
  bridgeCalls(client: Era, upstream: Era): Count {
    const known = this.#bridgeCalls[client];
    known[upstream] ??= this.#cell('bridgeCalls', `${client}-${upstream}`);
    return known[upstream];
  }

  /** Rounds of questions of one client era × upstream era. */
  bridgeRounds(client: Era, upstream: Era): Count {
    return this.#cell('bridgeRounds', `${client}-${upstream}`);
  }

  bridgeRefused(reason: 'secret-form' | 'form-schema' | 'rounds' | 'parked' | 'expired' | 'capability'): Count {
    return this.#cell('bridgeRefused', reason);
  }

  /** The numbers of a tool of the catalog (never of a name that only a caller says); beyond 2,000 of them those of `other`. */
  tool(tool: string, upstream: string): ToolNumbers {
    const known = this.#tools.get(upstream)?.get(tool);
    if (known !== undefined) return known;
    if (tool !== 'other' && this.#toolCount >= MAX_TOOLS) return this.tool('other', upstream);
    const outcomes = Object.fromEntries(
      CALL_OUTCOMES.map((outcome) => [outcome, this.#cell('toolCalls', tool, upstream, outcome === 'cancelled' ? 'error' : outcome)]),
    ) as Record<CallOutcome, Cell>;
    const duration = this.#duration.of(upstream);
    const numbers: ToolNumbers = {
      record(outcome, seconds) {
        outcomes[outcome].add();
        if (seconds !== undefined) duration.observe(seconds);
      },
    };
    within(this.#tools, upstream).set(tool, numbers);
    this.#toolCount++;
    return numbers;
  }

  /** `reason` is one of a fixed set. */
  droppedNotifications(reason: string): Count {
    return this.#cell('droppedNotifications', reason);
  }

  /** `kind` is one of a fixed set. */
  catalogFindings(kind: string): Count {
    return this.#cell('catalogFindings', kind);
  }

  /** `reason` is one of a fixed set. */
  gitlabUrlDenied(reason: string): Count {
    return this.#cell('gitlabUrlDenied', reason);
  }

  /** @param instance one of the configuration, or `other` @param status 0 when there was no answer */
  gitlabRequest(instance: string, method: string, status: number): Count {
    return this.#cell('gitlabRequests', instance, method, status === 0 || STATUS_CODES[status] !== undefined ? String(status) : 'other');
  }

  get auditFailures(): Count {
    return this.#cell('auditFailures');
  }

  get auditLost(): Count {
    return this.#cell('auditLost');
  }

  get sessionMismatches(): Count {
    return this.#cell('sessionMismatch');
  }

  inboundAuth(mode: string, result: 'success' | 'failure'): Count {
    const known = this.#inboundAuth[result].get(mode);
    if (known !== undefined) return known;
    const cell = this.#cell('inboundAuth', mode, result);
    this.#inboundAuth[result].set(mode, cell);
    return cell;
  }

  /** A setting that weakens a defence is in use (security.md, "Settings that weaken"). */
  weakened(setting: string): void {
    this.#weakened.add(setting);
  }

  /** All settings in use that weaken a defence, in place of those said before. */
  weakenedAre(settings: Iterable<string>): void {
    this.#weakened.clear();
    for (const setting of settings) this.#weakened.add(setting);
  }

  /** The page of `/metrics`: Prometheus text, and its content type. */
  async expose(): Promise<{ readonly contentType: string; readonly text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #cell(key: CellKey, ...values: string[]): Cell {
    const cells = this.#cells.get(key);
    if (cells === undefined) throw new TypeError(`no counter ${key}`);
    return cells.of(...values);
  }

  #countersOfCells(): void {
    for (const key of COUNTED) {
      const cells = new Cells(METRICS[key].labels);
      this.#cells.set(key, cells);
      const registers = [this.#registry];
      new Counter({
        ...shape(METRICS[key]),
        registers,
        collect() {
          cells.copyTo(this);
        },
      });
    }
  }

  #ofSources(): void {
    const pools = () => this.#sources.pools?.() ?? [];
    const upstreams = () => this.#sources.upstreams?.() ?? [];
    this.#gauge('poolEntries', () => pools().map(({ pool, entries }) => [{ pool }, entries]));
    this.#gauge('poolLeases', () => pools().map(({ pool, leases }) => [{ pool }, leases]));
    this.#gauge('poolWaiting', () => pools().map(({ pool, waiting }) => [{ pool }, waiting]));
    this.#total('poolOpened', () => pools().map(({ pool, opened }) => [{ pool }, opened]));
    this.#total('poolClosed', () => pools().map(({ pool, closed }) => [{ pool }, closed]));
    this.#total('poolEvicted', () => pools().map(({ pool, evicted }) => [{ pool }, evicted]));
    this.#gauge('bridgeParked', () => [[{}, this.#sources.parked?.() ?? 0]]);
    this.#gauge('sessions', () => [[{}, this.#sources.sessions?.() ?? 0]]);
    this.#gauge('upstreamState', () => upstreams().map(({ name, state }) => [{ upstream: name, state }, 1]));
    this.#gauge('upstreamEra', () => upstreams().flatMap(({ name, era }) => (era === undefined ? [] : [[{ upstream: name, era }, 1] as const])));
    this.#total('upstreamRestarts', () => upstreams().map(({ name, restartCount }) => [{ upstream: name }, restartCount]));
    const caches = () => this.#sources.gitlab?.()?.caches ?? [];
    this.#total('poolHits', () => caches().map(({ pool, hits }) => [{ pool }, hits]));
    this.#total('poolMisses', () => caches().map(({ pool, misses }) => [{ pool }, misses]));
    this.#total('poolEvictions', () => caches().map(({ pool, evictions }) => [{ pool }, evictions]));
    this.#gauge('poolSize', () => caches().map(({ pool, size }) => [{ pool }, size]));
    this.#gauge('poolMaxSize', () => caches().map(({ pool, maxSize }) => [{ pool }, maxSize]));
    const asked = (outcome: keyof GitLabNumbers['revalidations']): Readings => {
      const numbers = this.#sources.gitlab?.();
      return numbers === undefined ? [] : [[{}, numbers.revalidations[outcome]]];
    };
    this.#total('gitlabSucceeded', () => asked('succeeded'));
    this.#total('gitlabFailed', () => asked('failed'));
    this.#total('gitlabSkipped', () => asked('skipped'));
    this.#gauge('weakened', () => Array.from(this.#weakened, (setting) => [{ setting }, 1] as const));
  }

  /** The cheap ones of what prom-client collects by default: no timer, no performance observer, no directory listing. */
  #ofProcess(): void {
    this.#total('cpu', () => {
      const { user, system } = process.cpuUsage();
      return [[{}, (user + system) / 1e6]];
    });
    this.#gauge('started', () => [[{}, this.#startedAt]]);
    this.#gauge('resident', () => [[{}, process.memoryUsage.rss()]]);
    this.#gauge('heapUsed', () => [[{}, process.memoryUsage().heapUsed]]);
    this.#gauge('heapTotal', () => [[{}, process.memoryUsage().heapTotal]]);
    this.#gauge('external', () => [[{}, process.memoryUsage().external]]);
  }

  #gauge(key: MetricKey, read: () => Readings): void {
    new Gauge({
      ...shape(METRICS[key]),
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.set(labels, value);
      },
    });
  }

  #total(key: MetricKey, read: () => Readings): void {
    new Counter({
      ...shape(METRICS[key]),
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  }
}

type Readings = readonly (readonly [Readonly<Record<string, string>>, number])[];

/** Counters that the gateway itself adds to; the other ones are read from their owners. */
const COUNTED = [
  'requests',
  'responses',
  'bridgeCalls',
  'bridgeRounds',
  'bridgeRefused',
  'toolCalls',
  'droppedNotifications',
  'catalogFindings',
  'auditFailures',
  'auditLost',
  'inboundAuth',
  'sessionMismatch',
  'gitlabUrlDenied',
  'gitlabRequests',
] as const satisfies readonly CellKey[];

function shape(row: MetricRow): { name: string; help: string; labelNames: string[] } {
  return { name: row.name, help: row.help, labelNames: [...row.labels] };
}

function isKnownCode(code: number): boolean {
  return CODES.has(code) || (code <= -31001 && code >= -31099);
}

/** The map below a key, made when it is missing. */
function within<K, L, V>(maps: Map<K, Map<L, V>>, key: K): Map<L, V> {
  const known = maps.get(key) ?? new Map<L, V>();
  maps.set(key, known);
  return known;
}
