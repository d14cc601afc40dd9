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
  const text = span && object.toString('latin1', span.valueStart, span.end);
  return text !== undefined && PLAIN_NUMBER.test(text) ? Number(text) : undefined;
}
