import { Catalog } from '../../catalog/catalog.ts';
import type { Config } from '../../config/schema.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import type { UpstreamSnapshot } from '../../core/ports.ts';
import { privateDirectory } from '../../store/private-file.ts';
import { EraMemory, type EraStore } from '../../upstream/era-memory.ts';
import { Reaper } from '../../upstream/process/reaper.ts';
import { Registry } from '../../upstream/registry.ts';
import { packageVersion } from '../../version.ts';
import { settingsOfAll } from '../../wiring.ts';
import { gitlabUnused } from '../gitlab-unused.ts';

export interface SurveyOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** For the first attempt of all upstreams. Milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/** What the upstreams of a configuration offer now. */
export interface Survey {
  readonly snapshots: readonly UpstreamSnapshot[];
  /** As callers see it, by their tenants. */
  readonly catalog: Catalog;
  /** As somebody would see it who may see every upstream. */
  readonly whole: Catalog;
  /** Why an upstream could not be asked, for operators. */
  readonly failures: ReadonlyMap<string, string>;
}

const NO_MEMORY: EraStore = { get: async () => undefined, set: async () => true, delete: async () => true };

/**
 * Starts every upstream, asks what it offers, hands that to `work`, and ends all of it. A gateway that runs meanwhile is not touched:
 * nothing of its store is opened.
 */
export async function survey<T>(config: Config, { environment, clock, timeout, signal }: SurveyOptions, work: (survey: Survey) => T): Promise<T> {
  await using parts = new AsyncDisposableStack();
  const { dir } = config.store;
  if (config.upstreams.some((upstream) => upstream.type === 'stdio' && (upstream.cwd ?? dir) === dir)) privateDirectory(dir);
  const reaper = new Reaper({ clock, environment, onFailure: () => {} });
  parts.defer(() => reaper.stop());
  const failures = new Map<string, string>();
  const gitlab = parts.use(await gitlabUnused(config, clock));
  const registry = parts.use(
    new Registry(settingsOfAll(config), {
      ports: {
        clock,
        reaper,
        environment,
        memory: new EraMemory(NO_MEMORY, () => {}),
        clientInfo: { name: 'turnpike', version: packageVersion() },
        onStderr: () => {},
        onDropped: () => {},
        transport: ({ name }) => gitlab.transport(name),
      },
      clock,
      profile: config.bridge.interactive.join(''),
      onState: (upstream, _state, error) => {
        if (error !== undefined) failures.set(upstream, error);
      },
      onEvent: () => {},
    }),
  );
  const enough = new AbortController();
  const until = AbortSignal.any([signal, enough.signal]);
  await Promise.race([registry.start(until), sleep(clock, timeout, until)]);
  signal.throwIfAborted();
  const settings = { catalog: config.catalog, policy: config.policy, upstreams: config.upstreams };
  using catalog = new Catalog(settings, registry, { clock });
  using whole = new Catalog({ ...settings, upstreams: config.upstreams.map((upstream) => ({ ...upstream, tenants: undefined })) }, registry, {
    clock,
  });
  const result = work({ snapshots: registry.snapshot(), catalog, whole, failures });
  enough.abort();
  return result;
}
