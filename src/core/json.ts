import { isUtf8 } from 'node:buffer';
import { assembled, cutsOf, type Edits } from './json-splice.ts';
import { BYTE, byteAt, closed, keyEnd, type MemberSpan, skipBlank, skipValue, wordAt } from './json-walk.ts';
import { err, ok, type Result } from './result.ts';

export type { Edits } from './json-splice.ts';
export type { MemberSpan } from './json-walk.ts';

const { CLOSE_ARRAY, COMMA, OPEN_ARRAY, OPEN_OBJECT, QUOTE } = BYTE;

/**
 * JSON as bytes. The relay cuts what it must change out of the bytes and leaves the rest alone, because a
 * second `JSON.stringify` corrupts integers above 2^53, duplicate members and number forms (performance.md).
 * Everything here takes bytes that `parseJson` has accepted, or a scanner of `scan.ts`.
 */

/** Parses UTF-8 JSON. Invalid UTF-8 is refused, never repaired: a repaired name could pass a denylist. */
export function parseJson(bytes: Buffer): Result<unknown, string> {
  if (!isUtf8(bytes)) return err('not valid UTF-8');
  try {
    return ok(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    return err((error as SyntaxError).message);
  }
}

/** The bytes of a value we made ourselves. */
export function toJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** All members of a JSON object, in order, duplicates included. */
export function memberSpans(object: Buffer): MemberSpan[] {
  const spans: MemberSpan[] = [];
  let at = opened(object, OPEN_OBJECT);
  while (byteAt(object, at) === QUOTE) {
    const word = wordAt(object, at);
    const end = word === undefined ? keyEnd(object, at) : at + 1 + word.codes.length;
    const keyStop = closed(Math.abs(end));
    const key = word === undefined ? keyOf(object, at, end) : word.text;
    const valueStart = skipBlank(object, skipBlank(object, keyStop) + 1);
    const valueEnd = skipValue(object, valueStart);
    spans.push({ key, start: at, valueStart, end: valueEnd });
    at = afterComma(object, valueEnd);
  }
  return spans;
}

/** @param end as `keyEnd` gives it */
function keyOf(object: Buffer, start: number, end: number): string {
  if (end > 0) return object.toString('latin1', start + 1, end - 1);
  const raw = object.toString('utf8', start, -end);
  return raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
}

/** Index of the first member or element. */
function opened(bytes: Buffer, open: number): number {
  const at = skipBlank(bytes, 0);
  if (byteAt(bytes, at) !== open) throw new TypeError(`not a JSON ${open === OPEN_OBJECT ? 'object' : 'array'}`);
  return skipBlank(bytes, at + 1);
}

/** Index of the next member or element, or of what closes them. */
function afterComma(bytes: Buffer, end: number): number {
  const at = skipBlank(bytes, end);
  return byteAt(bytes, at) === COMMA ? skipBlank(bytes, at + 1) : at;
}

/** The elements of a JSON array as bytes, in order. */
export function elements(array: Buffer): Buffer[] {
  const found: Buffer[] = [];
  let at = opened(array, OPEN_ARRAY);
  while (at < array.length && array[at] !== CLOSE_ARRAY) {
    const end = skipValue(array, at);
    found.push(array.subarray(at, end));
    const next = afterComma(array, end);
    if (next === at) throw new TypeError('not a JSON array');
    at = next;
  }
  return found;
}

/**
 * The bytes of one member's value; the last one wins, as in `JSON.parse`.
 * @param spans the members, where they are known already
 */
export function member(object: Buffer, key: string, spans: readonly MemberSpan[] = memberSpans(object)): Buffer | undefined {
  for (let index = spans.length - 1; index >= 0; index--) {
    const span = spans[index] as MemberSpan;
    if (span.key === key) return object.subarray(span.valueStart, span.end);
  }
  return undefined;
}

/** First key that stands twice in an object, if any: two readers may disagree about it, so a request is refused. */
export function repeatedMember(object: Buffer): string | undefined {
  const spans = memberSpans(object);
  const seen = new Set<string>();
  for (const { key } of spans) {
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return undefined;
}

/**
 * Replaces, removes or appends members of an object; every other byte stays, blanks included. Members that are new
 * are appended in the order of `edits`. A repeated member is replaced at its last place and removed at the others.
 * @param spans all members of the object, where they are known already
 */
export function editObject(object: Buffer, edits: Edits, spans: readonly MemberSpan[] = memberSpans(object)): Buffer {
  const cuts = cutsOf(object, edits, spans);
  return cuts.length === 0 ? object : assembled('', object, cuts, '', false);
}

/** An array of the given values. */
export function joinArray(values: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('['), ...interleave(values), Buffer.from(']')]);
}

const COMMA_BYTES = Buffer.from(',');

function interleave(parts: readonly Buffer[]): Buffer[] {
  const out: Buffer[] = [];
  for (const part of parts) {
    if (out.length > 0) out.push(COMMA_BYTES);
    out.push(part);
  }
  return out;
}

/** Builds an object from members whose values are bytes already. */
export function objectOf(members: Edits): Buffer {
  return editObject(Buffer.from('{}'), members);
}

/** Deepest nesting of foreign JSON that is ever walked recursively. */
const MAX_DEPTH = 512;

/**
 * One text for all spellings of one value: members sorted by key, no blanks, strings in their shortest form.
 * Numbers keep their digits, so two integers above 2^53 stay two.
 */
export function canonicalJson(value: Buffer, depth = 0): string {
  if (depth > MAX_DEPTH) throw new RangeError(`JSON nested deeper than ${MAX_DEPTH}`);
  const at = skipBlank(value, 0);
  const first = value[at];
  if (first === OPEN_OBJECT) {
    const members = new Map<string, string>();
    for (const span of memberSpans(value)) {
      members.set(span.key, canonicalJson(value.subarray(span.valueStart, span.end), depth + 1));
    }
    const sorted = [...members].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${sorted.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}`;
  }
  if (first === OPEN_ARRAY)
    return `[${elements(value)
      .map((item) => canonicalJson(item, depth + 1))
      .join(',')}]`;
  const text = value.toString('utf8', at, skipValue(value, at));
  return first === QUOTE ? JSON.stringify(JSON.parse(text)) : text;
}
