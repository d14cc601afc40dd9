import { canonicalJson, elements, member, memberSpans } from '../core/json.ts';
import type { Era, JsonObject } from '../core/mcp.ts';
import { sha256 } from '../core/secret.ts';
import { isWrapped } from './dialects.ts';
import { LIST_VALUED, MAP_VALUED, SCHEMA_VALUED } from './schema-limits.ts';

/** What has to be the same in the definitions of one tool by all members of a family. */
const SHAPE_PARTS = ['description', 'annotations', 'inputSchema', 'outputSchema', 'the protocol era of its results'] as const;
export type ShapePart = (typeof SHAPE_PARTS)[number];

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;

/**
 * A tool's definition as far as members of a family must agree on it: description, annotations and schemas, without the order of keys,
 * titles and the descriptions of properties (aggregator.md section 2, "Families"). Read from the bytes, so that numbers keep their
 * digits; found out when it is first compared, once.
 */
export class FamilyShape {
  readonly #parsed: JsonObject;
  readonly #bytes: Buffer;
  readonly #era: Era;
  readonly #digests = new Map<ShapePart, string>();

  constructor(parsed: JsonObject, bytes: Buffer, era: Era) {
    this.#parsed = parsed;
    this.#bytes = bytes;
    this.#era = era;
  }

  /** The first part that says something else. */
  differsFrom(other: FamilyShape): ShapePart | undefined {
    return SHAPE_PARTS.find((part) => this.#digest(part) !== other.#digest(part));
  }

  #digest(part: ShapePart): string {
    let digest = this.#digests.get(part);
    if (digest === undefined) {
      digest = sha256(this.#text(part)).toString('base64url');
      this.#digests.set(part, digest);
    }
    return digest;
  }

  #text(part: ShapePart): string {
    // What is no object is wrapped for session clients, or is not, by the era of who answers: one listed schema can only say one of them.
    if (part === 'the protocol era of its results') return isWrapped(this.#parsed.outputSchema) ? this.#era : '';
    const value = member(this.#bytes, part);
    if (part === 'description') return value === undefined ? '""' : canonicalJson(value);
    if (value === undefined) return part === 'annotations' ? '{}' : '';
    return part === 'annotations' ? annotationsText(value) : schemaText(value, true);
  }
}

function annotationsText(value: Buffer): string {
  return value[0] === OPEN_OBJECT ? objectText(value, (key, child) => (key === 'title' ? undefined : canonicalJson(child))) : canonicalJson(value);
}

/** @param root its description is that of the arguments as a whole, not of a property */
function schemaText(schema: Buffer, root = false): string {
  if (schema[0] !== OPEN_OBJECT) return canonicalJson(schema);
  return objectText(schema, (key, value) => {
    if (key === 'title' || (key === 'description' && !root)) return undefined;
    const first = value[0];
    if (first === OPEN_OBJECT && MAP_VALUED.has(key)) return objectText(value, (_, child) => schemaText(child));
    if (first === OPEN_OBJECT && SCHEMA_VALUED.has(key)) return schemaText(value);
    if (first === OPEN_ARRAY && LIST_VALUED.has(key))
      return `[${elements(value)
        .map((child) => schemaText(child))
        .join(',')}]`;
    return canonicalJson(value);
  });
}

/** One text for all orders of an object's members; those that `textOf` has no text for are left out. Of a repeated one the last counts. */
function objectText(object: Buffer, textOf: (key: string, value: Buffer) => string | undefined): string {
  const texts = new Map<string, string>();
  for (const { key, valueStart, end } of memberSpans(object)) {
    const text = textOf(key, object.subarray(valueStart, end));
    if (text !== undefined) texts.set(key, text);
  }
  const sorted = [...texts].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${sorted.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}`;
}
