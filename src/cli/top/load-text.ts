import { redactText } from '../../telemetry/redact.ts';
import { columns } from '../text.ts';
import type { Load, UpstreamLoad } from './load.ts';

export interface LoadTextOptions {
  /** Which gateway. */
  readonly place: string;
  /** Characters in a line. */
  readonly width: number;
  /** Lines that may be used. */
  readonly rows: number;
  readonly colour: boolean;
  /** Said below the head, such as that the gateway does not answer. */
  readonly notice?: string;
}

const BAD = new Set(['failed', 'unreachable', 'gone']);
const GOOD = new Set(['connected', 'stopped']);
const MAX_TOOLS = 10;

/** The lines of one look. Pure. */
export function loadText(load: Load, options: LoadTextOptions): string[] {
  const { place, width, rows, colour, notice } = options;
  const head = [
    `Turnpike at ${place}   up ${span(load.uptime)}   CPU ${Math.round(load.cpu * 100)} %   memory ${Math.round(load.memory / 1024 ** 2)} MiB`,
    `Calls ${rate(load.callsPerSecond)}/s   requests ${rate(load.requestsPerSecond)}/s   sessions ${load.sessions}   parked calls ${load.parked}   (over ${load.seconds.toFixed(1)} s)`,
    ...(notice === undefined ? [] : [notice]),
  ];
  const pools = columns(
    [
      ['POOL', 'ENTRIES', 'IN USE', 'WAITING', 'OPENED', 'EVICTED'],
      ...load.pools.map(({ name, entries, leases, waiting, opened, evicted }) => [
        foreign(name),
        ...[entries, leases, waiting, opened, evicted].map(String),
      ]),
    ],
    width,
  );
  const tools = columns(
    [
      ['BUSIEST TOOLS', 'UPSTREAM', 'CALLS/S'],
      ...load.tools.slice(0, MAX_TOOLS).map(({ tool, upstream, callsPerSecond }) => [foreign(tool), foreign(upstream), rate(callsPerSecond)]),
    ],
    width,
  );
  const fixed = head.length + 1 + pools.length + 1;
  const forUpstreams = Math.max(2, rows - fixed);
  const upstreams = upstreamLines(load.upstreams, width, forUpstreams, colour);
  const left = rows - fixed - upstreams.length - 1;
  const parts = [head.map((line) => cut(line, width)), upstreams, pools, ...(load.tools.length > 0 && left > 1 ? [tools.slice(0, left)] : [])];
  return parts.flatMap((part, index) => (index === 0 ? part : ['', ...part])).slice(0, Math.max(1, rows));
}

function upstreamLines(upstreams: readonly UpstreamLoad[], width: number, rows: number, colour: boolean): string[] {
  if (upstreams.length === 0) return [cut('No upstreams are configured.', width)];
  const isCut = upstreams.length + 1 > rows;
  // Where there is no room for all, those that need a look and those that work come first.
  const ranked = isCut ? upstreams.toSorted((a, b) => trouble(b) - trouble(a) || b.callsPerSecond - a.callsPerSecond) : upstreams;
  const shown = ranked.slice(0, isCut ? Math.max(1, rows - 2) : rows);
  const table = columns(
    [['UPSTREAM', 'STATE', 'ERA', 'CALLS/S', 'FAILED/S', 'MEAN', 'P50', 'P95', 'P99', 'RESTARTS', 'CALLS'], ...shown.map(upstreamRow)],
    width,
  );
  const lines = table.map((line, index) => {
    const upstream = shown[index - 1];
    if (!colour) return line;
    if (upstream === undefined) return `\u001b[1m${line}\u001b[0m`;
    if (BAD.has(upstream.state)) return `\u001b[31m${line}\u001b[0m`;
    return GOOD.has(upstream.state) ? line : `\u001b[33m${line}\u001b[0m`;
  });
  return isCut ? [...lines, cut(`and ${upstreams.length - shown.length} more`, width)] : lines;
}

function upstreamRow({ name, state, era, callsPerSecond, failuresPerSecond, latency, restarts, calls }: UpstreamLoad): string[] {
  const times = latency === undefined ? ['-', '-', '-', '-'] : [duration(latency.mean), ...[latency.p50, latency.p95, latency.p99].map(bound)];
  return [
    foreign(name),
    foreign(state),
    foreign(era ?? '-'),
    rate(callsPerSecond),
    rate(failuresPerSecond),
    ...times,
    String(restarts),
    String(calls),
  ];
}

function trouble({ state }: UpstreamLoad): number {
  if (BAD.has(state)) return 2;
  return GOOD.has(state) ? 0 : 1;
}

/** Names come from upstreams, and from whatever answers at that address. */
function foreign(text: string): string {
  return redactText(text, 80);
}

function rate(perSecond: number): string {
  return perSecond >= 100 ? String(Math.round(perSecond)) : perSecond.toFixed(1);
}

function bound(seconds: number): string {
  return seconds === Number.POSITIVE_INFINITY ? '> 5 min' : `≤ ${duration(seconds)}`;
}

function duration(seconds: number): string {
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`.replace('.0 ', ' ');
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return `${seconds.toFixed(1)} s`.replace('.0 ', ' ');
}

function span(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (hours < 1) return `${minutes} min`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function cut(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
}
