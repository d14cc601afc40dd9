import { isJsonObject, type JsonObject } from '../core/mcp.ts';
import { err, ok, type Result } from '../core/result.ts';

/** What a field of a form may hold (2025-11-25 and 2026-07-28, "Elicitation", `PrimitiveSchemaDefinition`). */
export type FieldKind = 'string' | 'number' | 'integer' | 'boolean' | 'choice' | 'choices';

export interface Field {
  readonly kind: FieldKind;
  /** What may be chosen, for `choice` and `choices`. */
  readonly options: readonly string[];
  readonly schema: JsonObject;
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
  if (!isJsonObject(schema) || COMPOSING.some((keyword) => keyword !== 'oneOf' && Object.hasOwn(schema, keyword))) return undefined;
  const { type } = schema;
  if (type === 'array') {
    const options = isJsonObject(schema.items) ? optionsOf(schema.items, schema.items.anyOf ?? schema.items.oneOf) : undefined;
    return options === undefined || schema.oneOf !== undefined ? undefined : { kind: 'choices', options, schema };
  }
  if (type === 'string') {
    if (schema.enum === undefined && schema.oneOf === undefined) return { kind: 'string', options: [], schema };
    const options = optionsOf(schema, schema.oneOf);
    return options === undefined ? undefined : { kind: 'choice', options, schema };
  }
  const isPlain = schema.oneOf === undefined && (type === 'number' || type === 'integer' || type === 'boolean');
  return isPlain ? { kind: type, options: [], schema } : undefined;
}

/** What may be chosen: `enum` of texts, or titled constants. */
function optionsOf(schema: JsonObject, titled: unknown): readonly string[] | undefined {
  if (titled === undefined) return isTexts(schema.enum) ? schema.enum : undefined;
  if (schema.enum !== undefined || !Array.isArray(titled)) return undefined;
  const options = titled.map((option: unknown) => (isJsonObject(option) ? option.const : undefined));
  return isTexts(options) ? options : undefined;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** A name of a stranger in a message: short, and one line. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
}
