import type { Catalog } from './catalog/catalog.ts';
import type { Finding } from './catalog/findings.ts';
import { withholding } from './catalog/policy.ts';
import type { Config } from './config/schema.ts';
import { asTurnpikeError } from './core/errors.ts';
import type { CapabilitySource, UpstreamState } from './core/ports.ts';
import type { EntrySnapshot, EntryState } from './pool/entry.ts';
import type { PoolStats } from './pool/stats.ts';
import type { PoolNumbers } from './telemetry/instruments.ts';

export interface UpstreamReport {
  readonly name: string;
  readonly state: UpstreamState;
  readonly era?: 'modern' | 'legacy';
  readonly tools: number;
  readonly prompts: number;
  readonly resources: number;
  readonly lastError?: string;
}

export interface GatewayStatus {
  readonly upstreams: readonly UpstreamReport[];
  /** Where the data lies; absent with the memory store. */
  readonly dataDir?: string;
  /** What the operator should know about names and definitions. */
  readonly findings: readonly string[];
}

/** One connection to an upstream that is held for callers. Shows whose it is, and no token. */
export interface ConnectionReport {
  readonly upstream: string;
  /** Issuer and subject as a JSON array; empty for a connection that nobody owns alone. */
  readonly principal: string;
  readonly tenant: string;
  /** aggregator.md section 6, "Metadata". */
  readonly state: EntryState;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  /** Calls that it was given to so far. */
  readonly requestCount: number;
  /** Transport failures since the last success. */
  readonly errorCount: number;
}

export function connectionReports(entries: readonly EntrySnapshot[]): ConnectionReport[] {
  return entries.map(({ id, owner, tenant, state, createdAt, lastUsedAt, requestCount, errorCount }) => {
    const [upstream = ''] = JSON.parse(id) as string[];
    const times = { createdAt: new Date(createdAt), lastUsedAt: new Date(lastUsedAt) };
    return { upstream, principal: owner, tenant, state, ...times, requestCount, errorCount };
  });
}

export function statusOf(config: Config, upstreams: CapabilitySource, catalog: Catalog): GatewayStatus {
  const findings = catalog.findings().filter(isAlarming);
  // Of any other upstream the mark means nothing.
  const builtIn = new Set(config.upstreams.filter(({ type }) => type === 'gitlab').map(({ name }) => name));
  return {
    upstreams: upstreams.snapshot().map(({ status: { name, state, era, lastError }, capabilities }) => ({
      name,
      state,
      tools: capabilities?.lists.tools.filter(({ parsed }) => !builtIn.has(name) || withholding(parsed._meta) === undefined).length ?? 0,
      prompts: capabilities?.lists.prompts.length ?? 0,
      resources: capabilities?.lists.resources.length ?? 0,
      ...(era === undefined ? {} : { era }),
      ...(lastError === undefined ? {} : { lastError }),
    })),
    findings: [...new Set(findings.map(({ text }) => text))],
    ...(config.store.type === 'memory' ? {} : { dataDir: config.store.dir }),
  };
}

/** A URI that two upstreams have is only listed in another form; everything else costs somebody a tool, or should be looked at. */
export function isAlarming({ rule, dropped }: Finding): boolean {
  return dropped || rule !== 'collision';
}

/** What keeps `/readyz` from 200, by name. */
export async function readiness(
  config: Config,
  upstreams: CapabilitySource,
  ping: () => Promise<void>,
  draining: AbortSignal,
): Promise<Record<string, string>> {
  const problems: Record<string, string> = {};
  if (draining.aborted) problems.gateway = 'shutting down';
  try {
    await ping();
  } catch (error) {
    problems.store = asTurnpikeError(error).message;
  }
  const required = new Set(config.upstreams.filter((upstream) => upstream.required).map(({ name }) => name));
  for (const { status, capabilities } of upstreams.snapshot()) {
    const isUp = (status.state === 'connected' || status.state === 'degraded') && capabilities !== undefined;
    if (required.has(status.name) && !isUp) problems[`upstream ${status.name}`] = status.state;
  }
  return problems;
}

export function poolNumbers(pool: string, { entries, leases, queued, counts }: PoolStats): PoolNumbers {
  return { pool, entries, leases, waiting: queued, opened: counts.opened, closed: counts.closed, evicted: counts.evicted };
}
