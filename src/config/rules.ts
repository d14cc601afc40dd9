import type { z } from 'zod';
import type { JsonObject } from '../core/mcp.ts';
import { isJsonObject } from '../core/mcp.ts';

/** Runs a rule also where a type is wrong beside it, so that every problem is told at once. Such rules trust no type. */
export const ALWAYS = { when: () => true };

/** A value that should be an object, as one: empty if it is none. */
export function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

/** A value that should be a list, as one: empty if it is none. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** No two entries of a list have one `name`; the later one is named. */
export function uniqueNames(entries: unknown, context: Pick<z.RefinementCtx, 'addIssue'>): void {
  uniqueBy(entries, 'name', context);
}

/** No two entries of a list have one value of `key`. */
export function uniqueBy(entries: unknown, key: string, context: Pick<z.RefinementCtx, 'addIssue'>): void {
  const seen = new Map<string, number>();
  for (const [index, entry] of listOf(entries).entries()) {
    const value = objectOf(entry)[key];
    if (typeof value !== 'string') continue;
    const first = seen.get(value);
    if (first === undefined) seen.set(value, index);
    else
      context.addIssue({
        code: 'custom',
        path: [index, key],
        message: `is '${value}', as entry ${first + 1} is already (expected a ${key} of its own)`,
      });
  }
}
