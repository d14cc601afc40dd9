import { METRICS } from '../../telemetry/metric-table.ts';
import type { MetricsPage, Series } from './metrics-page.ts';

/** Calls of one upstream between two looks. */
export interface UpstreamLoad {
  readonly name: string;
  readonly state: string;
  readonly era?: string;
  /** Calls since the gateway's start. */
  readonly calls: number;
  readonly callsPerSecond: number;
  /** Calls that failed or were refused, per second. */
  readonly failuresPerSecond: number;
  readonly restarts: number;
  /** Of calls that went upstream in between; absent without any. Seconds; a quantile is the bound that it lies under. */
  readonly latency?: { readonly mean: number; readonly p50: number; readonly p95: number; readonly p99: number };
}

export interface PoolLoad {
  readonly name: string;
  readonly entries: number;
  readonly leases: number;
  readonly waiting: number;
  readonly opened: number;
  readonly evicted: number;
}

export interface ToolLoad {
  readonly tool: string;
  readonly upstream: string;
  readonly callsPerSecond: number;
}

/** What `top` shows. */
export interface Load {
  /** Between the two looks. Seconds. */
  readonly seconds: number;
  /** Since the gateway's start. Seconds. */
  readonly uptime: number;
  /** Share of one core. */
  readonly cpu: number;
  /** Bytes. */
  readonly memory: number;
  readonly sessions: number;
  readonly parked: number;
  readonly callsPerSecond: number;
  readonly requestsPerSecond: number;
  readonly upstreams: readonly UpstreamLoad[];
  readonly pools: readonly PoolLoad[];
  /** Those that were called in between, the busiest first. */
  readonly tools: readonly ToolLoad[];
}

type Where = Readonly<Record<string, string>>;

/** What happened between two looks at the metrics. Pure. @param now milliseconds since the epoch */
export function loadBetween(before: MetricsPage, after: MetricsPage, now: number): Load {
  const seconds = Math.max(0.001, (after.at - before.at) / 1000);
  const started = sum(after, METRICS.started.name);
  // After a restart everything counted begins at nought.
  const base = sum(before, METRICS.started.name) === started ? before : NOTHING;
  const rate = (name: string, where: Where = {}) => Math.max(0, sum(after, name, where) - sum(base, name, where)) / seconds;
  const states = after.of(METRICS.upstreamState.name).filter(({ value }) => value === 1);
  const names = [...new Set([...states, ...after.of(METRICS.toolCalls.name)].map(({ labels }) => labels.upstream ?? ''))].sort();
  const upstreams = names.map((upstream): UpstreamLoad => {
    const era = after.of(METRICS.upstreamEra.name).find(({ labels, value }) => labels.upstream === upstream && value === 1)?.labels.era;
    const latency = latencyOf(base, after, upstream);
    const calls = METRICS.toolCalls.name;
    return {
      name: upstream,
      state: states.find(({ labels }) => labels.upstream === upstream)?.labels.state ?? 'gone',
      ...(era === undefined ? {} : { era }),
      calls: sum(after, calls, { upstream }),
      callsPerSecond: rate(calls, { upstream }),
      failuresPerSecond: Math.max(0, rate(calls, { upstream }) - rate(calls, { upstream, outcome: 'ok' })),
      restarts: sum(after, METRICS.upstreamRestarts.name, { upstream }),
      ...(latency === undefined ? {} : { latency }),
    };
  });
  return {
    seconds,
    uptime: started === 0 ? 0 : Math.max(0, now / 1000 - started),
    cpu: rate(METRICS.cpu.name),
    memory: sum(after, METRICS.resident.name),
    sessions: sum(after, METRICS.sessions.name),
    parked: sum(after, METRICS.bridgeParked.name),
    callsPerSecond: rate(METRICS.toolCalls.name),
    requestsPerSecond: rate(METRICS.requests.name),
    upstreams,
    pools: poolsOf(after),
    tools: toolsOf(base, after, seconds),
  };
}

const NOTHING: MetricsPage = { at: 0, of: () => [] };

function sum(page: MetricsPage, name: string, where: Where = {}): number {
  return page.of(name).reduce((total, series) => (matches(series, where) ? total + series.value : total), 0);
}

function matches({ labels }: Series, where: Where): boolean {
  return Object.entries(where).every(([name, value]) => labels[name] === value);
}

function poolsOf(page: MetricsPage): PoolLoad[] {
  const names = page.of(METRICS.poolEntries.name).map(({ labels }) => labels.pool ?? '');
  return names.sort().map((pool) => ({
    name: pool,
    entries: sum(page, METRICS.poolEntries.name, { pool }),
    leases: sum(page, METRICS.poolLeases.name, { pool }),
    waiting: sum(page, METRICS.poolWaiting.name, { pool }),
    opened: sum(page, METRICS.poolOpened.name, { pool }),
    evicted: sum(page, METRICS.poolEvicted.name, { pool }),
  }));
}

function toolsOf(before: MetricsPage, after: MetricsPage, seconds: number): ToolLoad[] {
  const calls = new Map<string, { tool: string; upstream: string; calls: number }>();
  const add = (page: MetricsPage, sign: number) => {
    for (const { labels, value } of page.of(METRICS.toolCalls.name)) {
      const { tool = '', upstream = '' } = labels;
      const key = JSON.stringify([upstream, tool]);
      calls.set(key, { tool, upstream, calls: (calls.get(key)?.calls ?? 0) + sign * value });
    }
  };
  add(after, 1);
  add(before, -1);
  const busy = [...calls.values()]
    .filter((one) => one.calls > 0)
    .map(({ tool, upstream, calls: count }) => ({ tool, upstream, callsPerSecond: count / seconds }));
  return busy.sort((a, b) => b.callsPerSecond - a.callsPerSecond || (a.tool < b.tool ? -1 : 1));
}

function latencyOf(before: MetricsPage, after: MetricsPage, upstream: string): UpstreamLoad['latency'] {
  const { name } = METRICS.toolDuration;
  const grown = (suffix: string, where: Where) => sum(after, name + suffix, where) - sum(before, name + suffix, where);
  const count = grown('_count', { upstream });
  if (count <= 0) return undefined;
  const bounds = [...METRICS.toolDuration.buckets, Number.POSITIVE_INFINITY];
  const below = bounds.map((bound) => grown('_bucket', { upstream, le: bound === Number.POSITIVE_INFINITY ? '+Inf' : String(bound) }));
  const quantile = (share: number) => bounds[below.findIndex((reached) => reached >= share * count)] ?? Number.POSITIVE_INFINITY;
  return { mean: grown('_sum', { upstream }) / count, p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) };
}
