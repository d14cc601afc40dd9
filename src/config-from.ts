import { resolve } from 'node:path';
import type { input } from 'zod';
import { MAX_FILE_BYTES } from './config/document.ts';
import { loadConfig } from './config/load.ts';
import type { Config, configSchema } from './config/schema.ts';
import { processSources, readFileBounded } from './config/sources.ts';

/** What may stand in `turnpike.yaml`, as an object. */
export type ConfigDocument = input<typeof configSchema>;

export interface ConfigFromOptions {
  /** What `${env:NAME}` and `TURNPIKE_*` are read from. Default: nothing, so a program's configuration is what it says. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where relative paths count from; absolute. Default: the working directory. */
  readonly cwd?: string;
}

/**
 * A configuration from an object, checked and completed as a file is, for programs that embed us. Unlike in a file, `store.type`
 * is `memory` by default, and `store.dir` `.turnpike` in `cwd`: nothing is written in a home directory that nobody named.
 * @throws TurnpikeError `config/invalid`; its message names every key that is wrong.
 */
export async function configFrom(document: ConfigDocument, { env = {}, cwd = processSources().cwd }: ConfigFromOptions = {}): Promise<Config> {
  const name = 'configuration.json';
  const own = resolve(cwd, name);
  const { store, ...others } = document;
  const bytes = Buffer.from(JSON.stringify({ ...others, store: { dir: '.turnpike', ...store } }));
  const readFile = async (path: string) => (path === own ? bytes : readFileBounded(path, MAX_FILE_BYTES));
  const { config } = await loadConfig({ file: name, cwd, env, stdio: true, readFile });
  return config;
}
