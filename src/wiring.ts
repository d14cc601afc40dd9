import { createHash } from 'node:crypto';
import type { Finding } from './catalog/findings.ts';
import { Cursors } from './catalog/pages.ts';
import type { Config, UpstreamConfig } from './config/schema.ts';
import { GITLAB_COM } from './config/sections/gitlab.ts';
import type { Clock } from './core/clock.ts';
import { asTurnpikeError } from './core/errors.ts';
import type { JsonObject } from './core/mcp.ts';
import type { Secret } from './core/secret.ts';
import { arrivals } from './core/turn.ts';
import type { RouterSettings, UpstreamSettings as RouterUpstreamSettings } from './router/settings.ts';
import { isAlarming } from './status.ts';
import type { Sealer } from './store/seal.ts';
import type { Store } from './store/store.ts';
import type { AuditSettings } from './telemetry/audit.ts';
import type { Instruments } from './telemetry/instruments.ts';
import type { Logger } from './telemetry/log.ts';
import type { ConnectorPorts } from './upstream/connect.ts';
import { EraMemory } from './upstream/era-memory.ts';
import type { GroupRegistry } from './upstream/process/child.ts';
import type { UpstreamSettings } from './upstream/settings.ts';

/** Sockets of one upstream for calls that nobody is asked in. */
const CALL_SOCKETS = 1_024;

/** One upstream of the configuration as its layer wants it. */
export function upstreamSettings(upstream: UpstreamConfig, config: Config): UpstreamSettings {
  const { name, protocol, timeouts, health, retry, sharing } = upstream;
  // A connection within this process cannot break: what GitLab does to the calls of one caller is no reason to end it for all.
  const pool = upstream.type === 'gitlab' ? { ...upstream.pool, maxErrorCount: Number.POSITIVE_INFINITY } : upstream.pool;
  const roots = config.bridge.roots[name];
  return { name, protocol, timeouts, health, retry, sharing, pool, target: targetOf(upstream, config), ...(roots === undefined ? {} : { roots }) };
}

/** All of them. */
export function settingsOfAll(config: Config): UpstreamSettings[] {
  return config.upstreams.map((upstream) => upstreamSettings(upstream, config));
}

function targetOf(upstream: UpstreamConfig, config: Config): UpstreamSettings['target'] {
  if (upstream.type === 'stdio') {
    const { command, args, env, cwd, allowUnsafeEnv } = upstream;
    return { type: 'stdio', command, args, env, cwd: cwd ?? config.store.dir, allowUnsafeEnv };
  }
  if (upstream.type === 'gitlab')
    return { type: 'builtin', kind: 'gitlab', settings: { gitlab: upstream.gitlab, auth: upstream.auth, tls: upstream.tls, proxy: upstream.proxy } };
  const { endpoints, headers, tls, proxy, auth } = upstream;
  const { perUpstream, total } = config.bridge.park;
  const credential = auth.mode === 'header' && auth.header !== undefined ? { [auth.header.name]: auth.header.value } : {};
  return {
    type: 'remote',
    endpoints,
    headers: { ...headers, ...credential } as Readonly<Record<string, never>>,
    // A call that waits for input holds its socket: others must still find one, the answer to its question first of all.
    maxSockets: CALL_SOCKETS + Math.min(perUpstream, total),
    ...(tls === undefined ? {} : { tls }),
    ...(proxy === undefined ? {} : { proxy }),
  };
}

export function routerSettings(config: Config, serverInfo: JsonObject): RouterSettings {
  return {
    serverInfo,
    bridge: { ...config.bridge, roots: new Map(Object.entries(config.bridge.roots)) },
    upstreams: new Map(config.upstreams.map((upstream) => [upstream.name, routed(upstream)])),
  };
}

function routed(upstream: UpstreamConfig): RouterUpstreamSettings {
  const { timeouts, naming, description } = upstream;
  return {
    timeouts,
    naming,
    waits: upstream.type === 'gitlab',
    credentialMode: upstream.auth.mode,
    configHash: configHash(upstream),
    ...(description === undefined ? {} : { description }),
  };
}

/** Names an upstream's address and mode: what was sealed for another address is void (security class 13). Holds no secret. */
function configHash(upstream: UpstreamConfig): string {
  const address =
    upstream.type === 'stdio'
      ? [upstream.command, upstream.args]
      : upstream.type === 'gitlab'
        ? (upstream.gitlab.url ?? GITLAB_COM)
        : upstream.endpoints.map(({ url }) => url);
  return createHash('sha256')
    .update(JSON.stringify([upstream.name, upstream.type, address, upstream.auth.mode]))
    .digest('base64url')
    .slice(0, 22);
}

/** What connections to upstreams report, and where. */
export function connectorPorts(parts: {
  readonly clock: Clock;
  readonly reaper: GroupRegistry;
  readonly environment: ConnectorPorts['environment'];
  readonly clientInfo: JsonObject;
  readonly store: Store;
  readonly logger: Logger;
  readonly instruments: Instruments;
  readonly transport: NonNullable<ConnectorPorts['transport']>;
}): ConnectorPorts {
  const { store, logger, instruments, ...ports } = parts;
  return {
    ...ports,
    arrivals: arrivals(),
    memory: new EraMemory(store, (error) => logger.warn('the store forgot an era', { reason: asTurnpikeError(error).details.reason })),
    onStderr: (upstream, line) => logger.debug('upstream stderr', { upstream, line }),
    onDropped: (upstream, what) => {
      instruments.droppedNotifications('upstream').add();
      logger.debug('dropped', { upstream, what });
    },
    onAdvice: (upstream, advice) => logger.warn(`upstream '${upstream}' ${advice}`, { upstream }),
  };
}

/** Where audit records go. */
export function auditSettings(
  { store, telemetry }: Config,
  parts: Pick<AuditSettings, 'clock' | 'logger' | 'stream'> & { readonly instruments: Instruments; readonly secrets: readonly Secret[] },
): AuditSettings {
  const { instruments, ...others } = parts;
  const { file, maxFiles } = telemetry.audit;
  // Without a state directory there is no place for a file of ours.
  const isHomeless = store.type === 'memory' && !file.startsWith('/');
  return {
    ...telemetry.audit,
    ...others,
    file: isHomeless ? '-' : file,
    files: maxFiles,
    dir: store.dir,
    failures: instruments.auditFailures,
    lost: instruments.auditLost,
  };
}

/** What the catalog finds wrong with what upstreams offer: counted, and told to operators. */
export function findingsTo(logger: Logger, instruments: Instruments): (finding: Finding) => void {
  return (finding) => {
    instruments.catalogFindings(finding.rule).add();
    const { text, upstream, kind, name, rule, dropped } = finding;
    logger[isAlarming(finding) ? 'warn' : 'debug'](`catalog: ${text}`, { upstream, kind, name, rule, dropped });
  };
}

/** Cursors of lists that only we can read and make. */
export function sealedCursors(sealer: Sealer): Cursors {
  return new Cursors({
    seal: (payload) => sealer.seal('list', Buffer.from(payload)),
    open: (text) => {
      const result = sealer.open('list', text);
      return result.ok ? result.value.toString('utf8') : undefined;
    },
  });
}
