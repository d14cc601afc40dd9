import type { Caching } from '../../catalog/lifetimes.ts';
import { hasScheme } from '../../catalog/names.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { type Exchange, exchangeWith } from '../../core/exchange.ts';
import { type Edits, editObject, elements, member, toJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { within } from '../../upstream/deadline.ts';
import { callUpstream } from '../call.ts';
import type { Services } from '../services.ts';

/** Bounds on what one upstream may list (protocol.md section 4, "Relay core"). */
const MAX_PAGES = 100;
const MAX_ITEMS = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_TTL_MS = 3_600_000;

/** One entry of `skills/list`: its identity parsed, the rest as bytes. */
export interface SkillEntry {
  readonly upstream: string;
  /** The upstream's own URI of `SKILL.md`. */
  readonly uri: string;
  /** URIs of all files that it names, `SKILL.md` included; none for a dynamic skill. */
  readonly files: readonly string[];
  readonly bytes: Buffer;
}

export interface SkillListing {
  readonly upstream: string;
  readonly entries: readonly SkillEntry[];
  readonly caching: Caching;
}

/**
 * All skills that one upstream lists for this caller, within the time of one call. Throws `upstream/protocol` when it refuses or
 * answers something else, `upstream/timeout`, and what `callUpstream` throws.
 */
export async function gatherSkills(services: Services, exchange: Exchange, upstream: string): Promise<SkillListing> {
  const ms = services.settings.upstreams.get(upstream)?.timeouts.call ?? 0;
  const late = () => new TurnpikeError('upstream/timeout', `upstream '${upstream}' did not answer skills/list within ${ms / 1000}s`, { upstream });
  return within({ clock: services.clock, ms, late, signals: [exchange.signal] }, (signal) =>
    gather(services, exchangeWith(exchange, { signal }), upstream),
  );
}

async function gather(services: Services, exchange: Exchange, upstream: string): Promise<SkillListing> {
  const wrong = (what: string) => new TurnpikeError('upstream/protocol', `upstream '${upstream}' ${what}`, { upstream });
  const entries: SkillEntry[] = [];
  const seen = new Set<string>();
  const cursors = new Set<string>();
  let caching: Caching | undefined;
  let cursor: string | undefined;
  let size = 0;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await ask(services, exchange, upstream, cursor);
    if (answer.kind === 'error') throw wrong(`refused skills/list (code ${answer.code})`);
    const body = JSON.parse(answer.result.toString('utf8')) as JsonObject;
    const list = Array.isArray(body.skills) ? member(answer.result, 'skills') : undefined;
    if (list === undefined) throw wrong('answered skills/list without a list');
    size += answer.result.length;
    if (size > MAX_BYTES) throw wrong(`lists more than ${MAX_BYTES / 2 ** 20} MiB in skills/list`);
    for (const bytes of elements(list)) {
      const entry = entryOf(upstream, bytes);
      // The same skill twice is one skill; what has no URI cannot be asked for.
      if (entry === undefined || seen.has(entry.uri) || entries.length >= MAX_ITEMS) continue;
      seen.add(entry.uri);
      entries.push(entry);
    }
    caching = smaller(caching, lifetimeOf(body));
    const next = body.nextCursor;
    // A cursor seen before is a loop: what was gathered is all there is.
    if (typeof next !== 'string' || cursors.has(next) || entries.length >= MAX_ITEMS) break;
    cursors.add(next);
    cursor = next;
  }
  return { upstream, entries, caching: caching ?? UNKNOWN };
}

/** One page, asked for as the caller; several upstreams answer at once, so nobody's progress is the client's. */
function ask(services: Services, exchange: Exchange, upstream: string, cursor: string | undefined) {
  const params = editObject(exchange.params, {
    cursor: cursor === undefined ? undefined : toJson(cursor),
    inputResponses: undefined,
    requestState: undefined,
  });
  const body = JSON.parse(params.toString('utf8')) as JsonObject;
  const page = exchangeWith(exchange, { params, body, progressToken: undefined });
  return callUpstream(services, page, { upstream, original: 'skills/list', method: 'skills/list', params, repeatable: true });
}

function entryOf(upstream: string, bytes: Buffer): SkillEntry | undefined {
  const parsed: unknown = JSON.parse(bytes.toString('utf8'));
  if (!isJsonObject(parsed) || typeof parsed.uri !== 'string' || !hasScheme(parsed.uri)) return undefined;
  const files = (Array.isArray(parsed.resources) ? parsed.resources : []).flatMap((file: unknown) =>
    isJsonObject(file) && typeof file.uri === 'string' ? [file.uri] : [],
  );
  return { upstream, uri: parsed.uri, files, bytes: Buffer.from(bytes) };
}

const UNKNOWN: Caching = { ttlMs: 0, cacheScope: 'private' };

/** The caching fields of an answer as they may be passed on (protocol.md section 5). */
function lifetimeOf({ ttlMs, cacheScope }: JsonObject): Caching {
  if (typeof ttlMs !== 'number' || !Number.isInteger(ttlMs) || ttlMs < 0) return UNKNOWN;
  return { ttlMs: Math.min(ttlMs, MAX_TTL_MS), cacheScope: cacheScope === 'public' ? 'public' : 'private' };
}

/** Edits that give a result its caching fields; none where they are right already. */
export function cachingEdits(body: JsonObject): Edits {
  const { ttlMs, cacheScope } = lifetimeOf(body);
  return {
    ...(body.ttlMs === ttlMs ? {} : { ttlMs: toJson(ttlMs) }),
    ...(body.cacheScope === cacheScope ? {} : { cacheScope: toJson(cacheScope) }),
  };
}

function smaller(a: Caching | undefined, b: Caching): Caching {
  if (a === undefined) return b;
  return { ttlMs: Math.min(a.ttlMs, b.ttlMs), cacheScope: a.cacheScope === 'public' ? b.cacheScope : 'private' };
}
