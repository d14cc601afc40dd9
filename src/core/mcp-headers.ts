import { isUtf8 } from 'node:buffer';
import { isJsonObject, type JsonObject } from './mcp.ts';
import { err, ok, type Result } from './result.ts';

/**
 * Values of `Mcp-Name` and `Mcp-Param-*` (protocol.md section 2 "Headers"; SEP-2243): how they travel, which tools may
 * ask for them, and whether they say the same as the body. The body decides; a header may only contradict it.
 */

const SENTINEL_START = '=?base64?';
const SENTINEL_END = '?=';
const PLAIN = /^[\x20-\x7e\t]*$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** RFC 9110 section 5.6.2, `token`. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ANNOTATION = 'x-mcp-header';
const PARAM_PREFIX = 'mcp-param-';
const TYPES: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean']);

/**
 * A text as a header value. Visible ASCII with inner blanks travels as it is; everything else as `=?base64?…?=` of its
 * UTF-8. The empty text is encoded too, because intermediaries drop empty headers.
 */
export function encodeHeaderValue(value: string): string {
  const plain = value !== '' && PLAIN.test(value) && !isBlank(value.at(0)) && !isBlank(value.at(-1));
  const lookAlike = value.startsWith(SENTINEL_START) && value.endsWith(SENTINEL_END);
  return plain && !lookAlike ? value : `${SENTINEL_START}${Buffer.from(value, 'utf8').toString('base64')}${SENTINEL_END}`;
}

/** The text of a header value; the error says what is wrong with its form. Blanks around the value are no part of it. */
export function decodeHeaderValue(raw: string): Result<string, string> {
  let start = 0;
  let end = raw.length;
  while (start < end && isBlank(raw[start])) start++;
  while (end > start && isBlank(raw[end - 1])) end--;
  const value = raw.slice(start, end);
  if (!PLAIN.test(value)) return err('has characters outside visible ASCII');
  const wrapped = value.length >= SENTINEL_START.length + SENTINEL_END.length && value.startsWith(SENTINEL_START) && value.endsWith(SENTINEL_END);
  if (!wrapped) return ok(value);
  const code = value.slice(SENTINEL_START.length, -SENTINEL_END.length);
  if (!BASE64.test(code)) return err('is not valid base64');
  const bytes = Buffer.from(code, 'base64');
  // Bits that no byte uses would let one text have two spellings.
  if (bytes.toString('base64') !== code) return err('is not valid base64');
  return isUtf8(bytes) ? ok(bytes.toString('utf8')) : err('is not valid UTF-8');
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

interface Declaration {
  /** As annotated; compared without case. */
  readonly name: string;
  readonly path: readonly string[];
}

/** Why a tool's `x-mcp-header` annotations break the rules, so that the tool must be dropped; undefined if they do not. */
export function invalidParamHeader(inputSchema: unknown): string | undefined {
  return declarations(inputSchema).fault;
}

/** The headers that a tool's schema asks for, found out once. A schema with an invalid annotation asks for none: such a tool is dropped (`invalidParamHeader`). */
export class ParamHeaders {
  readonly #declared: readonly Declaration[];

  constructor(inputSchema: unknown) {
    this.#declared = declarations(inputSchema).found;
  }

  /** Whether it asks for any. */
  get some(): boolean {
    return this.#declared.length > 0;
  }

  /**
   * The `mcp-param-*` headers of a `tools/call`, by lower-case name, values encoded. Absent and null arguments have none; neither
   * has a value that is no text, truth value or number, or an integer beyond 2^53-1, whose digits a parser loses.
   */
  mint(args: JsonObject | undefined): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const { name, path } of this.#declared) {
      const text = asText(valueAt(args, path));
      if (text !== undefined) headers[PARAM_PREFIX + name.toLowerCase()] = encodeHeaderValue(text);
    }
    return headers;
  }

  /**
   * Compares the `Mcp-Param-*` headers of a request with its body. `headers` by lower-case name, as `node:http` gives
   * them. The error names the header and goes to the caller with -32020.
   */
  check(args: JsonObject | undefined, headers: Readonly<Record<string, string | string[] | undefined>>): Result<undefined, string> {
    for (const { name, path } of this.#declared) {
      const value = valueAt(args, path);
      const title = `Mcp-Param-${name}`;
      const sent = headers[PARAM_PREFIX + name.toLowerCase()];
      if (Array.isArray(sent)) return err(`${title} is repeated`);
      if (value === undefined || value === null) {
        if (sent !== undefined) return err(`${title} is present, but the body has no argument '${path.join('.')}'`);
        continue;
      }
      const text = asText(value);
      if (text === undefined) continue;
      if (sent === undefined) return err(`${title} is missing`);
      const decoded = decodeHeaderValue(sent);
      if (!decoded.ok) return err(`${title} ${decoded.error}`);
      const equal = typeof value === 'number' ? sameNumber(decoded.value, value) : decoded.value === text;
      if (!equal) return err(`${title} does not match the argument '${path.join('.')}'`);
    }
    return ok(undefined);
  }
}

const DECIMAL = /^[+-]?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,4})?$/;

function sameNumber(text: string, value: number): boolean {
  return DECIMAL.test(text) && Number(text) === value;
}

function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value);
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const key of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** Keywords whose value is a schema or a list of schemas, and keywords whose value maps names to schemas. */
const SCHEMA_KEYWORDS = [
  ...['items', 'prefixItems', 'additionalItems', 'contains', 'additionalProperties', 'unevaluatedProperties', 'unevaluatedItems'],
  ...['propertyNames', 'contentSchema', 'oneOf', 'anyOf', 'allOf', 'not', 'if', 'then', 'else'],
];
const MAP_KEYWORDS = ['patternProperties', 'dependentSchemas', 'dependencies', '$defs', 'definitions'];
/** Bounds of foreign schemas (protocol.md section 4, "Relay core"). */
const MAX_DEPTH = 64;
const MAX_SCHEMAS = 10_000;

interface Visit {
  readonly schema: JsonObject;
  readonly path: readonly string[];
  /** Whether only `properties` led here: elsewhere the value that a header would mirror is not determined. */
  readonly reachable: boolean;
  readonly depth: number;
}

/** Walks a schema iteratively in document order. `found` is empty when there is a fault. */
function declarations(inputSchema: unknown): { readonly found: readonly Declaration[]; readonly fault?: string } {
  const found: Declaration[] = [];
  const names = new Set<string>();
  const queue: Visit[] = isJsonObject(inputSchema) ? [{ schema: inputSchema, path: [], reachable: true, depth: 0 }] : [];
  const refuse = (fault: string) => ({ found: [], fault });
  for (let visited = 0; ; visited++) {
    const visit = queue[visited];
    if (visit === undefined) return { found };
    const { schema, path, reachable, depth } = visit;
    if (visited > MAX_SCHEMAS || depth > MAX_DEPTH) return refuse('the schema is too large to look for x-mcp-header in it');
    if (Object.hasOwn(schema, ANNOTATION)) {
      const where = path.length === 0 ? 'the schema' : `'${path.join('.')}'`;
      const name = schema[ANNOTATION];
      if (!reachable || path.length === 0) return refuse(`x-mcp-header at ${where} is not reachable by 'properties' alone`);
      if (typeof name !== 'string' || name === '') return refuse(`x-mcp-header at ${where} is empty or not a string`);
      if (!TOKEN.test(name)) return refuse(`x-mcp-header at ${where} is not a header token`);
      if (!TYPES.has(schema.type)) return refuse(`x-mcp-header at ${where} needs the type string, integer or boolean`);
      if (names.has(name.toLowerCase())) return refuse(`x-mcp-header '${name}' is used twice`);
      names.add(name.toLowerCase());
      found.push({ name, path });
    }
    const enter = (child: unknown, key: string, direct: boolean) => {
      if (isJsonObject(child)) queue.push({ schema: child, path: [...path, key], reachable: reachable && direct, depth: depth + 1 });
    };
    if (isJsonObject(schema.properties)) for (const [key, child] of Object.entries(schema.properties)) enter(child, key, true);
    for (const keyword of SCHEMA_KEYWORDS) {
      const child = schema[keyword];
      for (const one of Array.isArray(child) ? child : [child]) enter(one, `<${keyword}>`, false);
    }
    for (const keyword of MAP_KEYWORDS) {
      const children = schema[keyword];
      if (isJsonObject(children)) for (const child of Object.values(children)) enter(child, `<${keyword}>`, false);
    }
  }
}
