import { TurnpikeError } from '../../core/errors.ts';
import { toJson } from '../../core/json.ts';
import { type JsonObject, META, TURNPIKE_META } from '../../core/mcp.ts';
import type { BuiltinOffer, BuiltinPrompt, BuiltinTool, WithheldTool } from './server.ts';

/** Default of `BuiltinOffer.pageSize`. */
const PAGE_SIZE = 500;
/** Default of `BuiltinOffer.ttlMs`: that of built-ins (protocol.md section 5). */
const TTL_MS = 30_000;
const CURSOR = 'page:';

/** How long answers may be kept (2026-07-28, "Caching"). */
export interface Caching {
  readonly ttlMs: number;
  readonly cacheScope: 'public' | 'private';
}

export function cachingOf<C>({ ttlMs = TTL_MS, cacheScope = 'private' }: BuiltinOffer<C>): Caching {
  return { ttlMs, cacheScope };
}

/** The four lists as bytes: made once, the same for all callers. What is withheld is marked for the catalog, which lists it to nobody. */
export class Lists {
  readonly #pages: ReadonlyMap<string, readonly Buffer[]>;

  constructor(offer: BuiltinOffer<never>) {
    const { tools, withheld = [], resources = [], templates = [], prompts = [] } = offer;
    const listed: readonly (readonly [string, string, readonly JsonObject[]])[] = [
      ['tools/list', 'tools', [...tools.map(toolOf), ...withheld.map(withheldOf)]],
      ['resources/list', 'resources', resources.map(({ uri, ...rest }) => ({ uri, ...described(rest) }))],
      ['resources/templates/list', 'resourceTemplates', templates.map(({ uriTemplate, ...rest }) => ({ uriTemplate, ...described(rest) }))],
      ['prompts/list', 'prompts', prompts.map(promptOf)],
    ];
    this.#pages = new Map(listed.map(([method, member, items]) => [method, pagesOf(offer, member, items)]));
  }

  /**
   * One page of a list, as the bytes of its result; undefined for a method that is no list.
   * @throws `catalog/cursor`
   */
  page(method: string, { cursor }: JsonObject): Buffer | undefined {
    const pages = this.#pages.get(method);
    if (pages === undefined) return undefined;
    const page = cursor === undefined ? pages[0] : pages[numberOf(cursor)];
    if (page === undefined) throw new TurnpikeError('catalog/cursor');
    return page;
  }
}

/** What is wrong with a cursor is no page: -1. */
function numberOf(cursor: unknown): number {
  const number = typeof cursor === 'string' ? /^page:([1-9]\d{0,6})$/.exec(cursor)?.[1] : undefined;
  return number === undefined ? -1 : Number(number);
}

function pagesOf(offer: BuiltinOffer<never>, member: string, items: readonly JsonObject[]): readonly Buffer[] {
  const { pageSize = PAGE_SIZE, serverInfo } = offer;
  if (!Number.isInteger(pageSize) || pageSize < 1) throw new TypeError(`no such page size: ${pageSize}`);
  const pages: Buffer[] = [];
  for (let start = 0; start === 0 || start < items.length; start += pageSize) {
    const isLast = start + pageSize >= items.length;
    const rest = { ...(isLast ? {} : { nextCursor: `${CURSOR}${pages.length + 1}` }), ...cachingOf(offer), _meta: { [META.serverInfo]: serverInfo } };
    pages.push(toJson({ resultType: 'complete', [member]: items.slice(start, start + pageSize), ...rest }));
  }
  return pages;
}

function toolOf({ name, title, description, annotations, inputSchema, outputSchema, meta }: BuiltinTool<never>): JsonObject {
  return { name, title, description, inputSchema, outputSchema, annotations, ...(meta === undefined ? {} : { _meta: meta }) };
}

function withheldOf({ tool, refusal: { message, code, details } }: WithheldTool<never>): JsonObject {
  const { _meta, ...definition } = toolOf(tool);
  return { ...definition, _meta: { [TURNPIKE_META.withheld]: { rule: details.rule ?? code, text: message } } };
}

function promptOf({ name, title, description, arguments: args }: BuiltinPrompt<never>): JsonObject {
  return { name, title, description, ...(args.length === 0 ? {} : { arguments: args }) };
}

function described(item: { readonly name: string; readonly title: string; readonly description: string; readonly mimeType?: string }): JsonObject {
  const { name, title, description, mimeType } = item;
  return { name, title, description, ...(mimeType === undefined ? {} : { mimeType }) };
}
