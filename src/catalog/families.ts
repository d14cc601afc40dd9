import { editObject, elements, member, toJson } from '../core/json.ts';
import { type Era, isJsonObject, type JsonObject } from '../core/mcp.ts';
import type { Capability } from '../core/ports.ts';
import { FamilyShape, type ShapePart } from './family-shape.ts';
import { Form } from './forms.ts';
import { exposedName } from './names.ts';
import type { FamilySettings, NameSettings } from './settings.ts';

/** Sets of members that the definition of one tool is kept for: toolsets choose them, and toolsets are the caller's choice. */
const MAX_FORMS = 32;

/** A tool of one upstream as a part of its family: what it is called there, whether it fits in, and what is listed. */
export class FamilySide {
  readonly family: string;
  readonly argument: string;
  readonly exposed: string;
  readonly #capability: Capability;
  readonly #bytes: Buffer;
  readonly #era: Era;
  readonly #shape: FamilyShape;
  /** The least used first. */
  readonly #forms = new Map<string, Form>();
  #fault: { readonly text: string | undefined } | undefined;

  /** @param bytes the definition after vetting */
  constructor({ name, instanceArg }: FamilySettings, capability: Capability, bytes: Buffer, era: Era, names: NameSettings) {
    this.family = name;
    this.argument = instanceArg;
    this.exposed = exposedName(capability.id, { name, naming: 'prefixed' }, names);
    this.#capability = capability;
    this.#bytes = bytes;
    this.#era = era;
    this.#shape = new FamilyShape(capability.parsed, bytes, era);
  }

  /** Why the argument cannot be put into its definition, if it cannot. */
  get fault(): string | undefined {
    this.#fault ??= { text: this.#faultOf() };
    return this.#fault.text;
  }

  #faultOf(): string | undefined {
    const { inputSchema, description } = this.#capability.parsed;
    const { properties = {}, required = [] } = isJsonObject(inputSchema) ? inputSchema : {};
    if (!isJsonObject(properties) || !Array.isArray(required) || (description !== undefined && typeof description !== 'string'))
      return 'has a definition that no argument can be added to';
    return takesArgument(inputSchema, this.argument) ? `has an argument '${this.argument}' of its own` : undefined;
  }

  /** In what the definition of another member says something else, if in anything (aggregator.md section 2, "Families"). */
  differsFrom(other: FamilySide): ShapePart | undefined {
    if (this.#era === other.#era && this.#bytes.equals(other.#bytes)) return undefined;
    return this.#shape.differsFrom(other.#shape);
  }

  /** The definition as it is listed for these members: built once for each set of them. */
  form(members: readonly string[]): Form {
    const key = members.join(' ');
    const known = this.#forms.get(key);
    const form = known ?? new Form('tools', this.#era, this.#capability.id, this.exposed, withArgument(this.#bytes, this.argument, members));
    const [oldest] = this.#forms.keys();
    if (known !== undefined) this.#forms.delete(key);
    else if (oldest !== undefined && this.#forms.size >= MAX_FORMS) this.#forms.delete(oldest);
    this.#forms.set(key, form);
    return form;
  }
}

/** A definition with the argument that names the member. Everything else keeps its bytes. */
function withArgument(bytes: Buffer, argument: string, members: readonly string[]): Buffer {
  const names = members.join(', ');
  const schema = member(bytes, 'inputSchema') ?? toJson({ type: 'object' });
  const property = { type: 'string', description: `Target instance to execute this tool on. Available: ${names}`, enum: members };
  return editObject(bytes, {
    description: extended(member(bytes, 'description'), `(available on servers: ${names})`),
    inputSchema: editObject(schema, {
      properties: editObject(member(schema, 'properties') ?? toJson({}), { [argument]: toJson(property) }),
      required: appended(member(schema, 'required') ?? toJson([]), toJson(argument)),
    }),
  });
}

/** A text and one more behind it. `more` needs no escapes. */
function extended(text: Buffer | undefined, more: string): Buffer {
  return text === undefined || text.length === 2 ? toJson(more) : Buffer.concat([text.subarray(0, -1), Buffer.from(` ${more}"`)]);
}

function appended(array: Buffer, element: Buffer): Buffer {
  const comma = elements(array).length === 0 ? '' : ',';
  return Buffer.concat([array.subarray(0, -1), Buffer.from(comma), element, Buffer.from(']')]);
}

/** Keywords whose schemas apply to the arguments themselves. */
const IN_PLACE = ['if', 'then', 'else', 'not'];
const IN_PLACE_LISTS = ['allOf', 'anyOf', 'oneOf'];
const IN_PLACE_MAPS = ['dependentSchemas', 'dependencies'];

/**
 * Whether a schema of arguments speaks of one of this name: then it is the tool's, and cutting it out of calls would change them. Looked
 * for wherever a schema says something about the object itself, local references included.
 */
function takesArgument(root: unknown, argument: string): boolean {
  const seen = new Set<unknown>();
  const waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const schema = waiting.pop();
    if (!isJsonObject(schema) || seen.has(schema)) continue;
    seen.add(schema);
    const { properties, required, $ref } = schema;
    if (isJsonObject(properties) && Object.hasOwn(properties, argument)) return true;
    if (Array.isArray(required) && required.includes(argument)) return true;
    for (const keyword of IN_PLACE) waiting.push(schema[keyword]);
    for (const keyword of IN_PLACE_LISTS) if (Array.isArray(schema[keyword])) waiting.push(...(schema[keyword] as unknown[]));
    for (const keyword of IN_PLACE_MAPS) if (isJsonObject(schema[keyword])) waiting.push(...Object.values(schema[keyword]));
    if (typeof $ref === 'string' && isJsonObject(root)) waiting.push(atPointer(root, $ref));
  }
  return false;
}

/** What a reference within the document leads to (RFC 6901); undefined if it leads elsewhere. */
function atPointer(root: JsonObject, ref: string): unknown {
  if (!ref.startsWith('#')) return undefined;
  let pointer: string;
  try {
    pointer = decodeURIComponent(ref.slice(1));
  } catch {
    return undefined;
  }
  if (pointer !== '' && !pointer.startsWith('/')) return undefined;
  let value: unknown = root;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(value)) value = value[Number(key)];
    else if (isJsonObject(value) && Object.hasOwn(value, key)) value = value[key];
    else return undefined;
  }
  return value;
}
