import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { checkText } from './text-checks.ts';

/**
 * JSON Schema 2020-12 as our own tools use it: a closed subset, so that no keyword can be written that nobody checks. Own code,
 * because its answers are for models: each names the field, what was expected and what to do about it, which generic validators
 * say in the words of their keywords.
 */

/** What is wrong with a value, and how to put it right. */
export interface Fault {
  /** `actions[0].file_path`; empty for the value itself. */
  readonly path: string;
  /** A sentence or two. */
  readonly text: string;
}

/** Checks values of one schema. */
export type Validator = (value: unknown) => readonly Fault[];

type Check = (value: unknown, path: string, faults: Fault[]) => void;

/** Faults that are told at once; more help nobody. */
const MAX_FAULTS = 8;
/** Longest text that is repeated: shorter than any token. */
const MAX_SHOWN = 18;

/** Keywords that say nothing about which values are right. */
const ANNOTATIONS: ReadonlySet<string> = new Set(['$schema', '$defs', 'title', 'description', 'default', 'examples', 'deprecated']);
const KEYWORDS: ReadonlySet<string> = new Set([
  ...['type', 'enum', 'const', 'anyOf', '$ref'],
  ...['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'],
  ...['items', 'minItems', 'maxItems', 'uniqueItems'],
  ...['minLength', 'maxLength', 'pattern', 'format'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
]);
const TYPES: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']);
const FORMATS: ReadonlySet<unknown> = new Set(['date', 'date-time', 'uri', 'email']);

/**
 * A validator of a schema.
 * @throws TypeError for a keyword, type, format or reference that is not of the subset: a mistake of whoever wrote it
 */
export function compileSchema(schema: JsonObject): Validator {
  const check = new Compiler(schema).check(schema, '#');
  return (value) => {
    const faults: Fault[] = [];
    check(value, '', faults);
    return faults.slice(0, MAX_FAULTS);
  };
}

class Compiler {
  readonly #root: JsonObject;
  readonly #definitions = new Map<string, Check>();

  constructor(root: JsonObject) {
    this.#root = root;
  }

  check(schema: unknown, at: string): Check {
    if (schema === true) return () => {};
    if (!isJsonObject(schema)) throw new TypeError(`${at} is no schema`);
    const unknown = Object.keys(schema).find((keyword) => !KEYWORDS.has(keyword) && !ANNOTATIONS.has(keyword));
    if (unknown !== undefined) throw new TypeError(`${at} has the keyword ${unknown}, which is not checked`);
    const checks = [typeCheck(schema, at), choiceCheck(schema), this.#reference(schema, at), this.#alternatives(schema, at)];
    checks.push(textCheck(schema, at), numberCheck(schema), this.#members(schema, at), this.#elements(schema, at));
    const own = checks.filter((check) => check !== undefined);
    return (value, path, faults) => {
      const before = faults.length;
      // One fault for a value: what has the wrong type breaks every other rule as well.
      for (const check of own) if (faults.length === before) check(value, path, faults);
    };
  }

  #reference({ $ref }: JsonObject, at: string): Check | undefined {
    if ($ref === undefined) return undefined;
    const name = typeof $ref === 'string' ? /^#\/\$defs\/([A-Za-z0-9_]+)$/.exec($ref)?.[1] : undefined;
    const { $defs } = this.#root;
    if (name === undefined || !isJsonObject($defs) || !Object.hasOwn($defs, name)) throw new TypeError(`${at} refers to ${String($ref)}`);
    if (!this.#definitions.has(name)) {
      // Known before it is made: it may refer to itself.
      this.#definitions.set(name, () => {});
      this.#definitions.set(name, this.check($defs[name], `#/$defs/${name}`));
    }
    return (value, path, faults) => this.#definitions.get(name)?.(value, path, faults);
  }

  #alternatives({ anyOf }: JsonObject, at: string): Check | undefined {
    if (anyOf === undefined) return undefined;
    if (!Array.isArray(anyOf) || anyOf.length === 0) throw new TypeError(`${at}/anyOf is no list of schemas`);
    const checks = anyOf.map((schema, index) => this.check(schema, `${at}/anyOf/${index}`));
    const expected = anyOf.map((schema) => expectation(schema as JsonObject)).join(', or ');
    return (value, path, faults) => {
      const tried = checks.map((check) => {
        const own: Fault[] = [];
        check(value, path, own);
        return own;
      });
      if (tried.some((own) => own.length === 0)) return;
      // The alternative of the value's own kind knows best what is wrong in it.
      const inner = tried.find((own) => own.every((fault) => fault.path !== path));
      if (inner !== undefined) faults.push(...inner);
      else faults.push({ path, text: `Expected ${expected}, got ${shown(value)}.` });
    };
  }

  #members(schema: JsonObject, at: string): Check | undefined {
    const { properties = {}, required = [], additionalProperties = true, minProperties, maxProperties } = schema;
    if (!isJsonObject(properties) || !Array.isArray(required)) throw new TypeError(`${at} has no list of properties`);
    const absent = required.find((name) => typeof name !== 'string' || !Object.hasOwn(properties, name));
    if (absent !== undefined) throw new TypeError(`${at} requires ${String(absent)}, which is none of its properties`);
    const checks = new Map(Object.entries(properties).map(([name, property]) => [name, this.check(property, `${at}/properties/${name}`)]));
    const others = additionalProperties === false ? undefined : this.check(additionalProperties, `${at}/additionalProperties`);
    return (value, path, faults) => {
      if (!isJsonObject(value)) return;
      for (const name of required as readonly string[]) {
        if (!Object.hasOwn(value, name)) faults.push(missing(name, properties[name] as JsonObject, path));
      }
      for (const [name, member] of Object.entries(value)) {
        const inner = path === '' ? name : `${path}.${name}`;
        const check = checks.get(name) ?? others;
        if (check === undefined) faults.push({ path: inner, text: unknownText(name, [...checks.keys()]) });
        else check(member, inner, faults);
      }
      const size = Object.keys(value).length;
      if (!isWithin(size, minProperties, maxProperties))
        faults.push({ path, text: `Expected ${range('member', minProperties, maxProperties)}, got ${size}.` });
    };
  }

  #elements(schema: JsonObject, at: string): Check | undefined {
    const { items, minItems, maxItems, uniqueItems } = schema;
    if (items === undefined && minItems === undefined && maxItems === undefined && uniqueItems === undefined) return undefined;
    const check = items === undefined ? undefined : this.check(items, `${at}/items`);
    return (value, path, faults) => {
      if (!Array.isArray(value)) return;
      if (!isWithin(value.length, minItems, maxItems)) {
        faults.push({ path, text: `Expected ${range('item', minItems, maxItems)}, got ${value.length}.` });
        return;
      }
      if (uniqueItems === true && new Set(value.map((item) => JSON.stringify(item))).size < value.length)
        faults.push({ path, text: 'The same item stands there twice. Remove the repeated one.' });
      for (let index = 0; index < value.length && faults.length < MAX_FAULTS; index++) check?.(value[index], `${path}[${index}]`, faults);
    };
  }
}

function typeCheck({ type }: JsonObject, at: string): Check | undefined {
  if (type === undefined) return undefined;
  const types: readonly unknown[] = Array.isArray(type) ? type : [type];
  const unknown = types.find((one) => !TYPES.has(one));
  if (unknown !== undefined) throw new TypeError(`${at} has the type ${String(unknown)}`);
  return (value, path, faults) => {
    if (types.some((one) => isOf(one, value))) return;
    const expected = types.map((one) => article(String(one))).join(' or ');
    faults.push({ path, text: `Expected ${expected}, got ${shown(value)}.${advice(types, value)}` });
  };
}

function choiceCheck(schema: JsonObject): Check | undefined {
  const choices: readonly unknown[] | undefined = 'const' in schema ? [schema.const] : Array.isArray(schema.enum) ? schema.enum : undefined;
  if (choices === undefined) return undefined;
  const texts = choices.map((choice) => JSON.stringify(choice));
  return (value, path, faults) => {
    const text = JSON.stringify(value);
    if (!texts.includes(text))
      faults.push({ path, text: `Expected ${texts.length === 1 ? '' : 'one of '}${texts.join(', ')}, got ${shown(value)}.` });
  };
}

function textCheck(schema: JsonObject, at: string): Check | undefined {
  const { minLength, maxLength, pattern, format } = schema;
  if (minLength === undefined && maxLength === undefined && pattern === undefined && format === undefined) return undefined;
  if (format !== undefined && !FORMATS.has(format)) throw new TypeError(`${at} has the format ${String(format)}`);
  const expression = pattern === undefined ? undefined : new RegExp(String(pattern), 'u');
  return (value, path, faults) => {
    if (typeof value !== 'string') return;
    const length = Array.from(value).length;
    if (!isWithin(length, minLength, maxLength)) faults.push({ path, text: `Expected ${range('character', minLength, maxLength)}, got ${length}.` });
    else if (expression !== undefined && !expression.test(value))
      faults.push({ path, text: `Expected a text that matches ${String(pattern)}, got ${shown(value)}.` });
    else if (format !== undefined && !checkText(format, value))
      faults.push({ path, text: `Expected ${EXAMPLES[String(format)] ?? String(format)}, got ${shown(value)}.` });
  };
}

const EXAMPLES: Readonly<Record<string, string>> = {
  date: 'a date such as 2026-01-31',
  'date-time': 'a time such as 2026-01-31T12:00:00Z',
  uri: 'a URL such as https://example.com/path',
  email: 'an address such as name@example.com',
};

function numberCheck({ minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below }: JsonObject): Check | undefined {
  if (minimum === undefined && maximum === undefined && above === undefined && below === undefined) return undefined;
  const low = minimum === undefined ? (above === undefined ? '' : `above ${String(above)}`) : `at least ${String(minimum)}`;
  const high = maximum === undefined ? (below === undefined ? '' : `below ${String(below)}`) : `at most ${String(maximum)}`;
  const expected = [low, high].filter((bound) => bound !== '').join(' and ');
  return (value, path, faults) => {
    if (typeof value !== 'number') return;
    const outside = (typeof above === 'number' && value <= above) || (typeof below === 'number' && value >= below);
    if (outside || !isWithin(value, minimum, maximum)) faults.push({ path, text: `Expected a number of ${expected}, got ${value}.` });
  };
}

function missing(name: string, schema: JsonObject, path: string): Fault {
  const [hint] = typeof schema.description === 'string' ? schema.description.split(/(?<=[.;])\s/) : [];
  return { path: path === '' ? name : `${path}.${name}`, text: `Missing. Add ${expectation(schema)}${hint === undefined ? '' : `: ${hint}`}` };
}

/** What a schema wants, in a few words. */
function expectation(schema: JsonObject): string {
  if ('const' in schema) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.map((choice) => JSON.stringify(choice)).join(', ')}`;
  if (Array.isArray(schema.anyOf)) return schema.anyOf.map((one) => expectation(one as JsonObject)).join(' or ');
  const types: readonly unknown[] = Array.isArray(schema.type) ? schema.type : schema.type === undefined ? ['value'] : [schema.type];
  return types.map((type) => article(String(type))).join(' or ');
}

function unknownText(name: string, known: readonly string[]): string {
  const near = known.find((one) => one.toLowerCase().replaceAll(/[^a-z0-9]/g, '') === name.toLowerCase().replaceAll(/[^a-z0-9]/g, ''));
  if (near !== undefined) return `No such parameter. Use ${near}.`;
  return known.length === 0 ? 'No such parameter. Remove it.' : `No such parameter. Remove it, or use one of ${known.join(', ')}.`;
}

/** What is easily mixed up. */
function advice(types: readonly unknown[], value: unknown): string {
  if (types.includes('array') && typeof value === 'string') return ' Put the value into a list.';
  if ((types.includes('integer') || types.includes('number')) && typeof value === 'string') return ' Leave the quotes away.';
  if (types.includes('string') && typeof value === 'number') return ' Put it in quotes.';
  return value === null ? ' Leave it out if there is no value.' : '';
}

function isOf(type: unknown, value: unknown): boolean {
  switch (type) {
    case 'integer':
      return Number.isSafeInteger(value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'object':
      return isJsonObject(value);
    case 'array':
      return Array.isArray(value);
    case 'null':
      return value === null;
    default:
      return typeof value === type;
  }
}

function isWithin(value: number, min: unknown, max: unknown): boolean {
  return !(typeof min === 'number' && value < min) && !(typeof max === 'number' && value > max);
}

function range(unit: string, min: unknown, max: unknown): string {
  const units = `${unit}${max === 1 || (max === undefined && min === 1) ? '' : 's'}`;
  if (min === undefined) return `at most ${String(max)} ${units}`;
  if (max === undefined) return `at least ${String(min)} ${units}`;
  return min === max ? `${String(min)} ${units}` : `${String(min)} to ${String(max)} ${units}`;
}

function article(type: string): string {
  return type === 'null' ? 'null' : `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}

/** A value of a stranger in a message: its kind, and a little of a short one. */
function shown(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  const text = JSON.stringify(value);
  return text.length > MAX_SHOWN ? `a ${typeof value} of ${text.length} characters` : text;
}
