import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import { Catalog } from './catalog/catalog.ts';
import { ListBytes } from './catalog/list-bytes.ts';
import { hostInUrl } from './config/addresses.ts';
import type { Config } from './config/schema.ts';
import { secretValues } from './config/secret-values.ts';
import { unpinnedLaunches } from './config/unpinned.ts';
import { refusals, weakenedSettings } from './config/weakened.ts';
import { hasScope, principalKey } from './core/caller.ts';
import { type Clock, systemClock } from './core/clock.ts';
import { Deadlines } from './core/deadlines.ts';
import { asTurnpikeError, TurnpikeError } from './core/errors.ts';
import { Fingerprinter } from './core/fingerprinter.ts';
import { LinkedAbort } from './core/linked-abort.ts';
import { OwnAbort } from './core/own-abort.ts';
import { Turn } from './core/turn.ts';
import { serveHttp } from './edge/app.ts';
import { BroughtCredentials } from './edge/brought-credentials.ts';
import type { Edge } from './edge/edge.ts';
import { Envelopes } from './edge/envelope.ts';
import { KeepAlive } from './edge/keep-alive.ts';
import { type Listening, listenHttp } from './edge/listen.ts';
import { Listeners } from './edge/listeners.ts';
import { Metas } from './edge/metas.ts';
import { Ops } from './edge/ops.ts';
import { Sessions } from './edge/sessions.ts';
import { serveStdio } from './edge/stdio.ts';
import { Work } from './edge/work.ts';
import { type HandleOptions, serveForeign } from './embedding.ts';
import { type FrontParts, GATEWAY_FRONT, type StandaloneSettings } from './front.ts';
import { GitLabOnDemand } from './gitlab-on-demand.ts';
import { type InForce, inForce } from './in-force.ts';
import { TokenBuckets } from './limit/rate.ts';
import type { ProxySettings } from './net/proxy-choice.ts';
import { type NextConfig, Reload, type ReloadReport } from './reload.ts';
import { ToldLevels } from './router/log-levels.ts';
import { Offers } from './router/offers.ts';
import { ParkingLot } from './router/parking/parking-lot.ts';
import { ResultMetas } from './router/result-metas.ts';
import type { Services } from './router/services.ts';
import { HostedTasks } from './router/tasks/hosted-tasks.ts';
import { SubscriptionCounts } from './router/update-feed.ts';
import { Startup } from './startup.ts';
import { type ConnectionReport, connectionReports, type GatewayStatus, poolNumbers, readiness, statusOf } from './status.ts';
import { openStore } from './store/open.ts';
import { privateDirectory } from './store/private-file.ts';
import { Sealer } from './store/seal.ts';
import { createAuditLog } from './telemetry/audit.ts';
import { Instruments } from './telemetry/instruments.ts';
import { createLogger, type Logger } from './telemetry/log.ts';
import { SecurityLog } from './telemetry/security-log.ts';
import type { ConnectorPorts } from './upstream/connect.ts';
import { Connections } from './upstream/connections.ts';
import { Reaper } from './upstream/process/reaper.ts';
import { Registry } from './upstream/registry.ts';
import { packageVersion } from './version.ts';
import { auditSettings, connectorPorts, findingsTo, sealedCursors, settingsOfAll } from './wiring.ts';

/** What a composition may replace; everything has a default. */
export interface GatewayOverrides {
  /** Our environment, of which children get six variables. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Served over a pipe: no listener is opened. */
  readonly stdio?: boolean;
  /** False: no listener is opened; a server of yours hands its requests to `handle`. Default true. */
  readonly listener?: boolean;
  /** Makes the transports to the upstreams that it has one for, instead of the built-in ones: for tests (`turnpike/testing`). */
  readonly transport?: ConnectorPorts['transport'];
  /** What `telemetry.audit.file: '-'` writes to. Default: standard error. */
  readonly auditStream?: Writable;
  readonly version?: string;
  /** Proxies to GitLab instances whose upstream names none (gitlab.md 2.1). Default: none. */
  readonly proxies?: ProxySettings;
  /** The standalone GitLab server over HTTP (gitlab.md 2). Default: the gateway. */
  readonly standalone?: StandaloneSettings;
  /** Whether standard error is a terminal, for the log's format. Default: asked. */
  readonly terminal?: boolean;
}

/** A running gateway. Dispose it to end everything it started, in reverse order. */
export interface Gateway extends AsyncDisposable {
  /** Listens (not with `stdio`, nor with `listener: false`), then starts upstreams in the background. */
  start(signal: AbortSignal): Promise<void>;
  /** The URL of /mcp, once started; without a listener what the configuration says, which nobody serves. */
  readonly endpoint: string;
  /** Resolves when the first attempt of every upstream ended, well or not, or `signal` aborts. */
  settled(signal: AbortSignal): Promise<void>;
  status(): GatewayStatus;
  /**
   * Loads a configuration by `load`, such as `loadConfig`, and puts it in force in one step: of the upstreams, those that changed
   * start, stop or restart, and nobody else notices. Reloads wait for each other. Throws what `load` throws, `config/invalid` and
   * `config/refused`; then the running configuration stays.
   */
  reload(load: () => Promise<NextConfig>): Promise<ReloadReport>;
  /** The connections to upstreams that are held for callers now; the gateway's own are not among them. */
  connections(): readonly ConnectionReport[];
  /**
   * Serves one HTTP request of a server of yours, with all checks of our own listener: `/mcp`, `/sse`, `/message`, and the routes
   * for operators. Its body must not have been read. Never rejects; resolves when the answer is given, or its stream is open.
   */
  handle(request: IncomingMessage, response: ServerResponse, options?: HandleOptions): Promise<void>;
  /** Serves MCP on a pipe; resolves when the input ends. */
  serveStdio(input: Readable, output: Writable, signal: AbortSignal): Promise<void>;
  /** Takes no new work and lets running calls and streams finish; `signal` cuts that short. */
  drain(signal: AbortSignal): Promise<void>;
}

/** How long answers to calls that a shutdown cut short may take to leave. */
const LAST_ANSWERS_MS = 1_000;

/**
 * Builds a gateway from its configuration, lower layers first; opens the store and the audit log, and nothing else.
 * Throws `config/refused` for a configuration that is too dangerous, `config/invalid`, and `store/failed`.
 */
export async function createGateway(config: Config, overrides: GatewayOverrides = {}): Promise<Gateway> {
  const { clock = systemClock, environment = {}, stdio = false, listener = !stdio, transport, version = packageVersion() } = overrides;
  const [refusal] = refusals(config, { stdio });
  if (refusal !== undefined) throw new TurnpikeError('config/refused', refusal);
  const logger =
    overrides.logger ?? createLogger({ ...config.telemetry.log, ...(overrides.terminal === undefined ? {} : { terminal: overrides.terminal }) });
  await using parts = new AsyncDisposableStack();

  // The default working directory of children, which no store makes when values live in memory.
  const { dir } = config.store;
  const prepare = ({ upstreams }: Config) => {
    if (upstreams.some((upstream) => upstream.type === 'stdio' && (upstream.cwd ?? dir) === dir)) privateDirectory(dir);
  };
  prepare(config);
  const opened = parts.use(await openStore(config.store, clock));
  const { keys } = opened;
  const fingerprint = new Fingerprinter(keys.derive('fingerprint')[0].key);
  const instruments = new Instruments(clock);
  for (const { setting, why } of weakenedSettings(config, { stdio })) {
    instruments.weakened(setting);
    logger.warn(`weakened: ${setting}`, { setting, why });
  }
  for (const launch of unpinnedLaunches(config))
    logger.warn('config/unpinned: the launch line fetches a package without a fixed version', { ...launch });
  const secrets = secretValues(config);
  const { auditStream } = overrides;
  const audit = createAuditLog(auditSettings(config, { clock, logger, instruments, secrets, stream: auditStream ?? process.stderr }));
  await audit.open();
  parts.defer(() => audit.close());

  const reaper = new Reaper({ clock, environment, onFailure: (error) => logger.error('the reaper of child processes failed', { error }) });
  parts.defer(() => reaper.stop());
  const serverInfo = { name: 'turnpike', version };
  const sealing = keys.derive('seal');
  const gitlab = parts.use(
    new GitLabOnDemand({
      ...{ clock, version, logger, instruments, sealer: new Sealer(sealing, 'gl1.', clock), proxies: overrides.proxies ?? {} },
      ignoresHeader: overrides.standalone?.dynamic === false,
      callOf: (caller, upstream, tool) => catalog.viewFor(caller, caller.toolset).callOf(upstream, tool, hasScope(caller, 'turnpike:write')),
      // In a moment: the call that found it out is answered first.
      endSessions: (principal) => void clock.after(0, () => reload.revoke((other) => principalKey(other) === principalKey(principal))),
    }),
  );
  await gitlab.load(config);
  gitlab.reconfigure(config);
  const front = overrides.standalone === undefined ? GATEWAY_FRONT : (await import('./standalone-front.ts')).standaloneFront(overrides.standalone);
  let now: InForce = inForce(config, { clock, serverInfo, instruments, gitlab, front });
  const ports = connectorPorts({
    ...{ clock, reaper, environment, clientInfo: serverInfo, store: opened.store, logger, instruments },
    transport: (settings) => transport?.(settings) ?? gitlab.transport(settings.name),
  });
  const registry = parts.use(
    new Registry(settingsOfAll(config), {
      ports,
      clock,
      profile: config.bridge.interactive.join(''),
      onState: (upstream, state, error) => logger.info('upstream', { upstream, state, ...(error === undefined ? {} : { error }) }),
      onEvent: () => {},
    }),
  );
  const connections = new Connections({
    clock,
    fingerprint,
    get limits() {
      return now.config.pool.limits;
    },
    idleTimeout: config.pool.idleTimeout,
    cleanupInterval: config.pool.cleanupInterval,
    closeDelay: config.pool.closeDelay,
    eraOf: (upstream) => registry.eraOf(upstream),
    connector: (upstream) => registry.connector(upstream),
    ownLink: (upstream) => registry.ownLink(upstream),
    onConnect: (upstream, error) => registry.observed(upstream, error),
  });
  const ended = new OwnAbort();
  // Callers' connections and our own at once: a child that has to be killed takes 7 s, and all is to be gone in 10 (security class 24).
  parts.defer(async () => {
    const drained = connections.drain(AbortSignal.abort());
    await Promise.all([drained, registry.stop(drained)]);
  });

  const catalog = parts.use(
    new Catalog({ catalog: config.catalog, policy: config.policy, upstreams: config.upstreams }, registry, {
      clock,
      report: findingsTo(logger, instruments),
    }),
  );
  const lists = new ListBytes({ serverInfo, cursors: sealedCursors(new Sealer(sealing, 'cu1.', clock)) });
  const startup = new Startup(clock);
  const parking = new ParkingLot(() => now.router.bridge.park);
  parts.defer(() => parking.end(new TurnpikeError('gateway/draining')));
  const hosted = new HostedTasks({
    store: opened.store,
    clock,
    onStoreFailure: (error) => logger.warn('the store forgot a task', { reason: asTurnpikeError(error).details.reason }),
  });
  parts.defer(() => hosted.end(new TurnpikeError('gateway/draining')));
  const services: Services = {
    catalog,
    lists,
    connections,
    subscriptions: new SubscriptionCounts(),
    levels: new ToldLevels(),
    offers: new Offers(),
    resultMetas: new ResultMetas(serverInfo),
    parking,
    hosted,
    upstreams: registry,
    seals: { state: new Sealer(sealing, 'rs1.', clock), task: new Sealer(sealing, 'tk1.', clock, { oldKeysOpenFor: Number.POSITIVE_INFINITY }) },
    fingerprint,
    get settings() {
      return now.router;
    },
    audit,
    instruments,
    logger,
    clock,
    deadlines: new Deadlines(clock),
    started: (signal) => startup.wait(signal),
  };
  const sessions = new Sessions({
    clock,
    get max() {
      return now.config.limits.sessions;
    },
    get idle() {
      return now.config.limits.sessionIdle;
    },
    get patience() {
      return now.config.bridge.roundTimeout;
    },
    ...{ ...front.sessions, logger },
    onEnd: (session) => void connections.endSession(session.id),
  });
  parts.defer(() => sessions.endAll());
  const behind: FrontParts = { clock, logger, sessions, gitlab, config: () => now.config, admission: () => now.admission };
  instruments.attach({
    pools: () => [poolNumbers('upstream-connections', connections.stats())],
    sessions: () => sessions.size,
    parked: () => parking.size,
    gitlab: () => gitlab.numbers(),
    upstreams: () => gitlab.judged(registry.snapshot().map(({ status }) => status)),
  });
  const work = new Work();
  const listeners = new Listeners();
  const securityLog = new SecurityLog(logger, new TokenBuckets({ clock, rate: 1, burst: 5 }), clock);
  parts.defer(() => securityLog.flush());
  const metas = new Metas();
  const envelopes = new Envelopes();
  const brought = new BroughtCredentials();
  const edge: Edge = {
    get settings() {
      return now.edge;
    },
    services,
    get authentication() {
      return now.authentication;
    },
    get admission() {
      return now.admission;
    },
    ...front.edge(behind),
    get proxies() {
      return now.proxies;
    },
    get guard() {
      return now.guard;
    },
    get headers() {
      return now.headers;
    },
    get challenge() {
      return now.challenge;
    },
    metas,
    envelopes,
    brought,
    securityLog,
    sessions,
    keepAlive: new KeepAlive(clock),
    listeners,
    work,
    stopped: ended.signal,
    report: (error) => {
      const { message, code, details } = asTurnpikeError(error);
      logger.error(message, { code, ...(details.reason === undefined ? {} : { reason: details.reason }) });
    },
  };
  let listening: Listening | undefined;
  const reload: Reload = new Reload({
    gitlab,
    front,
    clock,
    logger,
    stdio,
    serverInfo,
    instruments,
    registry,
    connections,
    catalog,
    sessions,
    listeners,
    parking,
    secrets,
    stopped: ended.signal,
    draining: work.draining,
    now: () => now,
    put: (next) => {
      now = next;
    },
    prepare,
    renewListener: async () => (await listening?.renew()) ?? (() => {}),
  });
  const ops = new Ops({
    ...front.ops(behind),
    instruments,
    get metricsToken() {
      return now.config.telemetry.metrics.token;
    },
    lastReload: () => reload.last,
    problems: async () => ({ ...(await readiness(now.config, registry, () => opened.ping(), work.draining)), ...front.problems(behind) }),
  });
  const all = parts.move();

  return {
    get endpoint() {
      const { tls, host, port } = now.config.listen;
      return `${tls === undefined ? 'http' : 'https'}://${hostInUrl(host)}:${listening?.port ?? port}/mcp`;
    },
    async start(signal) {
      signal.throwIfAborted();
      const arrivals = new Turn<ServerResponse<IncomingMessage>>((response) => void serveHttp(edge, ops, response.req, response));
      if (listener) listening = await listenHttp(edge.settings, (_request, response) => arrivals.add(response));
      gitlab.start(ended.signal);
      startup.begin(registry.start(ended.signal));
    },
    async settled(signal) {
      await startup.over(signal);
    },
    status() {
      const status = statusOf(now.config, registry, catalog);
      return { ...status, upstreams: gitlab.judged(status.upstreams) };
    },
    connections: () => connectionReports(connections.snapshot()),
    reload: (load) => reload.run(load),
    handle: (request, response, options) => serveForeign({ edge, ops }, request, response, options),
    async serveStdio(input, output, signal) {
      using either = new LinkedAbort(signal, ended.signal);
      const until = either.signal;
      const onEnd = (session: { readonly id: string }) => void connections.endSession(session.id);
      await serveStdio({ services, input, output, signal: until, work, metas, envelopes, report: edge.report, onEnd });
    },
    async drain(signal) {
      // The listener stays open meanwhile: who comes now is told to come again, not left with a refused connection.
      await work.drain(signal);
      listening?.stop();
    },
    async [Symbol.asyncDispose]() {
      ended.abort(new TurnpikeError('gateway/draining'));
      // What is cut short still gets its answer out; it has no reason to take long.
      const patience = new AbortController();
      const timer = clock.after(LAST_ANSWERS_MS, () => patience.abort());
      await work.drain(patience.signal);
      timer.cancel();
      sessions.endAll();
      await listening?.close();
      await all.disposeAsync();
    },
  };
}
