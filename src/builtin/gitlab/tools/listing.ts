import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import type { ApiPage, Query } from '../client/api.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import type { Work } from './declaration.ts';
import type { ProducedList } from './produced.ts';
import { pathOf, routeOf, sentOf } from './routing.ts';

const DEFAULT_PER_PAGE = 20;
const MAX_PER_PAGE = 100;
/** Pages that are read for one result when a filter of ours leaves little of each. */
const MAX_SCANNED_PAGES = 5;

/** A number of the caller's, brought into its range. */
export function clamp(value: unknown, min: number, max: number, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? Math.min(max, Math.max(min, Math.trunc(value))) : otherwise;
}

/**
 * A page of the tool's list. Where `keep` leaves items out, pages are read until one page is full or `MAX_SCANNED_PAGES` were read.
 * @param query instead of what the arguments say
 */
export async function listed(work: Work, keep?: (item: JsonObject) => boolean, query?: Query): Promise<ProducedList> {
  const { declaration, args, asked, api, cursors } = work;
  const route = routeOf(declaration, args);
  const path = pathOf(route, args);
  const perPage = clamp(args.per_page, 1, MAX_PER_PAGE, DEFAULT_PER_PAGE);
  const isKept = both(keep, work.isAllowed);
  const begin = firstQuery(work, query ?? sentOf(declaration, route, args).query, perPage);
  const list = { apiUrl: api.apiUrl, tool: declaration.name, args: { ...asked, per_page: perPage }, first: begin };
  const start = typeof args.cursor === 'string' ? cursors.read(args.cursor, list) : { query: begin, skip: 0 };

  const items: JsonObject[] = [];
  /** Where each item was: the query of its page, and its place on it. */
  const places: { readonly query: Query; readonly skip: number }[] = [];
  let current: Query | undefined = start.query;
  let skip = start.skip;
  let first: ApiPage | undefined;
  let scanned = 0;
  while (current !== undefined && items.length < perPage && scanned < MAX_SCANNED_PAGES) {
    const [page, used] = await pageOf(work, path, current);
    first ??= page;
    scanned++;
    for (const [index, item] of page.items.entries()) {
      if (index < skip || isKept?.(item) === false) continue;
      items.push(item);
      places.push({ query: used, skip: index });
    }
    skip = 0;
    current = page.next;
    if (isKept === undefined) break;
  }
  const count = Math.min(items.length, perPage);
  const next = current;
  const cursor = (kept: number): string | null => {
    const place = places[kept] ?? (next === undefined ? undefined : { query: next, skip: 0 });
    return (place && cursors.make(list, place)) ?? null;
  };
  const pagination = first?.pagination ?? NOTHING_KNOWN;
  // Totals count what the caller may not see.
  const seen = isKept === undefined ? pagination : { ...pagination, total_items: null, total_pages: null };
  return { kind: 'list', items: items.slice(0, count), pagination: { ...seen, per_page: perPage }, cursor };
}

const NOTHING_KNOWN = { page: null, per_page: null, next_page: null, prev_page: null, total_items: null, total_pages: null, has_more: false };

function both(a: ((item: JsonObject) => boolean) | undefined, b: ((item: JsonObject) => boolean) | undefined) {
  if (a === undefined || b === undefined) return a ?? b;
  return (item: JsonObject) => a(item) && b(item);
}

function firstQuery({ declaration, args }: Work, query: Query, perPage: number): Query {
  const orders = declaration.keyset;
  const order = args.order_by ?? query.order_by;
  const isKeyset = orders !== undefined && (order === undefined || orders.includes(String(order)));
  const orderBy = isKeyset && order === undefined && orders[0] !== '' ? { order_by: orders[0] } : {};
  if (declaration.unpaged === true) return query;
  return { ...query, ...orderBy, per_page: perPage, ...(isKeyset ? { pagination: 'keyset' } : {}) };
}

/** A page, and the query that it was found with: an instance without keyset pagination for this list is asked for offsets. */
async function pageOf(work: Work, path: string, query: Query): Promise<[ApiPage, Query]> {
  if (work.declaration.unpaged === true) return [await wholeList(work, path, query), query];
  const { pagination, ...plain } = query;
  const keyset = pagination === 'keyset';
  try {
    return [await work.api.list({ path, query: plain, signal: work.signal, keyset }), query];
  } catch (error) {
    if (!keyset || !(error instanceof GitLabError) || error.status !== 405) throw error;
    return [await work.api.list({ path, query: plain, signal: work.signal, keyset: false }), plain];
  }
}

async function wholeList({ api, signal }: Work, path: string, query: Query): Promise<ApiPage> {
  const { body } = await api.request({ path, query, signal });
  const items = Array.isArray(body) ? body.filter(isJsonObject) : [];
  return { items, pagination: { ...NOTHING_KNOWN, total_items: items.length }, next: undefined };
}
