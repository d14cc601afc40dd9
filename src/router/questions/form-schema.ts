import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { err, ok, type Result } from '../../core/result.ts';

/** What a field of a form may hold (2025-11-25 and 2026-07-28, "Elicitation", `PrimitiveSchemaDefinition`). */
export type FieldKind = 'string' | 'number' | 'integer' | 'boolean' | 'choice' | 'choices';

export interface Field {
  readonly kind: FieldKind;
  /** What may be chosen, for `choice` and `choices`. */
  readonly options: readonly string[];
  /** Whether null is a value, too. No revision knows it, but SDKs write optional fields so. */
  readonly nullable: boolean;
  /** Without what says that null is a value. */
  readonly schema: JsonObject;
  /** What a person reads of it, besides its name. */
  readonly texts: readonly string[];
}

export interface Form {
  readonly fields: ReadonlyMap<string, Field>;
  readonly required: readonly string[];
}

export const MAX_FIELDS = 64;

/** Keywords by which a schema takes fields from elsewhere: a form that has one is not flat. */
const COMPOSING = ['$ref', '$dynamicRef', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'patternProperties', 'dependentSchemas'] as const;

/**
 * Reads a `requestedSchema`: one object of primitive fields, 64 at most (protocol.md section 10, "Limits and refusals").
 * Keywords that the specification does not name (`$schema`, `pattern`, other formats) are no error: they pass.
 * The error is a sentence for the server that asked.
 */
export function formOf(schema: unknown): Result<Form, string> {
  if (!isJsonObject(schema) || schema.type !== 'object') return err('requestedSchema must be a JSON Schema of type object');
  const { properties, required = [] } = schema;
  if (!isJsonObject(properties)) return err('requestedSchema must have properties');
  const composing = COMPOSING.find((keyword) => Object.hasOwn(schema, keyword));
  if (composing !== undefined) return err(`requestedSchema must be flat: it has ${composing}`);
  if (isJsonObject(schema.additionalProperties)) return err('requestedSchema must be flat: it has a schema for additionalProperties');
  const entries = Object.entries(properties);
  if (entries.length > MAX_FIELDS) return err(`requestedSchema has ${entries.length} fields; ${MAX_FIELDS} is the most`);
  const fields = new Map<string, Field>();
  for (const [name, property] of entries) {
    const field = fieldOf(property);
    if (field === undefined) return err(`requestedSchema must be flat: ${quoted(name)} is no string, number, boolean or choice`);
    fields.set(name, field);
  }
  if (!isTexts(required)) return err('requestedSchema.required must be a list of names');
  // Nobody could answer such a form.
  const unknown = required.find((name) => !fields.has(name));
  return unknown === undefined ? ok({ fields, required }) : err(`requestedSchema requires ${quoted(unknown)}, which is none of its fields`);
}

function fieldOf(schema: unknown): Field | undefined {
  if (!isJsonObject(schema)) return undefined;
  const plain = withoutNull(schema);
  const nullable = plain !== schema;
  const members: readonly unknown[] = Array.isArray(schema.anyOf) ? schema.anyOf : [];
  const texts = [schema, ...members].flatMap((one) => (isJsonObject(one) ? [one.title, one.description].filter(isText) : []));
  if (COMPOSING.some((keyword) => keyword !== 'oneOf' && Object.hasOwn(plain, keyword))) return undefined;
  const { type, items, oneOf } = plain;
  const field = (kind: FieldKind, options: readonly string[] | undefined): Field | undefined =>
    options === undefined ? undefined : { kind, options, nullable, schema: plain, texts };
  switch (type) {
    case 'string':
      return plain.enum === undefined && oneOf === undefined ? field('string', []) : field('choice', optionsOf(plain, oneOf));
    case 'array':
      return oneOf === undefined && isJsonObject(items) ? field('choices', optionsOf(items, items.anyOf ?? items.oneOf)) : undefined;
    case 'number':
    case 'integer':
    case 'boolean':
      return oneOf === undefined ? field(type, []) : undefined;
    default:
      return undefined;
  }
}

/** `anyOf: [X, null]` as X, and `type: [X, null]` as X; every other schema as it is. What stands around X wins, for it is what is shown. */
function withoutNull(schema: JsonObject): JsonObject {
  const { anyOf, type, ...around } = schema;
  if (Array.isArray(type) && anyOf === undefined && type.length === 2 && type.includes('null')) {
    return { ...around, type: type.find((one) => one !== 'null') };
  }
  if (!Array.isArray(anyOf) || type !== undefined || anyOf.length !== 2) return schema;
  const [one, ...others] = anyOf.filter((member: unknown) => !isJsonObject(member) || member.type !== 'null');
  return isJsonObject(one) && others.length === 0 ? { ...one, ...around } : schema;
}

/** What may be chosen: `enum` of texts, or titled constants. */
function optionsOf(schema: JsonObject, titled: unknown): readonly string[] | undefined {
  if (titled === undefined) return isTexts(schema.enum) ? schema.enum : undefined;
  if (schema.enum !== undefined || !Array.isArray(titled)) return undefined;
  const options = titled.map((option: unknown) => (isJsonObject(option) ? option.const : undefined));
  return isTexts(options) ? options : undefined;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** A name of a stranger in a message: short, and one line. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
}
