import { readFileSync } from 'node:fs';
import { isJsonObject } from './core/mcp.ts';

/** The version of this package. `package.json` is one folder up, from the sources and from `dist` alike. */
export function packageVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  if (!isJsonObject(parsed) || typeof parsed.version !== 'string') throw new TypeError('package.json has no version');
  return parsed.version;
}
