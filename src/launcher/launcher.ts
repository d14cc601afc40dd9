import { randomBytes } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import { type Caller, LOCAL_ISSUER } from '../core/caller.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { Deadlines } from '../core/deadlines.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { Fingerprinter } from '../core/fingerprinter.ts';
import type { ConnectionLease } from '../core/ports.ts';
import { MemoryStore } from '../store/memory.ts';
import { privateDirectory } from '../store/private-file.ts';
import { type Logger, silentLogger } from '../telemetry/log.ts';
import { connectionKey } from '../upstream/connection-key.ts';
import { Connections } from '../upstream/connections.ts';
import { EraMemory } from '../upstream/era-memory.ts';
import { Reaper } from '../upstream/process/reaper.ts';
import { NO_PROFILE } from '../upstream/profile.ts';
import { Registry } from '../upstream/registry.ts';
import { packageVersion } from '../version.ts';
import { settingsOfAll } from '../wiring.ts';
import type { ConnectionKey, ConnectionMetadata } from './connection-key.ts';
import { type Connection, LaunchedConnection } from './launched-connection.ts';
import { metadataOf } from './session-connection-pool.ts';

export interface LauncherOptions {
  /** Of it, `upstreams`, `pool`, `store.dir` and `bridge.roots` count. */
  readonly config: Config;
  /** Our environment, of which children get six variables (security class 21). Default: nothing, so that only absolute commands are found. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  /** Default: silent. */
  readonly logger?: Logger;
  /** Closes the launcher when it aborts. */
  readonly signal?: AbortSignal;
}

export interface LaunchOptions {
  /** Ends the wait; a launch that nobody waits for any more is ended, its child included. */
  readonly signal?: AbortSignal;
  /** On whose behalf, for `sharing: principal` and for fairness. Default: one local principal. */
  readonly caller?: Pick<Caller, 'principal' | 'tenant'>;
}

const LOCAL: Pick<Caller, 'principal' | 'tenant'> = { principal: { issuer: LOCAL_ISSUER, subject: LOCAL_ISSUER }, tenant: LOCAL_ISSUER };

/**
 * Launches MCP servers and keeps their connections, one for each (server, session): the gateway's own registry and pool
 * without the gateway (aggregator.md section 6). Nothing is started before it is asked for.
 */
export class Launcher implements AsyncDisposable {
  readonly #config: Config;
  readonly #deadlines: Deadlines;
  readonly #reaper: Reaper;
  readonly #store: MemoryStore;
  readonly #registry: Registry;
  readonly #connections: Connections;
  readonly #fingerprint = new Fingerprinter(randomBytes(32));
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => void this.close();
  #closing: Promise<void> | undefined;

  constructor({ config, environment = {}, clock = systemClock, logger = silentLogger, signal }: LauncherOptions) {
    this.#config = config;
    this.#deadlines = new Deadlines(clock);
    this.#reaper = new Reaper({ clock, environment, onFailure: (error) => logger.error('the reaper of child processes failed', { error }) });
    this.#store = new MemoryStore(clock);
    const ports = {
      clock,
      reaper: this.#reaper,
      environment,
      memory: new EraMemory(this.#store, () => {}),
      clientInfo: { name: 'turnpike', version: packageVersion() },
      onStderr: (upstream: string, line: string) => logger.debug('upstream stderr', { upstream, line }),
      onDropped: (upstream: string, what: string) => logger.debug('dropped', { upstream, what }),
      onAdvice: (upstream: string, advice: string) => logger.warn(`upstream '${upstream}' ${advice}`, { upstream }),
    };
    const settings = settingsOfAll(config);
    // Never started: it knows the servers by name and how each is reached, and has no connection of its own to them.
    this.#registry = new Registry(settings, { ports, clock, profile: NO_PROFILE, onState: () => {}, onEvent: () => {} });
    this.#connections = new Connections({
      clock,
      fingerprint: this.#fingerprint,
      limits: config.pool.limits,
      idleTimeout: config.pool.idleTimeout,
      cleanupInterval: config.pool.cleanupInterval,
      closeDelay: config.pool.closeDelay,
      eraOf: () => undefined,
      connector: (upstream) => this.#registry.connector(upstream),
      onConnect: () => {},
    });
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted === true) this.#onAbort();
  }

  /** Names of all servers of the configuration, in its order. */
  serverIds(): readonly string[] {
    return this.#config.upstreams.map(({ name }) => name);
  }

  /** What is known of the connection of `key`: undefined when there is none, or nobody gets it any more. */
  getMetadata(key: ConnectionKey, options: Pick<LaunchOptions, 'caller'> = {}): ConnectionMetadata<Connection> | undefined {
    const entry = this.#connections.snapshot().find(({ id, state }) => state !== 'draining' && state !== 'closed' && this.#isOf(id, key, options));
    return entry && metadataOf<Connection>(entry, undefined);
  }

  /** Closes every connection of a session at once; resolves when they are gone, with their processes. Shared ones stay. */
  endSession(sessionId: string): Promise<void> {
    return this.#connections.endSession(sessionId);
  }

  /** Closes all connections at once; resolves when nothing is left of them. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal What `getOrLaunch` and `getOrLaunchForSession` do. */
  async launch(key: ConnectionKey, options: LaunchOptions): Promise<Connection> {
    const { signal = new AbortController().signal } = options;
    const lease = await this.#lease(key, options, signal);
    const { timeouts } = this.#upstream(key.backendId);
    const place = {
      key: { ...key },
      deadlines: this.#deadlines,
      timeouts,
      lease: (until: AbortSignal) => this.#lease(key, options, until),
      retire: () => this.#connections.retireWhere(({ id }) => this.#isOf(id, key, options), 'closed by its user'),
    };
    lease.release('ok');
    return new LaunchedConnection(place, lease.connection);
  }

  async #lease(key: ConnectionKey, options: LaunchOptions, signal: AbortSignal): Promise<ConnectionLease> {
    if (this.#closing !== undefined) throw new TurnpikeError('pool/closed', 'the launcher is closed');
    const upstream = this.#upstream(key.backendId);
    const { dir } = this.#config.store;
    if (upstream.type === 'stdio' && (upstream.cwd ?? dir) === dir) privateDirectory(dir);
    try {
      return await this.#connections.lease(key.backendId, callerOf(key, options), NO_PROFILE, signal);
    } catch (error) {
      throw signal.aborted ? signal.reason : launchFailure(error);
    }
  }

  #upstream(id: string): Config['upstreams'][number] {
    const upstream = this.#config.upstreams.find(({ name }) => name === id);
    if (upstream === undefined) throw new TurnpikeError('upstream/down', `server '${id}' not found in config`, { upstream: id });
    return upstream;
  }

  /** Whether a pool entry is one of `key`, whichever era it was opened in and whichever of several it is. */
  #isOf(id: string, key: ConnectionKey, options: Pick<LaunchOptions, 'caller'>): boolean {
    const found = partsOf(id);
    if (found[0] !== key.backendId) return false;
    const { settings, era } = this.#registry.connector(key.backendId);
    const { fingerprint, limits } = { fingerprint: this.#fingerprint, limits: this.#config.pool.limits };
    return [era, undefined].some((one) => {
      const wanted = partsOf(connectionKey(settings, { caller: callerOf(key, options), profile: NO_PROFILE, era: one, fingerprint, limits }).id);
      return wanted.every((part, index) => part === found[index]);
    });
  }

  async #close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    const drained = this.#connections.drain(AbortSignal.abort());
    await Promise.all([drained, this.#registry.stop(drained)]);
    await this.#reaper.stop();
    this.#store.close();
  }
}

/** The connection of a server that is nobody's session's, launched if there is none. Errors as `getOrLaunchForSession`. */
export function getOrLaunch(launcher: Launcher, serverId: string, options: LaunchOptions = {}): Promise<Connection> {
  return launcher.launch({ backendId: serverId, sessionId: '' }, options);
}

/**
 * The connection of a server for a session, launched if there is none. Whose it is decides the server's `sharing`:
 * `session` the session's alone, `principal` all sessions of the caller's, `shared` everybody's.
 * @throws TurnpikeError `upstream/down` for a server that is not in the configuration or cannot be reached, `upstream/timeout`
 * (`timeouts.startup`), `upstream/capacity` (`pool.limits`), `upstream/login`, `upstream/protocol`, `pool/closed`; the signal's reason.
 */
export function getOrLaunchForSession(launcher: Launcher, serverId: string, sessionId: string, options: LaunchOptions = {}): Promise<Connection> {
  return launcher.launch({ backendId: serverId, sessionId }, options);
}

function callerOf({ sessionId }: ConnectionKey, { caller = LOCAL }: Pick<LaunchOptions, 'caller'>): Caller {
  const { principal, tenant } = caller;
  return { principal, tenant, scopes: new Set(), ...(sessionId === '' ? {} : { sessionId }) };
}

/** aggregator.md section 6: `failed to create connection: CAUSE`; what says by itself why there is no connection stays. */
function launchFailure(error: unknown): TurnpikeError {
  const { code, message, details } = asTurnpikeError(error);
  if (code === 'upstream/timeout' || code === 'upstream/capacity') return asTurnpikeError(error);
  return new TurnpikeError(code, `failed to create connection: ${message}`, { ...details, cause: details.cause ?? error });
}

function partsOf(id: string): readonly string[] {
  return JSON.parse(id) as string[];
}
