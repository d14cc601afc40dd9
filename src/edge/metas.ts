import type { MemberSpan } from '../core/json.ts';
import { isJsonObject, type JsonObject, META } from '../core/mcp.ts';
import { numberIn, spanOf } from '../core/param-value.ts';

/** Different `_meta` that are kept, and how long one may be. A client says the same with every call, but for its token. */
const MAX_KEPT = 1024;
const MAX_LENGTH = 2048;
const MAX_RECENT = 8;

/** What a request says in `_meta`. */
export interface Said {
  /** All of it but the token. */
  readonly meta: JsonObject;
  /** What stands there as progress token, whatever it is. */
  readonly progressToken: unknown;
}

/** What stands before and behind a token; without one, everything and nothing. */
interface Recent {
  readonly before: Buffer;
  readonly behind: Buffer;
  readonly meta: JsonObject;
}

/**
 * What requests say in `_meta`, parsed once for equal bytes: what follows from it can be kept by the object that it became. Nobody
 * changes that object, whoever sent it: it is frozen. A token differs with every call: what stands around it is what is known.
 */
export class Metas {
  readonly #known = new Map<string, JsonObject>();
  /** Those that came last: bytes are compared faster than a text is made of them. */
  readonly #recent: Recent[] = [];
  #oldest = 0;

  /**
   * The `_meta` that lies between two offsets of `params`; undefined when it is no object.
   * @param members of it, each once
   */
  parse(params: Buffer, start: number, end: number, members: readonly MemberSpan[]): Said | undefined {
    if (end - start > MAX_LENGTH) return saidIn(JSON.parse(params.toString('utf8', start, end)));
    const token = spanOf(members, META.progressToken);
    const from = token === undefined ? end : start + token.valueStart;
    const to = token === undefined ? end : start + token.end;
    const meta = this.#metaAround(params, start, end, from, to);
    if (meta === undefined) return undefined;
    if (token === undefined) return { meta, progressToken: undefined };
    const bytes = params.subarray(start, end);
    return { meta, progressToken: numberIn(bytes, members, META.progressToken) ?? JSON.parse(params.toString('utf8', from, to)) };
  }

  /** All of it but what lies between `from` and `to`. */
  #metaAround(params: Buffer, start: number, end: number, from: number, to: number): JsonObject | undefined {
    for (const { before, behind, meta } of this.#recent) if (isAt(params, before, start, from) && isAt(params, behind, to, end)) return meta;
    // Without its token it is no JSON, hence never the same as one that has none.
    const text = params.toString('latin1', start, from) + params.toString('latin1', to, end);
    const known = this.#known.get(text);
    if (known === undefined) {
      const meta = saidIn(JSON.parse(params.toString('utf8', start, end)))?.meta;
      return meta && this.#keep(text, meta);
    }
    const recent = { before: Buffer.from(params.subarray(start, from)), behind: Buffer.from(params.subarray(to, end)), meta: known };
    this.#recent[this.#oldest] = recent;
    this.#oldest = (this.#oldest + 1) % MAX_RECENT;
    return known;
  }

  #keep(text: string, said: JsonObject): JsonObject {
    const meta = frozen(said);
    if (this.#known.size >= MAX_KEPT) for (const oldest of this.#known.keys()) if (this.#known.delete(oldest)) break;
    this.#known.set(text, meta);
    return meta;
  }
}

/** Whether these bytes, and no others, stand between two offsets. */
function isAt(bytes: Buffer, part: Buffer, start: number, end: number): boolean {
  return part.length === end - start && (start === end || bytes.compare(part, 0, part.length, start, end) === 0);
}

/** @param value of `_meta`, as the full parser read it; undefined when that is no object */
export function saidIn(value: unknown): Said | undefined {
  if (!isJsonObject(value)) return undefined;
  const { [META.progressToken]: progressToken, ...meta } = value;
  return { meta: progressToken === undefined ? value : meta, progressToken };
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}
