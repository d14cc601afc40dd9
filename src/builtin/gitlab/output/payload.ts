import type { JsonObject } from '../../../core/mcp.ts';
import type { Pagination } from '../client/api.ts';

/** What the caller may do next. */
export interface Step {
  readonly tool: string;
  readonly arguments: JsonObject;
  readonly why: string;
}

/** One thing that was cut off for its size. */
export interface Cut {
  /** Path inside the result, such as `items` or `item.diffs`. */
  readonly field: string;
  readonly kept: number;
  readonly of: number;
  readonly unit: 'items' | 'lines' | 'characters' | 'fields';
}

export interface Truncated {
  readonly cut: readonly Cut[];
  /** What to do to see the rest. */
  readonly go_on: string;
}

/** `structuredContent` of every result (gitlab.md 4, "Output"). Either `item` or `items` is there. */
export interface Payload {
  readonly item?: JsonObject;
  readonly items?: readonly JsonObject[];
  readonly pagination?: Pagination & { readonly next_cursor: string | null };
  readonly next_steps?: readonly Step[];
  readonly notice?: string;
  readonly truncated?: Truncated;
  /** Secrets masked in this result. */
  readonly masked?: number;
}

/** A result before it is known how much of it fits. */
export interface Draft {
  /** Whole parts (items, lines) that may be left out from the end; 0 where nothing but the item itself can be cut. */
  readonly count: number;
  /** What parts are, and the field they are in. */
  readonly unit: 'items' | 'lines';
  readonly field: string;
  /** The result with the first `kept` parts. */
  build(kept: number): Payload;
  /** How to see the rest when `kept` parts of `count` are shown. */
  goOn(kept: number): string;
  /** The same where something inside the only part that is shown had to be cut. */
  goOnInside(kept: number): string;
}
