import type { MemberSpan } from './json.ts';
import { isJsonObject, type JsonObject } from './mcp.ts';

/** Params, as bytes and as what they say. */
export interface ReadParams {
  readonly params: Buffer;
  readonly spans?: readonly MemberSpan[] | undefined;
  readonly body: JsonObject;
}

const QUOTE = 0x22;
const OPEN_OBJECT = 0x7b;

/** Whether `params` has a member. */
export function hasParam(read: ReadParams, key: string): boolean {
  return read.spans === undefined ? Object.hasOwn(read.body, key) : spanOf(read.spans, key) !== undefined;
}

/** The value of a member; a text is read from the bytes where they say where it is, without parsing the rest. */
export function paramOf(read: ReadParams, key: string): unknown {
  const { params, spans } = read;
  if (spans === undefined) return read.body[key];
  const span = spanOf(spans, key);
  if (span === undefined) return undefined;
  if (params[span.valueStart] !== QUOTE) return read.body[key];
  const text = params.toString('utf8', span.valueStart + 1, span.end - 1);
  return text.includes('\\') ? read.body[key] : text;
}

/** Whether a member is an object, or absent. */
export function isObjectParam(read: ReadParams, key: string): boolean {
  const { params, spans } = read;
  if (spans === undefined) return read.body[key] === undefined || isJsonObject(read.body[key]);
  const span = spanOf(spans, key);
  return span === undefined || params[span.valueStart] === OPEN_OBJECT;
}

/** Where a member lies. */
export function spanOf(spans: readonly MemberSpan[], key: string): MemberSpan | undefined {
  for (const span of spans) if (span.key === key) return span;
  return undefined;
}

/** Plain decimals: what `Number` and `JSON.parse` read alike, without an exponent that could make it another one. */
const PLAIN_NUMBER = /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$/;

/** A member that is plainly written as a number; undefined when it is absent, or anything else. */
export function numberIn(object: Buffer, spans: readonly MemberSpan[], key: string): number | undefined {
  const span = spanOf(spans, key);
  if (span === undefined) return undefined;
  const { valueStart, end } = span;
  const whole = digitsIn(object, valueStart, end);
  if (whole !== -1) return whole;
  const text = object.toString('latin1', valueStart, end);
  return PLAIN_NUMBER.test(text) ? Number(text) : undefined;
}

const ZERO = 0x30;

/** What most numbers are: up to fifteen digits that begin with none of no worth. -1 for all others. */
function digitsIn(bytes: Buffer, start: number, end: number): number {
  if (end - start > 15 || (bytes[start] === ZERO && end - start > 1)) return -1;
  let value = 0;
  for (let index = start; index < end; index++) {
    const digit = (bytes[index] as number) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** A member that is a text without escapes; undefined when it is absent, or anything else. */
export function textIn(object: Buffer, spans: readonly MemberSpan[], key: string): string | undefined {
  const span = spanOf(spans, key);
  if (span === undefined || object[span.valueStart] !== QUOTE) return undefined;
  const text = object.toString('utf8', span.valueStart + 1, span.end - 1);
  return text.includes('\\') ? undefined : text;
}
