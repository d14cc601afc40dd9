import { LRUCache } from 'lru-cache';
import { type Caller, principalKey } from '../core/caller.ts';
import { objectOf, toJson } from '../core/json.ts';
import { type JsonObject, META, TURNPIKE_META } from '../core/mcp.ts';
import type { CapabilityKind } from '../core/ports.ts';
import type { Dialect } from './dialects.ts';
import type { Form } from './forms.ts';
import { type Cursors, PAGE_SIZE } from './pages.ts';
import { joinForms } from './parts.ts';
import type { View } from './view.ts';

/** The member of the result that holds the list. */
const LIST_MEMBER: { readonly [kind in CapabilityKind]: string } = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  templates: 'resourceTemplates',
};
const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']');
/** Bytes of results that are kept; the least used go first. */
const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;

export interface ListBytesOptions {
  readonly cursors: Cursors;
  /** Ours, put into `_meta` for modern clients (protocol.md section 2, "_meta"). */
  readonly serverInfo?: JsonObject;
  readonly maxBytes?: number;
}

/** Cursors that are kept of one view. */
const MAX_CURSORS = 1_000;

function keptFor<T>(views: WeakMap<View, Map<string, T>>, view: View): Map<string, T> {
  let kept = views.get(view);
  if (kept === undefined) {
    kept = new Map();
    views.set(view, kept);
  }
  return kept;
}

/** One page around the place of its cursor. */
interface Page {
  /** `{"tools":[…]`. */
  readonly head: Buffer;
  /** The members after the cursor, and the closing brace. */
  readonly tail: Buffer;
  /** Where the next page starts, if there is one. */
  readonly next: number | undefined;
  readonly whole: Buffer;
}

/**
 * The outermost layer of list bytes: complete `result` members, kept by content, so that all callers and all views with
 * the same list share one buffer (performance.md, "Lists").
 */
export class ListBytes {
  readonly #cursors: Cursors;
  readonly #serverInfo: JsonObject | undefined;
  readonly #pages: LRUCache<string, Page>;
  /** What was found for a view, as long as it is kept: the view is looked at, not described anew. */
  readonly #ofViews = new WeakMap<View, Map<string, WeakRef<Page>>>();
  readonly #made = new WeakMap<View, Map<string, Buffer>>();
  #builds = 0;

  constructor({ cursors, serverInfo, maxBytes = DEFAULT_MAX_BYTES }: ListBytesOptions) {
    this.#cursors = cursors;
    this.#serverInfo = serverInfo;
    this.#pages = new LRUCache({ maxSize: maxBytes, sizeCalculation: ({ whole }) => whole.length });
  }

  /** How many pages were built so far; a page that is answered from the cache does not count. */
  get builds(): number {
    return this.#builds;
  }

  /**
   * The bytes of the `result` of a list request, in pieces that others get, too. `cursor` is the client's, unchecked. Throws `catalog/cursor` if it is not one
   * that this caller got for this list.
   */
  pieces(kind: CapabilityKind, view: View, caller: Caller, dialect: Dialect, cursor?: unknown): readonly Buffer[] {
    const offset = this.#cursors.read(cursor, caller, kind, view);
    const page = this.#pageOf(kind, view, dialect, offset);
    if (page.next === undefined) return [page.whole];
    // The cursor is the caller's own; everything around it is everybody's.
    return [page.head, this.#cursor(caller, kind, view, page.next), page.tail];
  }

  /** A cursor says the same to the same caller for as long as the view is this one, so it is sealed once. */
  #cursor(caller: Caller, kind: CapabilityKind, view: View, next: number): Buffer {
    const name = `${kind} ${next} ${caller.tenant} ${principalKey(caller.principal)}`;
    const kept = keptFor(this.#made, view);
    let cursor = kept.get(name);
    if (cursor === undefined) {
      cursor = Buffer.from(`,"nextCursor":${JSON.stringify(this.#cursors.make(caller, kind, view, next))}`);
      if (kept.size >= MAX_CURSORS) kept.clear();
      kept.set(name, cursor);
    }
    return cursor;
  }

  #pageOf(kind: CapabilityKind, view: View, dialect: Dialect, offset: number): Page {
    const kept = keptFor(this.#ofViews, view);
    const name = `${kind} ${dialect} ${offset}`;
    let page = kept.get(name)?.deref();
    if (page === undefined) {
      page = this.#page(kind, view, dialect, offset);
      kept.set(name, new WeakRef(page));
    }
    return page;
  }

  #page(kind: CapabilityKind, view: View, dialect: Dialect, offset: number): Page {
    const { ttlMs, cacheScope } = view.caching(kind);
    const key = JSON.stringify([kind, dialect, offset, view.fingerprint(kind), ttlMs, cacheScope, view.unavailable]);
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = this.#build(kind, view, dialect, offset);
      this.#builds++;
      this.#pages.set(key, page);
    }
    return page;
  }

  #build(kind: CapabilityKind, view: View, dialect: Dialect, offset: number): Page {
    const end = offset + PAGE_SIZE;
    const pieces: Buffer[] = [];
    let at = 0;
    for (const { part, forms, whole } of view.runs(kind)) {
      const from = Math.max(0, offset - at);
      const to = Math.min(forms.length, end - at);
      at += forms.length;
      if (from >= to) continue;
      if (pieces.length > 0) pieces.push(COMMA);
      const isComplete = whole && from === 0 && to === forms.length;
      pieces.push(isComplete ? part.joined(kind, dialect) : joinForms(forms.slice(from, to) satisfies readonly Form[], dialect));
    }
    const head = Buffer.concat([Buffer.from(`{${JSON.stringify(LIST_MEMBER[kind])}:[`), ...pieces, CLOSE]);
    const tail = this.#tail(kind, view, dialect);
    const next = end < at ? end : undefined;
    const bytes = Buffer.concat([head, tail]);
    return { head: bytes.subarray(0, head.length), tail: bytes.subarray(head.length), next, whole: bytes };
  }

  #tail(kind: CapabilityKind, view: View, dialect: Dialect): Buffer {
    const isModern = dialect === 'modern';
    const { ttlMs, cacheScope } = view.caching(kind);
    const meta = {
      ...(isModern && this.#serverInfo !== undefined ? { [META.serverInfo]: this.#serverInfo } : {}),
      ...(view.unavailable.length > 0 ? { [TURNPIKE_META.unavailable]: view.unavailable } : {}),
    };
    const members = objectOf({
      ...(isModern ? { ttlMs: toJson(ttlMs), cacheScope: toJson(cacheScope), resultType: toJson('complete') } : {}),
      ...(Object.keys(meta).length > 0 ? { _meta: toJson(meta) } : {}),
    });
    // `{…}` becomes `,…}`.
    return members.length === 2 ? Buffer.from('}') : Buffer.concat([COMMA, members.subarray(1)]);
  }
}
