import type { Pagination, Query } from './api.ts';

const MAX_PER_PAGE = 100;
const DEFAULT_PER_PAGE = 20;

/** `per_page` within 1 and 100; what is no number is the default. */
export function perPageOf(query: Query | undefined): number {
  const wanted = query?.per_page;
  const number = typeof wanted === 'string' || typeof wanted === 'number' ? Math.trunc(Number(wanted)) : Number.NaN;
  return Number.isNaN(number) ? DEFAULT_PER_PAGE : Math.min(MAX_PER_PAGE, Math.max(1, number));
}

/**
 * The query of the next page: that of `Link rel=next`, if its host is the instance's, or the same one with `X-Next-Page`; with
 * keyset the former counts first. Of a link only the query is ever used (gitlab.md section 3, "Lists").
 */
export function nextQuery(headers: Readonly<Record<string, string>>, query: Query, instanceHost: string): Query | undefined {
  const page = countOf(headers['x-next-page']);
  const numbered = page === null ? undefined : { ...query, page };
  return query.pagination === 'keyset' ? (linkedQuery(headers, instanceHost) ?? numbered) : (numbered ?? linkedQuery(headers, instanceHost));
}

function linkedQuery({ link }: Readonly<Record<string, string>>, instanceHost: string): Query | undefined {
  const target = link === undefined ? undefined : nextLink(link);
  const url = target === undefined ? null : URL.parse(target);
  return url !== null && /^https?:$/.test(url.protocol) && url.host === instanceHost ? queryOf(url.searchParams) : undefined;
}

export function paginationOf(headers: Readonly<Record<string, string>>, perPage: number, next: Query | undefined): Pagination {
  return {
    page: countOf(headers['x-page']),
    per_page: countOf(headers['x-per-page']) ?? perPage,
    next_page: countOf(headers['x-next-page']),
    prev_page: countOf(headers['x-prev-page']),
    total_items: countOf(headers['x-total']),
    total_pages: countOf(headers['x-total-pages']),
    has_more: next !== undefined,
  };
}

function countOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text.trim()) ? Number(text) : null;
}

/** The target of `rel="next"` (RFC 8288); links are looked for from one `<` to the next. */
function nextLink(header: string): string | undefined {
  for (const part of header.split('<').slice(1)) {
    const end = part.indexOf('>');
    if (end !== -1 && /;\s*rel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)/i.test(part.slice(end + 1, end + 200))) return part.slice(0, end);
  }
  return undefined;
}

function queryOf(params: URLSearchParams): Query {
  const lists = new Map<string, string[]>();
  const single = new Map<string, string>();
  for (const [name, value] of params) {
    if (name.endsWith('[]')) {
      const list = lists.get(name.slice(0, -2)) ?? [];
      list.push(value);
      lists.set(name.slice(0, -2), list);
    } else single.set(name, value);
  }
  return Object.fromEntries<string | string[]>([...single, ...lists]);
}

/** As GitLab reads it: lists as `name[]`, undefined ones left out. Empty, or begins with `?`. */
export function queryText(query: Query | undefined): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    if (typeof value === 'object') for (const item of value) params.append(`${name}[]`, String(item));
    else params.append(name, String(value));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}
