import type { JsonObject } from '../core/mcp.ts';
import { editMeta, ownResultMeta } from './edits.ts';

/** Different `_meta` that are kept of one upstream, and how long one may be: most have one, or none. */
const MAX_KEPT = 32;
const MAX_LENGTH = 1024;
const NO_META = Buffer.from('{}');

/** The `_meta` of results for modern clients, made once for what an upstream says again and again. */
export class ResultMetas {
  readonly #serverInfo: JsonObject;
  readonly #kept = new Map<string, Map<string, Buffer>>();

  constructor(serverInfo: JsonObject) {
    this.#serverInfo = serverInfo;
  }

  /** @param own the bytes of the upstream's `_meta`, if it is an object */
  of(upstream: string, own: Buffer | undefined): Buffer {
    let kept = this.#kept.get(upstream);
    if (kept === undefined) {
      kept = new Map();
      this.#kept.set(upstream, kept);
    }
    const key = own === undefined ? '' : own.toString('latin1');
    const known = kept.get(key);
    if (known !== undefined) return known;
    const made = this.#make(upstream, own ?? NO_META);
    if (kept.size >= MAX_KEPT) kept.clear();
    if (key.length <= MAX_LENGTH) kept.set(key, made);
    return made;
  }

  #make(upstream: string, own: Buffer): Buffer {
    const holder = Buffer.concat([Buffer.from('{"_meta":'), own, Buffer.from('}')]);
    return editMeta(holder, ownResultMeta(this.#serverInfo, upstream))._meta ?? own;
  }
}
