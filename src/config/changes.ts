import { isJsonObject } from '../core/mcp.ts';
import { Secret } from '../core/secret.ts';
import { CONFIG_TREE } from './keys.ts';
import type { Config, UpstreamConfig } from './schema.ts';
import type { Node } from './tree.ts';

/** What becomes of a configuration that is laid over a running one. Names only: nothing in it is a value. */
export interface Merged {
  /** The new one, with whatever needs a restart as it is now. */
  readonly config: Config;
  /** Settings that change, upstreams apart: `limits.ip`. */
  readonly changed: readonly string[];
  /** Settings that would change, were the gateway started again. */
  readonly needsRestart: string[];
}

/**
 * Lays a configuration over the running one, by `reload` of each declaration (`leaf.ts`).
 * @param isDefault whether a setting of the new one was given by nobody
 */
export function mergeConfig(running: Config, next: Config, isDefault: (path: string) => boolean): Merged {
  const changed: string[] = [];
  const needsRestart: string[] = [];
  const merged = merge(CONFIG_TREE, running, next, { path: '', reload: true, changed, needsRestart }) as Config;
  const listen = { ...merged.listen };
  const { allowedHosts } = running.listen;
  // A default that is made from settings that stay as they are stays, too.
  if (isDefault('listen.allowedHosts') && needsRestart.some((path) => path === 'listen.host' || path === 'listen.publicUrl')) {
    listen.allowedHosts = allowedHosts;
    remove(changed, 'listen.allowedHosts');
  }
  if (isDefault('listen.publicUrl') && needsRestart.some((path) => path === 'listen.host' || path === 'listen.port' || path.startsWith('listen.tls')))
    remove(needsRestart, 'listen.publicUrl');
  const stateDir = next.store.dir;
  const upstreams = next.upstreams.map((upstream): UpstreamConfig => {
    const isThere = upstream.type === 'stdio' && upstream.cwd === stateDir;
    return isThere ? { ...upstream, cwd: running.store.dir } : upstream;
  });
  return { config: { ...merged, listen, upstreams }, changed, needsRestart };
}

interface Walk {
  readonly path: string;
  readonly reload: boolean;
  readonly changed: string[];
  readonly needsRestart: string[];
}

function merge(node: Node, running: unknown, next: unknown, walk: Walk): unknown {
  const reload = walk.reload && node.declaration.reload !== false;
  if (node.type !== 'object' || !isJsonObject(running) || !isJsonObject(next)) {
    if (sameValue(running, next)) return running;
    (reload ? walk.changed : walk.needsRestart).push(walk.path);
    return reload ? next : running;
  }
  const merged: Record<string, unknown> = {};
  for (const [key, child] of node.keys) {
    if (key === 'upstreams' && walk.path === '') continue;
    const value = merge(child, running[key], next[key], { ...walk, reload, path: walk.path === '' ? key : `${walk.path}.${key}` });
    if (value !== undefined) merged[key] = value;
  }
  return merged;
}

/** Whether two values of configurations are the same, secrets by what they hold. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (a instanceof Secret || b instanceof Secret) return a instanceof Secret && b instanceof Secret && a.matches(b.reveal());
  if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, index) => sameValue(item, b[index]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]));
}

function remove(list: string[], item: string): void {
  const at = list.indexOf(item);
  if (at !== -1) list.splice(at, 1);
}
