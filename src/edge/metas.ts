import type { JsonObject } from '../core/mcp.ts';
import { isJsonObject } from '../core/mcp.ts';

/** Different `_meta` that are kept, and how long one may be. A client sends the same with every call. */
const MAX_KEPT = 1024;
const MAX_LENGTH = 2048;
const MAX_RECENT = 8;

interface Recent {
  readonly bytes: Buffer;
  readonly meta: JsonObject;
}

/**
 * What requests say in `_meta`, parsed once for equal bytes: what follows from it can be kept by the object that it became. Nobody
 * changes that object, whoever sent it: it is frozen.
 */
export class Metas {
  readonly #known = new Map<string, JsonObject>();
  /** Those that came last: bytes are compared faster than a text is made of them. */
  readonly #recent: Recent[] = [];
  #oldest = 0;

  /** The `_meta` that lies between two offsets of `params`; undefined when it is no object. */
  parse(params: Buffer, start: number, end: number): JsonObject | undefined {
    for (const { bytes, meta } of this.#recent)
      if (bytes.length === end - start && params.compare(bytes, 0, bytes.length, start, end) === 0) return meta;
    return this.#find(params, start, end);
  }

  #find(params: Buffer, start: number, end: number): JsonObject | undefined {
    const text = params.toString('latin1', start, end);
    const known = this.#known.get(text);
    if (known !== undefined) {
      this.#recent[this.#oldest] = { bytes: Buffer.from(params.subarray(start, end)), meta: known };
      this.#oldest = (this.#oldest + 1) % MAX_RECENT;
      return known;
    }
    const meta: unknown = JSON.parse(params.toString('utf8', start, end));
    if (!isJsonObject(meta)) return undefined;
    // A token differs with every call.
    if (text.length > MAX_LENGTH || meta.progressToken !== undefined) return meta;
    if (this.#known.size >= MAX_KEPT) for (const oldest of this.#known.keys()) if (this.#known.delete(oldest)) break;
    this.#known.set(text, frozen(meta));
    return meta;
  }
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}
