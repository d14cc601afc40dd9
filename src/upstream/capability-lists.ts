import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { elements, member, objectOf, toJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, RPC } from '../core/mcp.ts';
import { CAPABILITY_KINDS, type Capability, type CapabilityKind, type CapabilitySet, type Connection } from '../core/ports.ts';
import { within } from './deadline.ts';
import { ownCall } from './own-call.ts';
import { messageOf } from './refusal.ts';

/** Bounds on what one upstream may list (protocol.md section 4, "Relay core"). */
const MAX_PAGES = 100;
const MAX_ITEMS = 10_000;
/** Of one list; pages of 16 MiB each would otherwise fill the memory. */
const MAX_BYTES = 64 * 1024 * 1024;

const METHOD: Readonly<Record<CapabilityKind, string>> = {
  tools: 'tools/list',
  prompts: 'prompts/list',
  resources: 'resources/list',
  templates: 'resources/templates/list',
};
const MEMBER: Readonly<Record<CapabilityKind, string>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  templates: 'resourceTemplates',
};
const IDENTITY: Readonly<Record<CapabilityKind, string>> = { tools: 'name', prompts: 'name', resources: 'uri', templates: 'uriTemplate' };

type Caching = { readonly ttlMs: number; readonly cacheScope: 'public' | 'private' };

export interface Listing {
  readonly items: readonly Capability[];
  readonly caching?: Caching;
}

export interface ListOptions {
  readonly upstream: string;
  readonly clock: Clock;
  /** Milliseconds for one list with all its pages. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What an upstream lists, and the lists that could not be had. */
export interface AllLists {
  readonly set: CapabilitySet;
  readonly missing: readonly CapabilityKind[];
}

/** Everything an upstream lists. `tools` must succeed if it declares them, the other lists may fail (aggregator.md section 1). */
export async function listAll(connection: Connection, options: ListOptions): Promise<AllLists> {
  const lists: Record<CapabilityKind, readonly Capability[]> = { tools: [], prompts: [], resources: [], templates: [] };
  const caching: Partial<Record<CapabilityKind, Caching>> = {};
  const missing: CapabilityKind[] = [];
  for (const kind of CAPABILITY_KINDS) {
    try {
      const listing = await listKind(connection, kind, options);
      lists[kind] = listing.items;
      if (listing.caching !== undefined) caching[kind] = listing.caching;
    } catch (error) {
      if (kind === 'tools' || options.signal.aborted || !connection.alive) throw error;
      missing.push(kind);
    }
  }
  const { era, version, serverInfo, capabilities, instructions } = connection;
  const set = { lists, caching, era, version, serverInfo, capabilities, ...(instructions ? { instructions } : {}) };
  return { set, missing };
}

/**
 * One list, within its deadline. Empty when the upstream does not declare it. Throws `upstream/protocol` when it refuses or
 * answers something else, `upstream/timeout`, and what the connection throws.
 */
export async function listKind(connection: Connection, kind: CapabilityKind, options: ListOptions): Promise<Listing> {
  if (!declares(connection.capabilities, kind)) return { items: [] };
  const { upstream, clock, timeoutMs: ms, signal } = options;
  const late = () =>
    new TurnpikeError('upstream/timeout', `upstream '${upstream}' did not answer ${METHOD[kind]} within ${ms / 1000}s`, { upstream });
  return within({ clock, ms, late, signals: [signal] }, (until) => gather(connection, upstream, kind, until));
}

export function declares(capabilities: JsonObject, kind: CapabilityKind): boolean {
  return isJsonObject(capabilities[capabilityOf(kind)]);
}

/** Whether the upstream says that it tells of changes. */
export function announces(capabilities: JsonObject, kind: CapabilityKind): boolean {
  const declared = capabilities[capabilityOf(kind)];
  return isJsonObject(declared) && declared.listChanged === true;
}

/** A set with one list replaced. */
export function withListing(set: CapabilitySet, kind: CapabilityKind, { items, caching }: Listing): CapabilitySet {
  const { [kind]: _, ...others } = set.caching;
  return { ...set, lists: { ...set.lists, [kind]: items }, caching: caching === undefined ? others : { ...others, [kind]: caching } };
}

/** Whether two lists are the same to the byte: the whole definitions count, not the names. */
export function sameItems(a: readonly Capability[], b: readonly Capability[]): boolean {
  return a.length === b.length && a.every((item, index) => b[index]?.bytes.equals(item.bytes) === true);
}

export function sameLists(a: CapabilitySet, b: CapabilitySet): boolean {
  return CAPABILITY_KINDS.every((kind) => sameItems(a.lists[kind], b.lists[kind]));
}

function capabilityOf(kind: CapabilityKind): string {
  return kind === 'templates' ? 'resources' : kind;
}

async function gather(connection: Connection, upstream: string, kind: CapabilityKind, signal: AbortSignal): Promise<Listing> {
  const items: Capability[] = [];
  const seen = new Set<string>();
  let cursor: string | undefined;
  let caching: Caching | undefined;
  let size = 0;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params = objectOf({ cursor: cursor === undefined ? undefined : toJson(cursor) });
    const answer = await connection.request(ownCall(METHOD[kind], params, signal));
    if (answer.kind === 'error') {
      if (answer.code === RPC.methodNotFound && kind !== 'tools') return { items: [] };
      throw refused(upstream, `refused ${METHOD[kind]} (code ${answer.code})`, messageOf(answer.error));
    }
    const result = JSON.parse(answer.result.toString('utf8')) as JsonObject;
    const found = itemsOf(answer.result, result, kind);
    if (found === undefined) throw refused(upstream, `answered ${METHOD[kind]} without a list`);
    items.push(...found.slice(0, MAX_ITEMS - items.length));
    size += answer.result.length;
    if (size > MAX_BYTES) throw refused(upstream, `lists more than ${MAX_BYTES / 2 ** 20} MiB in ${METHOD[kind]}`);
    caching = merged(caching, result, page === 0);
    const next = result.nextCursor;
    // A cursor seen before is a loop: what was gathered is all there is.
    if (typeof next !== 'string' || seen.has(next) || items.length >= MAX_ITEMS) break;
    seen.add(next);
    cursor = next;
  }
  return caching === undefined ? { items } : { items, caching };
}

function itemsOf(bytes: Buffer, result: JsonObject, kind: CapabilityKind): Capability[] | undefined {
  const list = member(bytes, MEMBER[kind]);
  const parsed = result[MEMBER[kind]];
  if (list === undefined || !Array.isArray(parsed)) return undefined;
  const own = elements(list);
  return parsed.flatMap((item: unknown, index) => {
    const definition = own[index];
    const id = isJsonObject(item) ? item[IDENTITY[kind]] : undefined;
    // A copy: a slice would keep the whole page in memory.
    return isJsonObject(item) && definition !== undefined && typeof id === 'string' ? [{ id, bytes: Buffer.from(definition), parsed: item }] : [];
  });
}

function refused(upstream: string, what: string, reason?: string): TurnpikeError {
  return new TurnpikeError('upstream/protocol', `upstream '${upstream}' ${what}`, { upstream, ...(reason === undefined ? {} : { reason }) });
}

function merged(before: Caching | undefined, result: JsonObject, first: boolean): Caching | undefined {
  const { ttlMs, cacheScope } = result;
  if (typeof ttlMs !== 'number' || !Number.isInteger(ttlMs) || ttlMs < 0) return undefined;
  const own: Caching = { ttlMs, cacheScope: cacheScope === 'public' ? 'public' : 'private' };
  if (first || before === undefined) return first ? own : undefined;
  return {
    ttlMs: Math.min(before.ttlMs, own.ttlMs),
    cacheScope: before.cacheScope === 'public' && own.cacheScope === 'public' ? 'public' : 'private',
  };
}
