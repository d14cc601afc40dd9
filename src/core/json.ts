import { isUtf8 } from 'node:buffer';
import { err, ok, type Result } from './result.ts';

/**
 * JSON as bytes. The relay cuts what it must change out of the bytes and leaves the rest alone, because a
 * second `JSON.stringify` corrupts integers above 2^53, duplicate members and number forms (performance.md).
 * Everything here takes bytes that `parseJson` has accepted: the full parser has the first word.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

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

/** Where a member of an object lies: `start` at its key's quote, `valueStart`/`end` around its value. */
export interface MemberSpan {
  readonly key: string;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** Skips white space (RFC 8259 section 2). */
function skipBlank(bytes: Buffer, at: number): number {
  for (;;) {
    const byte = bytes[at];
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) at++;
    else return at;
  }
}

/** Index after the closing quote of the string that opens at `at`. */
function skipString(bytes: Buffer, at: number): number {
  for (let index = at + 1; index < bytes.length; index++) {
    const byte = bytes[index];
    if (byte === BACKSLASH) index++;
    else if (byte === QUOTE) return index + 1;
  }
  throw new RangeError('unterminated string in JSON that was said to be valid');
}

/** Index after the value that starts at `at`. Iterative: foreign nesting never becomes our stack. */
function skipValue(bytes: Buffer, at: number): number {
  let depth = 0;
  let index = at;
  while (index < bytes.length) {
    const byte = bytes[index];
    if (byte === QUOTE) {
      index = skipString(bytes, index);
      if (depth === 0) return index;
      continue;
    }
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (depth === 0) return index;
      if (--depth === 0) return index + 1;
    } else if (depth === 0 && (byte === COMMA || byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)) {
      return index;
    }
    index++;
  }
  return index;
}

/** All members of a JSON object, in order, duplicates included. */
export function memberSpans(object: Buffer): MemberSpan[] {
  const spans: MemberSpan[] = [];
  let at = skipBlank(object, 0);
  if (object[at] !== OPEN_OBJECT) throw new TypeError('not a JSON object');
  at = skipBlank(object, at + 1);
  while (object[at] === QUOTE) {
    const keyEnd = skipString(object, at);
    const raw = object.toString('utf8', at, keyEnd);
    const key = raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
    const valueStart = skipBlank(object, skipBlank(object, keyEnd) + 1);
    const end = skipValue(object, valueStart);
    spans.push({ key, start: at, valueStart, end });
    at = skipBlank(object, end);
    if (object[at] === COMMA) at = skipBlank(object, at + 1);
  }
  return spans;
}

/** The elements of a JSON array as bytes, in order. */
export function elements(array: Buffer): Buffer[] {
  const found: Buffer[] = [];
  let at = skipBlank(array, 0);
  if (array[at] !== OPEN_ARRAY) throw new TypeError('not a JSON array');
  at = skipBlank(array, at + 1);
  while (at < array.length && array[at] !== CLOSE_ARRAY) {
    const end = skipValue(array, at);
    found.push(array.subarray(at, end));
    at = skipBlank(array, end);
    if (array[at] === COMMA) at = skipBlank(array, at + 1);
  }
  return found;
}

/** The bytes of one member's value; the last one wins, as in `JSON.parse`. */
export function member(object: Buffer, key: string): Buffer | undefined {
  const span = memberSpans(object).findLast((candidate) => candidate.key === key);
  return span && object.subarray(span.valueStart, span.end);
}

/** First key that stands twice in an object, if any: two readers may disagree about it, so a request is refused. */
export function repeatedMember(object: Buffer): string | undefined {
  const seen = new Set<string>();
  for (const { key } of memberSpans(object)) {
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return undefined;
}

/** New bytes for a member; `undefined` removes it. */
export type Edits = { readonly [key: string]: Buffer | undefined };

/**
 * Replaces, removes or appends members of an object; every other byte stays, blanks included. Members that are new
 * are appended in the order of `edits`. A repeated member is replaced at its last place and removed at the others.
 */
export function editObject(object: Buffer, edits: Edits): Buffer {
  const spans = memberSpans(object);
  const last = new Map<string, MemberSpan>();
  for (const span of spans) last.set(span.key, span);
  const cuts: Cut[] = [];
  let kept: MemberSpan | undefined;
  spans.forEach((span, index) => {
    if (Object.hasOwn(edits, span.key)) {
      const value = edits[span.key];
      if (value === undefined || last.get(span.key) !== span) {
        // A removed member takes the comma behind it along; one at the end takes the comma before it.
        const next = spans[index + 1];
        if (next !== undefined) cuts.push({ start: span.start, end: next.start });
        else {
          // Removed members right before it go with the same cut: the comma before them all is the last kept one's.
          const start = kept === undefined ? span.start : kept.end;
          while ((cuts.at(-1)?.start ?? -1) >= start) cuts.pop();
          cuts.push({ start, end: span.end });
        }
        return;
      }
      cuts.push({ start: span.valueStart, end: span.end, insert: value });
    }
    kept = span;
  });
  const added = Object.entries(edits).flatMap(([key, value]) =>
    value === undefined || last.has(key) ? [] : [Buffer.concat([toJson(key), COLON, value])],
  );
  if (added.length > 0) {
    const at = kept?.end ?? object.indexOf(OPEN_OBJECT) + 1;
    const insert = Buffer.concat([...(kept ? [COMMA_BYTES] : []), ...interleave(added)]);
    const after = cuts.findIndex((cut) => cut.start >= at);
    cuts.splice(after === -1 ? cuts.length : after, 0, { start: at, end: at, insert });
  }
  return splice(object, cuts);
}

interface Cut {
  readonly start: number;
  readonly end: number;
  readonly insert?: Buffer;
}

/** Applies cuts that are sorted and do not overlap. */
function splice(bytes: Buffer, cuts: readonly Cut[]): Buffer {
  if (cuts.length === 0) return bytes;
  const parts: Buffer[] = [];
  let at = 0;
  for (const cut of cuts) {
    parts.push(bytes.subarray(at, cut.start));
    if (cut.insert) parts.push(cut.insert);
    at = Math.max(at, cut.end);
  }
  parts.push(bytes.subarray(at));
  return Buffer.concat(parts);
}

const COLON = Buffer.from(':');
const COMMA_BYTES = Buffer.from(',');

/** An array of the given values. */
export function joinArray(values: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('['), ...interleave(values), Buffer.from(']')]);
}

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
