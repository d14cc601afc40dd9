import { BYTE, byteAt, plainEnd, skipBlank, skipString } from './json-walk.ts';

const { BACKSLASH, CLOSE_ARRAY, CLOSE_OBJECT, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, QUOTE } = BYTE;

/**
 * Ends of JSON values in bytes that nobody has looked at: -1 for what is no JSON. `validEnd` holds the whole grammar of RFC 8259 and
 * accepts exactly what `JSON.parse` accepts (UTF-8 aside, which is checked once for the whole message); `balancedEnd` only sees to it
 * that braces, brackets and strings are closed.
 */

/** Deepest nesting that is validated; the parser, which does not recurse, judges what is deeper. */
export const MAX_DEPTH = 500;
/** Deepest nesting that is skipped: one bit each of a small integer remembers whether a brace or a bracket opened it. */
const MAX_SKIPPED_DEPTH = 31;

/**
 * Index after the valid value that starts at `at`.
 * @param depth how many objects and arrays are open around it
 */
export function validEnd(bytes: Buffer, at: number, depth: number): number {
  const first = byteAt(bytes, at);
  if (first === QUOTE) return validStringEnd(bytes, at);
  if (first === OPEN_OBJECT) return depth < MAX_DEPTH ? objectEnd(bytes, at, depth + 1) : -1;
  if (first === OPEN_ARRAY) return depth < MAX_DEPTH ? arrayEnd(bytes, at, depth + 1) : -1;
  return scalarEnd(bytes, at);
}

function objectEnd(bytes: Buffer, open: number, depth: number): number {
  let at = skipBlank(bytes, open + 1);
  if (byteAt(bytes, at) === CLOSE_OBJECT) return at + 1;
  for (;;) {
    if (byteAt(bytes, at) !== QUOTE) return -1;
    at = validStringEnd(bytes, at);
    if (at === -1) return -1;
    at = skipBlank(bytes, at);
    if (byteAt(bytes, at) !== COLON) return -1;
    at = validEnd(bytes, skipBlank(bytes, at + 1), depth);
    if (at === -1) return -1;
    at = skipBlank(bytes, at);
    const next = byteAt(bytes, at);
    if (next === CLOSE_OBJECT) return at + 1;
    if (next !== COMMA) return -1;
    at = skipBlank(bytes, at + 1);
  }
}

function arrayEnd(bytes: Buffer, open: number, depth: number): number {
  let at = skipBlank(bytes, open + 1);
  if (byteAt(bytes, at) === CLOSE_ARRAY) return at + 1;
  for (;;) {
    at = validEnd(bytes, at, depth);
    if (at === -1) return -1;
    at = skipBlank(bytes, at);
    const next = byteAt(bytes, at);
    if (next === CLOSE_ARRAY) return at + 1;
    if (next !== COMMA) return -1;
    at = skipBlank(bytes, at + 1);
  }
}

/** Index after the string that opens at `at`: no control characters, known escapes only. */
function validStringEnd(bytes: Buffer, at: number): number {
  let index = plainEnd(bytes, at + 1);
  while (byteAt(bytes, index) !== QUOTE) {
    if (byteAt(bytes, index) !== BACKSLASH) return -1;
    index = escapeEnd(bytes, index + 1);
    if (index === -1) return -1;
    index = plainEnd(bytes, index);
  }
  return index + 1;
}

/** Index after an escape whose letter stands at `at`. */
function escapeEnd(bytes: Buffer, at: number): number {
  switch (byteAt(bytes, at)) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // slash
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 1;
    case 0x75: // u
      for (let index = at + 1; index <= at + 4; index++) if (!isHex(byteAt(bytes, index))) return -1;
      return at + 5;
    default:
      return -1;
  }
}

function isHex(byte: number): boolean {
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Index after the number or literal that starts at `at`. */
export function scalarEnd(bytes: Buffer, at: number): number {
  switch (byteAt(bytes, at)) {
    case 0x74: // true
      return byteAt(bytes, at + 1) === 0x72 && byteAt(bytes, at + 2) === 0x75 && byteAt(bytes, at + 3) === 0x65 ? at + 4 : -1;
    case 0x66: // false
      return byteAt(bytes, at + 1) === 0x61 && byteAt(bytes, at + 2) === 0x6c && byteAt(bytes, at + 3) === 0x73 && byteAt(bytes, at + 4) === 0x65
        ? at + 5
        : -1;
    case 0x6e: // null
      return byteAt(bytes, at + 1) === 0x75 && byteAt(bytes, at + 2) === 0x6c && byteAt(bytes, at + 3) === 0x6c ? at + 4 : -1;
    default:
      return numberEnd(bytes, at);
  }
}

function numberEnd(bytes: Buffer, start: number): number {
  let at = byteAt(bytes, start) === 0x2d ? start + 1 : start;
  // A zero that leads stands alone.
  at = byteAt(bytes, at) === 0x30 ? at + 1 : digitsEnd(bytes, at);
  if (at !== -1 && byteAt(bytes, at) === 0x2e) at = digitsEnd(bytes, at + 1);
  if (at === -1 || (byteAt(bytes, at) | 0x20) !== 0x65) return at;
  const sign = byteAt(bytes, at + 1);
  return digitsEnd(bytes, sign === 0x2b || sign === 0x2d ? at + 2 : at + 1);
}

/** Index after one digit or more. */
function digitsEnd(bytes: Buffer, start: number): number {
  let at = start;
  while (at < bytes.length && isDigit(bytes[at] as number)) at++;
  return at === start ? -1 : at;
}

/** Index after the value that starts at `at`: strings closed, every brace and bracket closed by its own kind; nothing else is judged. */
export function balancedEnd(bytes: Buffer, at: number): number {
  const first = byteAt(bytes, at);
  if (first === QUOTE) return skipString(bytes, at);
  if (first !== OPEN_OBJECT && first !== OPEN_ARRAY) return scalarEnd(bytes, at);
  let open = 0;
  let depth = 0;
  let index = at;
  while (index < bytes.length) {
    const byte = bytes[index] as number;
    if (byte === QUOTE) {
      index = skipString(bytes, index);
      if (index === -1) return -1;
      continue;
    }
    index++;
    // Braces and brackets differ in one bit only.
    const kind = byte | 0x20;
    if (kind === OPEN_OBJECT) {
      if (++depth > MAX_SKIPPED_DEPTH) return -1;
      open = (open << 1) | ((byte >> 5) & 1);
    } else if (kind === CLOSE_OBJECT) {
      if ((open & 1) !== ((byte >> 5) & 1)) return -1;
      if (--depth === 0) return index;
      open >>>= 1;
    }
  }
  return -1;
}
