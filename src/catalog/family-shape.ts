import type { Era, JsonObject } from '../core/mcp.ts';
import { sha256 } from '../core/secret.ts';
import { isWrapped } from './dialects.ts';
import { LIST_VALUED, MAP_VALUED, SCHEMA_VALUED } from './schema-limits.ts';

/** What has to be the same in the definitions of one tool by all members of a family. */
const SHAPE_PARTS = ['description', 'annotations', 'inputSchema', 'outputSchema', 'the protocol era of its results'] as const;
export type ShapePart = (typeof SHAPE_PARTS)[number];

/**
 * A tool's definition as far as members of a family must agree on it: description, annotations and schemas, without the order of keys,
 * titles and the descriptions of properties (aggregator.md section 2, "Families"). Found out when it is first compared, once, and in time
 * that only its length decides: definitions are foreign (security class 9).
 */
export class FamilyShape {
  readonly #parsed: JsonObject;
  readonly #bytes: Buffer;
  readonly #era: Era;
  #digests: ReadonlyMap<ShapePart, string> | undefined;

  /** @param bytes of a definition that is nested no deeper than vetting allows */
  constructor(parsed: JsonObject, bytes: Buffer, era: Era) {
    this.#parsed = parsed;
    this.#bytes = bytes;
    this.#era = era;
  }

  /** The first part that says something else. */
  differsFrom(other: FamilyShape): ShapePart | undefined {
    const [own, others] = [this.#read(), other.#read()];
    return SHAPE_PARTS.find((part) => own.get(part) !== others.get(part));
  }

  #read(): ReadonlyMap<ShapePart, string> {
    this.#digests ??= digestsOf(this.#bytes, isWrapped(this.#parsed.outputSchema) ? this.#era : undefined);
    return this.#digests;
  }
}

/**
 * @param era where it changes what session clients are told: results that are no objects are wrapped for them, or not, by the era of who
 * answers, and one listed schema can only say one of that
 */
function digestsOf(bytes: Buffer, era: Era | undefined): ReadonlyMap<ShapePart, string> {
  const { description = '', annotations = {}, inputSchema, outputSchema } = JSON.parse(bytes.toString('utf8'), keepDigits) as JsonObject;
  const texts: Readonly<Record<ShapePart, string>> = {
    description: textOf(description),
    annotations: isObject(annotations) ? objectText(annotations, (key, value) => (key === 'title' ? undefined : textOf(value))) : textOf(annotations),
    inputSchema: schemaText(inputSchema, true),
    outputSchema: schemaText(outputSchema, true),
    'the protocol era of its results': era ?? '',
  };
  return new Map(SHAPE_PARTS.map((part) => [part, sha256(texts[part]).toString('base64url')]));
}

/** A number that reads differently than it is written: two integers above 2^53 must stay two. */
class Digits {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return typeof value === 'number' && source !== undefined && source !== String(value) ? new Digits(source) : value;
}

/** @param root its description is that of the arguments as a whole, not of a property */
function schemaText(schema: unknown, root = false): string {
  if (!isObject(schema)) return textOf(schema);
  return objectText(schema, (key, value) => {
    if (key === 'title' || (key === 'description' && !root)) return undefined;
    if (isObject(value) && MAP_VALUED.has(key)) return objectText(value, (_, child) => schemaText(child));
    if (isObject(value) && SCHEMA_VALUED.has(key)) return schemaText(value);
    if (Array.isArray(value) && LIST_VALUED.has(key)) return `[${value.map((child) => schemaText(child)).join(',')}]`;
    return textOf(value);
  });
}

/** One text for all spellings of one value. */
function textOf(value: unknown): string {
  if (value instanceof Digits) return value.text;
  if (Array.isArray(value)) return `[${value.map(textOf).join(',')}]`;
  return isObject(value) ? objectText(value, (_, child) => textOf(child)) : (JSON.stringify(value) ?? '');
}

/** One text for all orders of an object's members; those that `of` has no text for are left out. */
function objectText(object: JsonObject, of: (key: string, value: unknown) => string | undefined): string {
  const members: string[] = [];
  for (const key of Object.keys(object).sort()) {
    const text = of(key, object[key]);
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${members.join(',')}}`;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Digits);
}
