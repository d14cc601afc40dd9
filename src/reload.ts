import type { Catalog } from './catalog/catalog.ts';
import { compilePolicy } from './catalog/policy.ts';
import { mergeConfig, sameValue } from './config/changes.ts';
import type { LoadedConfig } from './config/load.ts';
import type { Config, UpstreamConfig } from './config/schema.ts';
import { secretValues } from './config/secret-values.ts';
import { unpinnedLaunches } from './config/unpinned.ts';
import { refusals, weakenedSettings } from './config/weakened.ts';
import { type Caller, type Principal, principalOf } from './core/caller.ts';
import type { Clock } from './core/clock.ts';
import { asTurnpikeError, TurnpikeError } from './core/errors.ts';
import type { JsonObject } from './core/mcp.ts';
import type { Secret } from './core/secret.ts';
import type { Listeners } from './edge/listeners.ts';
import type { Sessions } from './edge/sessions.ts';
import type { Front } from './front.ts';
import type { GitLabOnDemand } from './gitlab-on-demand.ts';
import { type InForce, inForce, revokedBy } from './in-force.ts';
import type { ParkingLot } from './router/parking/parking-lot.ts';
import type { Instruments } from './telemetry/instruments.ts';
import type { Logger } from './telemetry/log.ts';
import type { Connections } from './upstream/connections.ts';
import type { Registry } from './upstream/registry.ts';
import { needsReconnect } from './upstream/settings.ts';
import { settingsOfAll, upstreamSettings } from './wiring.ts';

/** A configuration that is to be put in force. */
export interface NextConfig extends Pick<LoadedConfig, 'config'> {
  /** Which settings nobody gave. Without it, a default that is made from other settings is taken for one wherever it matters. */
  readonly provenance?: LoadedConfig['provenance'];
  /** Files that the configuration names and that hold something else now: certificates are read when connections are made. */
  readonly touched?: readonly string[];
}

/** What a reload did. Names only. */
export interface ReloadReport {
  /** Settings that have other values now, upstreams apart. */
  readonly changed: readonly string[];
  readonly upstreams: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    /** Connected anew. */
    readonly restarted: readonly string[];
    /** Changed without touching a connection. */
    readonly updated: readonly string[];
  };
  /** Settings whose change takes effect with the next start only. */
  readonly needsRestart: readonly string[];
}

export interface ReloadOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stdio: boolean;
  readonly serverInfo: JsonObject;
  readonly instruments: Instruments;
  readonly gitlab: GitLabOnDemand;
  readonly front: Front;
  readonly registry: Registry;
  readonly connections: Connections;
  readonly catalog: Catalog;
  readonly sessions: Sessions;
  readonly listeners: Listeners;
  readonly parking: ParkingLot;
  /** What the audit log masks; replaced in place. */
  readonly secrets: Secret[];
  /** Ends what is started. */
  readonly stopped: AbortSignal;
  readonly draining: AbortSignal;
  readonly now: () => InForce;
  readonly put: (next: InForce) => void;
  /** Reads the certificate of our listener again; as `Listening.renew`. */
  readonly renewListener: () => Promise<() => void>;
  /** Makes what a configuration needs on disk. Throws when that cannot be had. */
  readonly prepare: (config: Config) => void;
}

/** Puts other configurations in force while the gateway runs (aggregator.md 1: a failed reload keeps the running set). */
export class Reload {
  readonly #options: ReloadOptions;
  #last: JsonObject | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ReloadOptions) {
    this.#options = options;
  }

  /** For `/health`. */
  get last(): JsonObject | undefined {
    return this.#last;
  }

  /**
   * Loads a configuration and puts it in force, one at a time. What is wrong with it is thrown (`config/invalid`, `config/refused`,
   * whatever `load` throws), and everything stays as it is.
   */
  run(load: () => Promise<NextConfig>): Promise<ReloadReport> {
    const result = this.#turn.then(() => this.#run(load));
    this.#turn = result.catch(() => {});
    return result;
  }

  async #run(load: () => Promise<NextConfig>): Promise<ReloadReport> {
    const { clock, logger, draining, gitlab } = this.#options;
    try {
      const next = await load();
      await gitlab.load(next.config);
      const renew = this.#isListenerTouched(next) ? await this.#options.renewListener() : undefined;
      // Nothing is waited for behind this: what is put in force while the gateway ends would never end.
      if (draining.aborted) throw new TurnpikeError('gateway/draining');
      const applied = this.#apply(next);
      renew?.();
      const report = renew === undefined ? applied : { ...applied, changed: [...applied.changed, 'listen.tls'] };
      this.#last = { at: new Date(clock.now()).toISOString(), result: 'ok', needsRestart: report.needsRestart };
      this.#say(report);
      return report;
    } catch (error) {
      const { code, message } = asTurnpikeError(error);
      this.#last = { at: new Date(clock.now()).toISOString(), result: 'failed', error: message };
      logger.error('the configuration was not reloaded; the running one stays', { code, problems: message.split('\n').length });
      throw error;
    }
  }

  /** Whether the certificate of our own listener, or its key, is another under the same name. */
  #isListenerTouched({ touched = [] }: NextConfig): boolean {
    const { tls } = this.#options.now().config.listen;
    return tls !== undefined && touched.some((file) => file === tls.certFile || file === tls.keyFile);
  }

  /** In one step: no request finds a part of the one and a part of the other. */
  #apply(next: NextConfig): ReloadReport {
    const { clock, serverInfo, instruments, gitlab, front, registry, connections, catalog, stdio, prepare, put, stopped } = this.#options;
    const before = this.#options.now();
    const isDefault = (path: string) => (next.provenance?.get(path)?.source ?? 'default') === 'default';
    const { config, changed, needsRestart } = mergeConfig(before.config, next.config, isDefault);
    const refused = refusals(config, { stdio });
    if (refused.length > 0) throw new TurnpikeError('config/refused', refused.join('\n'));
    const upstreams = upstreamChanges(before.config, config, new Set(next.touched));
    const report = { changed, upstreams, needsRestart };
    const names = Object.values(upstreams).flat();
    if (changed.length === 0 && names.length === 0 && sameNames(before.config, config)) return report;
    // Everything that can fail comes first.
    compilePolicy(config);
    prepare(config);
    const after = inForce(config, { clock, serverInfo, instruments, gitlab, front }, before);
    const restarted = new Set(upstreams.restarted);
    gitlab.reconfigure(config, (name) => !restarted.has(name));
    put(after);
    const begin = registry.replace(settingsOfAll(config), {
      restarts: (name) => restarted.has(name),
      retire: (name, own) => connections.retire(name, own),
    });
    catalog.reconfigure(config);
    this.revoke(revokedBy(before.config.auth, config.auth, gitlab));
    this.#watchOver(before.config, config);
    catalog.announce(new Set([...config.upstreams.map(({ name }) => name), ...names]));
    void begin(stopped);
    return report;
  }

  /** Whoever may not come in any more loses what they left here, at once. */
  revoke(isRevoked: (principal: Principal) => boolean): void {
    const { sessions, listeners, parking, connections } = this.#options;
    const isGone = ({ principal }: Caller) => isRevoked(principal);
    void parking.end(new TurnpikeError('auth/invalid'), isGone).catch(() => {});
    sessions.endOf(isGone);
    listeners.endOf(isGone);
    void connections.endOwners((owner) => isRevoked(principalOf(owner)));
  }

  /** What is masked, warned about and logged. */
  #watchOver(before: Config, after: Config): void {
    const { instruments, logger, secrets, stdio } = this.#options;
    // What leaves may still be repeated by an upstream that was sent it.
    secrets.splice(0, secrets.length, ...secretValues(after), ...secretValues(before));
    const known = new Set(weakenedSettings(before, { stdio }).map(({ setting }) => setting));
    const weak = weakenedSettings(after, { stdio });
    instruments.weakenedAre(weak.map(({ setting }) => setting));
    for (const { setting, why } of weak) if (!known.has(setting)) logger.warn(`weakened: ${setting}`, { setting, why });
    const loose = new Set(unpinnedLaunches(before).map(({ line }) => line));
    for (const launch of unpinnedLaunches(after)) {
      if (!loose.has(launch.line)) logger.warn('config/unpinned: the launch line fetches a package without a fixed version', { ...launch });
    }
    logger.setLevel?.(after.telemetry.log.level);
  }

  #say({ changed, upstreams, needsRestart }: ReloadReport): void {
    const { logger } = this.#options;
    const isNothing = changed.length === 0 && Object.values(upstreams).flat().length === 0;
    if (!isNothing) logger.info('the configuration was reloaded', { changed, upstreams });
    else if (needsRestart.length === 0) logger.info('the configuration was read again and is the same');
    if (needsRestart.length > 0) logger.warn(`what changed in ${needsRestart.join(', ')} needs a restart`, { needsRestart });
  }
}

function upstreamChanges(before: Config, after: Config, touched: ReadonlySet<string>): ReloadReport['upstreams'] {
  const was = new Map(before.upstreams.map((upstream) => [upstream.name, upstream]));
  const added: string[] = [];
  const restarted: string[] = [];
  const updated: string[] = [];
  for (const upstream of after.upstreams) {
    const { name } = upstream;
    const known = was.get(name);
    was.delete(name);
    if (known === undefined) added.push(name);
    else if (needsReconnect(upstreamSettings(known, before), upstreamSettings(upstream, after)) || usesAny(upstream, touched)) restarted.push(name);
    else if (!sameValue(known, upstream)) updated.push(name);
  }
  return { added, removed: [...was.keys()], restarted, updated };
}

function usesAny(upstream: UpstreamConfig, files: ReadonlySet<string>): boolean {
  if (upstream.type === 'stdio' || upstream.tls === undefined) return false;
  const { caFile, certFile, keyFile } = { certFile: undefined, keyFile: undefined, ...upstream.tls };
  return [caFile, certFile, keyFile].some((file) => file !== undefined && files.has(file));
}

/** In the same order, too: that is how they are listed. */
function sameNames(before: Config, after: Config): boolean {
  return sameValue(
    before.upstreams.map(({ name }) => name),
    after.upstreams.map(({ name }) => name),
  );
}
