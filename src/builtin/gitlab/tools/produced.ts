import type { JsonObject } from '../../../core/mcp.ts';
import type { Pagination } from '../client/api.ts';

/** What may come next, before it is known whether the caller may run it. */
export interface Hint {
  readonly tool: string;
  readonly arguments: JsonObject;
  readonly why: string;
}

/** One thing, as GitLab said it. */
export interface ProducedItem {
  readonly kind: 'item';
  readonly item: JsonObject;
  /** Besides those of the declaration, before them. */
  readonly hints?: readonly Hint[];
}

/** A page of things. */
export interface ProducedList {
  readonly kind: 'list';
  readonly items: readonly JsonObject[];
  readonly pagination: Pagination;
  /** Where to go on behind the first `kept` items; null when nothing is left. */
  cursor(kept: number): string | null;
}

/** Lines of something long; already cleaned and masked. */
export interface ProducedLines {
  readonly kind: 'lines';
  readonly lines: readonly string[];
  /** The item with the first `kept` lines. */
  build(kept: number): JsonObject;
  /** The call that shows what comes behind the first `kept` lines, if anything does. */
  next(kept: number): Hint | undefined;
}

export type Produced = ProducedItem | ProducedList | ProducedLines;
