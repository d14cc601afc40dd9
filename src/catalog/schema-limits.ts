import type { Clock } from '../core/clock.ts';
import { isJsonObject } from '../core/mcp.ts';

/** Limits of protocol.md section 4 on the JSON Schemas of one tool. */
const MAX_SCHEMA_DEPTH = 64;
const MAX_SUBSCHEMAS = 10_000;
export const MAX_VET_MS = 50;
/** The clock is read once per so many nodes, so that a pause of the process drops no ordinary tool. */
const CLOCK_EVERY = 512;

/** Keywords of JSON Schema 2020-12 and draft 7 by what they hold. */
export const SCHEMA_VALUED: ReadonlySet<string> = new Set([
  'additionalItems',
  'additionalProperties',
  'contains',
  'contentSchema',
  'else',
  'if',
  'items',
  'not',
  'propertyNames',
  'then',
  'unevaluatedItems',
  'unevaluatedProperties',
]);
export const LIST_VALUED: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'items', 'oneOf', 'prefixItems']);
export const MAP_VALUED: ReadonlySet<string> = new Set([
  '$defs',
  'definitions',
  'dependencies',
  'dependentSchemas',
  'patternProperties',
  'properties',
]);

export interface SchemaReport {
  /** Why the schema is over a limit. */
  readonly fault?: string;
  /** A `$ref` that leads to the network. It is never fetched. */
  readonly networkRef?: string;
}

/** Walks a schema without recursion: foreign nesting never becomes our stack. */
export function inspectSchema(root: unknown, clock: Clock): SchemaReport {
  const started = clock.monotonic();
  const waiting: { readonly schema: unknown; readonly depth: number }[] = [{ schema: root, depth: 1 }];
  let count = 0;
  let networkRef: string | undefined;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { schema, depth } = next;
    if (depth > MAX_SCHEMA_DEPTH) return { fault: `schema nested deeper than ${MAX_SCHEMA_DEPTH}` };
    if (++count > MAX_SUBSCHEMAS) return { fault: `schema of more than ${MAX_SUBSCHEMAS} subschemas` };
    if (count % CLOCK_EVERY === 0 && clock.monotonic() - started > MAX_VET_MS) return { fault: `schema takes longer than ${MAX_VET_MS} ms to read` };
    if (!isJsonObject(schema)) continue;
    const { $ref } = schema;
    if (typeof $ref === 'string' && /^[a-z][a-z0-9+.-]*:/i.test($ref) && networkRef === undefined) networkRef = $ref;
    for (const child of subschemas(schema)) {
      waiting.push({ schema: child, depth: depth + 1 });
      if (waiting.length > MAX_SUBSCHEMAS) return { fault: `schema of more than ${MAX_SUBSCHEMAS} subschemas` };
    }
  }
  return networkRef === undefined ? {} : { networkRef };
}

function* subschemas(schema: { readonly [keyword: string]: unknown }): Generator<unknown> {
  for (const [keyword, value] of Object.entries(schema)) {
    if (Array.isArray(value)) {
      if (LIST_VALUED.has(keyword)) yield* value;
    } else if (MAP_VALUED.has(keyword) && isJsonObject(value)) {
      for (const child of Object.values(value)) if (!Array.isArray(child)) yield child;
    } else if (SCHEMA_VALUED.has(keyword)) yield value;
  }
}
