import { TurnpikeError } from '../core/errors.ts';
import { elements, member, objectOf, toJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, RPC } from '../core/mcp.ts';
import { CAPABILITY_KINDS, type Capability, type CapabilityKind, type CapabilitySet, type Connection } from '../core/ports.ts';
import { ownCall } from './handshake.ts';

/** Bounds on what one upstream may list (protocol.md section 4, "Relay core"). */
const MAX_PAGES = 100;
const MAX_ITEMS = 10_000;

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

interface Listing {
  readonly items: readonly Capability[];
  readonly caching?: Caching;
}

/** Everything an upstream lists. `tools` must succeed if it declares them, the other lists may fail (aggregator.md section 1). */
export async function listAll(connection: Connection, upstream: string, signal: AbortSignal): Promise<CapabilitySet> {
  const lists: Partial<Record<CapabilityKind, readonly Capability[]>> = {};
  const caching: Partial<Record<CapabilityKind, Caching>> = {};
  for (const kind of CAPABILITY_KINDS) {
    const listing = await listKind(connection, upstream, kind, signal);
    lists[kind] = listing.items;
    if (listing.caching !== undefined) caching[kind] = listing.caching;
  }
  const { era, version, serverInfo, capabilities, instructions } = connection;
  return {
    lists: lists as CapabilitySet['lists'],
    caching,
    era,
    version,
    serverInfo,
    capabilities,
    ...(instructions ? { instructions } : {}),
  };
}

/** One list again, after `list_changed`. */
export async function relist(
  set: CapabilitySet,
  connection: Connection,
  upstream: string,
  kind: CapabilityKind,
  signal: AbortSignal,
): Promise<CapabilitySet> {
  const { items, caching } = await listKind(connection, upstream, kind, signal);
  const { [kind]: _, ...others } = set.caching;
  return { ...set, lists: { ...set.lists, [kind]: items }, caching: caching === undefined ? others : { ...others, [kind]: caching } };
}

/** Whether two listings are the same to the byte: the whole definitions count, not the names. */
export function sameLists(a: CapabilitySet, b: CapabilitySet): boolean {
  return CAPABILITY_KINDS.every(
    (kind) =>
      a.lists[kind].length === b.lists[kind].length &&
      a.lists[kind].every((item, index) => item.bytes.equals(b.lists[kind][index]?.bytes ?? Buffer.alloc(0))),
  );
}

async function listKind(connection: Connection, upstream: string, kind: CapabilityKind, signal: AbortSignal): Promise<Listing> {
  const declared = connection.capabilities[kind === 'templates' ? 'resources' : kind];
  if (!isJsonObject(declared)) return { items: [] };
  try {
    return await gather(connection, upstream, kind, signal);
  } catch (error) {
    if (kind === 'tools' || signal.aborted || !(error instanceof ListRefused)) throw error;
    return { items: [] };
  }
}

/** The upstream answered a list request with an error of its own. */
class ListRefused extends TurnpikeError {}

async function gather(connection: Connection, upstream: string, kind: CapabilityKind, signal: AbortSignal): Promise<Listing> {
  const items: Capability[] = [];
  const seen = new Set<string>();
  let cursor: string | undefined;
  let caching: Caching | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params = objectOf({ cursor: cursor === undefined ? undefined : toJson(cursor) });
    const answer = await connection.request(ownCall(METHOD[kind], params, signal));
    if (answer.kind === 'error') {
      if (answer.code === RPC.methodNotFound && kind !== 'tools') return { items: [] };
      const { message } = JSON.parse(answer.error.toString('utf8')) as { message: string };
      throw new ListRefused('upstream/protocol', `upstream '${upstream}' refused ${METHOD[kind]}: ${message}`, { upstream });
    }
    const result = JSON.parse(answer.result.toString('utf8')) as JsonObject;
    const list = member(answer.result, MEMBER[kind]);
    const parsed = result[MEMBER[kind]];
    if (list === undefined || !Array.isArray(parsed)) {
      throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' answered ${METHOD[kind]} without a list`, { upstream });
    }
    const bytes = elements(list);
    parsed.forEach((item: unknown, index) => {
      const own = bytes[index];
      if (!isJsonObject(item) || own === undefined) return;
      const id = item[IDENTITY[kind]];
      if (typeof id === 'string' && items.length < MAX_ITEMS) items.push({ id, bytes: Buffer.from(own), parsed: item });
    });
    caching = merged(caching, result, page === 0);
    const next = result.nextCursor;
    // A cursor seen before is a loop: what was gathered is all there is.
    if (typeof next !== 'string' || seen.has(next) || items.length >= MAX_ITEMS) break;
    seen.add(next);
    cursor = next;
  }
  return caching === undefined ? { items } : { items, caching };
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
