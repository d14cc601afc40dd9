import { resolve } from 'node:path';
import { type LoadedConfig, type LoadInput, loadConfig } from '../config/load.ts';
import { unpinnedLaunches } from '../config/unpinned.ts';
import { refusals, weakenedSettings } from '../config/weakened.ts';
import type { StandaloneSettings } from '../front.ts';
import type { ProxySettings } from '../net/proxy-choice.ts';
import type { Surroundings } from './surroundings.ts';

/** What `serve` and `check` were told about the configuration. */
export interface ConfigOptions {
  readonly file?: string;
  /** What stands in `file`, which is the name of no file then. */
  readonly document?: Buffer;
  /** As `GatewayOverrides.proxies`. */
  readonly proxies?: ProxySettings;
  /** As `GatewayOverrides.standalone`. */
  readonly standalone?: StandaloneSettings;
  readonly stdio: boolean;
  /** As `flagOptions` names them. */
  readonly flags: Readonly<Record<string, string | boolean>>;
  /** What is wrong with `document`, in the words of whoever did not write it. */
  readonly retell?: (problem: string) => string;
  /** As `LoadInput.readFile`. */
  readonly readFile?: LoadInput['readFile'];
}

/** A configuration with everything that is to be said about it. */
export interface JudgedConfig {
  readonly loaded: LoadedConfig;
  /** Settings in use that weaken a protection, and launch lines that fetch what nobody fixed; a gateway logs these itself. */
  readonly weaknesses: readonly string[];
  /** Why it may not be started with; empty: it may. */
  readonly refused: readonly string[];
}

/** Loads and judges the configuration. No I/O but reading files. Throws `config/invalid`. */
export async function judgedConfig(
  { file, document, stdio, flags, readFile: read }: ConfigOptions,
  { cwd, env }: Surroundings,
): Promise<JudgedConfig> {
  const own = file === undefined ? undefined : resolve(cwd, file);
  const readFile: LoadInput['readFile'] =
    document === undefined ? read : async (path) => (path === file || path === own ? document : (read ?? unread)(path));
  const loaded = await loadConfig({
    ...(file === undefined ? {} : { file }),
    cwd,
    env,
    flags,
    stdio,
    ...(readFile === undefined ? {} : { readFile }),
  });
  const { config } = loaded;
  const weak = weakenedSettings(config, { stdio }).map(({ setting, why }) => `${setting}: ${why}`);
  const refused = refusals(config, { stdio });
  // What is refused anyway need not be warned about.
  const unpinned = config.policy.requirePinned ? [] : unpinnedLaunches(config);
  const loose = unpinned.map(({ upstream, line, package: name }) => `upstream '${upstream}': '${line}' fetches ${name} without a fixed version`);
  return { loaded, weaknesses: [...weak, ...loose], refused };
}

function unread(): Promise<never> {
  return Promise.reject(Object.assign(new Error('ENOENT: there are no files here'), { code: 'ENOENT' }));
}
