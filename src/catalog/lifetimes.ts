import type { CapabilityKind, CapabilitySet } from '../core/ports.ts';

/** The caching fields of a list (protocol.md section 5). */
export interface Caching {
  readonly ttlMs: number;
  readonly cacheScope: 'public' | 'private';
}

const MAX_TTL_MS = 3_600_000;
const NOTIFIED_TTL_MS = 30_000;
const UNKNOWN: Caching = { ttlMs: 0, cacheScope: 'private' };

/** The lifetime of one upstream's part of a list; `undefined` if it has no such part. */
export function lifetimeOf(set: CapabilitySet, kind: CapabilityKind): Caching | undefined {
  const capability = set.capabilities[kind === 'templates' ? 'resources' : kind];
  if (set.lists[kind].length === 0 && capability === undefined) return undefined;
  if (set.era === 'legacy') {
    const notifies = (capability as { readonly listChanged?: unknown } | undefined)?.listChanged === true;
    return { ttlMs: notifies ? NOTIFIED_TTL_MS : 0, cacheScope: 'private' };
  }
  const own = set.caching[kind];
  if (own === undefined || !Number.isFinite(own.ttlMs)) return UNKNOWN;
  return { ttlMs: Math.min(MAX_TTL_MS, Math.max(0, Math.floor(own.ttlMs))), cacheScope: own.cacheScope === 'public' ? 'public' : 'private' };
}

/**
 * The lifetime of a merged list: the smallest, and public only if every part is and nothing was cut for the caller.
 * A list that lacks a part is to be asked for again at once.
 */
export function mergedLifetime(parts: readonly Caching[], filtered: boolean, incomplete: boolean): Caching {
  if (parts.length === 0 || incomplete) return UNKNOWN;
  const isPublic = !filtered && parts.every(({ cacheScope }) => cacheScope === 'public');
  return { ttlMs: Math.min(...parts.map(({ ttlMs }) => ttlMs)), cacheScope: isPublic ? 'public' : 'private' };
}
