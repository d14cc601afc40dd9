import { type MemberSpan, memberSpans } from '../core/json.ts';
import { isJsonObject, type JsonObject, META } from '../core/mcp.ts';

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

interface Recent {
  readonly bytes: Buffer;
  readonly said: Said;
}

const TOKEN = Buffer.from(JSON.stringify(META.progressToken));

/**
 * What requests say in `_meta`, parsed once for equal bytes: what follows from it can be kept by the object that it became. Nobody
 * changes that object, whoever sent it: it is frozen.
 */
export class Metas {
  readonly #known = new Map<string, Said>();
  /** Those without a token that came last: bytes are compared faster than a text is made of them. */
  readonly #recent: Recent[] = [];
  #oldest = 0;

  /** The `_meta` that lies between two offsets of `params`; undefined when it is no object. */
  parse(params: Buffer, start: number, end: number): Said | undefined {
    for (const { bytes, said } of this.#recent)
      if (bytes.length === end - start && params.compare(bytes, 0, bytes.length, start, end) === 0) return said;
    const token = end - start > MAX_LENGTH ? undefined : tokenOf(params.subarray(start, end));
    return token === undefined ? this.#find(params, start, end) : this.#findBut(token, params.subarray(start, end));
  }

  #find(params: Buffer, start: number, end: number): Said | undefined {
    const text = params.toString('latin1', start, end);
    const known = this.#known.get(text);
    if (known !== undefined) {
      this.#recent[this.#oldest] = { bytes: Buffer.from(params.subarray(start, end)), said: known };
      this.#oldest = (this.#oldest + 1) % MAX_RECENT;
      return known;
    }
    const said = saidIn(JSON.parse(params.toString('utf8', start, end)));
    if (said === undefined || text.length > MAX_LENGTH || said.progressToken !== undefined) return said;
    return this.#keep(text, said.meta);
  }

  /** A token differs with every call: what stands around it is what is known. */
  #findBut({ valueStart, end }: MemberSpan, bytes: Buffer): Said | undefined {
    // No JSON, hence never the same as one without a token.
    const text = bytes.toString('latin1', 0, valueStart) + bytes.toString('latin1', end);
    const meta = this.#known.get(text)?.meta;
    if (meta !== undefined) return { meta, progressToken: JSON.parse(bytes.toString('utf8', valueStart, end)) };
    const said = saidIn(JSON.parse(bytes.toString('utf8')));
    return said && { meta: this.#keep(text, said.meta).meta, progressToken: said.progressToken };
  }

  #keep(text: string, meta: JsonObject): Said {
    const said = { meta: frozen(meta), progressToken: undefined };
    if (this.#known.size >= MAX_KEPT) for (const oldest of this.#known.keys()) if (this.#known.delete(oldest)) break;
    this.#known.set(text, said);
    return said;
  }
}

/** @param value of `_meta`, as the full parser read it; undefined when that is no object */
export function saidIn(value: unknown): Said | undefined {
  if (!isJsonObject(value)) return undefined;
  const { [META.progressToken]: progressToken, ...meta } = value;
  return { meta: progressToken === undefined ? value : meta, progressToken };
}

/** Where the token lies, if it is there once and plainly. */
function tokenOf(meta: Buffer): MemberSpan | undefined {
  if (!meta.includes(TOKEN)) return undefined;
  const [token, ...others] = memberSpans(meta).filter(({ key }) => key === META.progressToken);
  return others.length === 0 ? token : undefined;
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}
