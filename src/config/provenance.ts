import { isJsonObject } from '../core/mcp.ts';
import { Secret } from '../core/secret.ts';
import type { Draft, Origin } from './draft.ts';
import type { Config } from './schema.ts';
import { type Path, pathText } from './tree.ts';

/** One value of the finished configuration that has no settings inside. */
export interface Value {
  readonly path: Path;
  readonly value: unknown;
}

/** Whether a value of the finished configuration has settings inside: mappings, and lists of mappings. */
export function hasSettings(value: unknown): value is Record<string, unknown> | unknown[] {
  if (Array.isArray(value)) return value.some((one) => isJsonObject(one) && !(one instanceof Secret));
  return isJsonObject(value) && !(value instanceof Secret) && !(value instanceof Date) && Object.keys(value).length > 0;
}

/** Every value of the finished configuration. */
export function valuesOf(config: unknown, path: Path = []): Value[] {
  if (!hasSettings(config)) return [{ path, value: config }];
  return Object.entries(config).flatMap(([name, child]) => valuesOf(child, [...path, Array.isArray(config) ? Number(name) : name]));
}

/** Where each value came from, by its path. */
export function provenanceOf(config: Config, draft: Draft): Map<string, Origin> {
  const origins = new Map(valuesOf(config).map(({ path }) => [pathText(path), draft.origin(path)]));
  // Two short forms stand for one entry of a list.
  const short = draft.origin(['store', 'encryptionKey']);
  if (short.source !== 'default') origins.set('store.encryptionKeys[0].key', short);
  for (const index of config.upstreams.keys()) {
    const url = draft.origin(['upstreams', index, 'url']);
    if (url.source !== 'default') origins.set(pathText(['upstreams', index, 'endpoints', 0, 'url']), url);
  }
  return origins;
}
