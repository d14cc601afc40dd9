/**
 * Steps through JSON in its bytes. Nothing here decodes or allocates; `json.ts` (bytes that are known to be valid) and `scan.ts`
 * (bytes that nobody has looked at) are built on it. Indexing the Buffer is twice as fast as `charCodeAt` on its latin1 text.
 */

/** The bytes that make JSON's structure. Files take what they need into constants of their own: those of other modules are read from memory, byte for byte. */
export const BYTE = {
  QUOTE: 0x22,
  BACKSLASH: 0x5c,
  COLON: 0x3a,
  COMMA: 0x2c,
  OPEN_OBJECT: 0x7b,
  CLOSE_OBJECT: 0x7d,
  OPEN_ARRAY: 0x5b,
  CLOSE_ARRAY: 0x5d,
} as const;
const { QUOTE, BACKSLASH, COMMA, OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY } = BYTE;

/** Where a member of an object lies: `start` at its key's quote, `valueStart`/`end` around its value. */
export interface MemberSpan {
  readonly key: string;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** The byte at an index, -1 behind the end: a read out of bounds would make every later read slower. */
export function byteAt(bytes: Buffer, at: number): number {
  return at < bytes.length ? (bytes[at] as number) : -1;
}

/** Skips white space (RFC 8259 section 2). */
export function skipBlank(bytes: Buffer, at: number): number {
  let index = at;
  for (; index < bytes.length; index++) {
    const byte = bytes[index] as number;
    if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
  }
  return index;
}

/**
 * What a byte is within a string: 0 plain ASCII, 1 part of another character, 2 a control character, 3 a backslash, 4 a quote. One
 * look instead of four comparisons.
 */
const KIND = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === QUOTE) return 4;
  if (byte === BACKSLASH) return 3;
  if (byte < 0x20) return 2;
  return byte > 0x7f ? 1 : 0;
});

/** Index of the next quote, backslash or control character from `at` on, or the end of all bytes. */
export function plainEnd(bytes: Buffer, at: number): number {
  const { length } = bytes;
  let index = at;
  while (index < length && (KIND[bytes[index] as number] as number) < 2) index++;
  return index;
}

/** Bytes of a string that are looked at one by one before the native search for its end takes over, if so many are left at all. */
const SHORT = 64;
const MANY = 256;
/** Where one quote is escaped there are more. Texts are searched faster than buffers, once they are made: so much of one at a time. */
const WINDOW = 16 * 1024;
/** Where the next one is that near (text that is JSON itself), so many bytes are looked at before the next search. */
const NEAR = 12;
const DENSE = 256;

/** Index after the closing quote of the string that opens at `at`, -1 when it never closes. What it holds is not judged. */
export function skipString(bytes: Buffer, at: number): number {
  if (bytes.length - at > MANY) return skipLongString(bytes, at);
  for (let index = at + 1; index < bytes.length; index++) {
    const byte = bytes[index];
    if (byte === BACKSLASH) index++;
    else if (byte === QUOTE) return index + 1;
  }
  return -1;
}

function skipLongString(bytes: Buffer, at: number): number {
  const near = at + SHORT;
  let index = at + 1;
  for (; index < near; index++) {
    const byte = bytes[index];
    if (byte === BACKSLASH) index++;
    else if (byte === QUOTE) return index + 1;
  }
  const quote = bytes.indexOf(QUOTE, index);
  if (quote === -1) return -1;
  return isEscaped(bytes, index, quote) ? skipEscaped(bytes, quote + 1) : quote + 1;
}

/** As `skipString`, from right behind an escaped quote within the string. */
function skipEscaped(bytes: Buffer, from: number): number {
  let index = from;
  let searched = from;
  let start = from;
  let text = '';
  while (searched < bytes.length) {
    if (searched >= start + text.length) {
      start = searched;
      text = bytes.toString('latin1', start, start + WINDOW);
    }
    const found = text.indexOf('"', searched - start);
    if (found === -1) {
      searched = start + text.length;
      continue;
    }
    const quote = start + found;
    if (!isEscaped(bytes, index, quote)) return quote + 1;
    const isDense = quote - index < NEAR;
    index = isDense ? denseEnd(bytes, quote + 1) : quote + 1;
    if (index < 0) return -index;
    searched = index;
  }
  return -1;
}

/** Whether the quote stands behind an odd number of backslashes. @param from not within an escape */
function isEscaped(bytes: Buffer, from: number, quote: number): boolean {
  let before = quote;
  while (before > from && bytes[before - 1] === BACKSLASH) before--;
  return ((quote - before) & 1) === 1;
}

/** Index after the closing quote, negated, or where to go on if it is not near. No branch depends on an escape: nothing could foresee it. */
function denseEnd(bytes: Buffer, at: number): number {
  const near = Math.min(bytes.length, at + DENSE);
  let escaped = 0;
  for (let index = at; index < near; index++) {
    const kind = KIND[bytes[index] as number] as number;
    if (kind - escaped === 4) return -(index + 1);
    escaped = kind & (kind >> 1) & ~escaped & 1;
  }
  return near + escaped;
}

/**
 * Index after the closing quote of the key that opens at `at`; the same, negated, when the key is not its own text (an escape, a
 * control character, anything but ASCII); 0 when it never closes.
 */
export function keyEnd(bytes: Buffer, at: number): number {
  const { length } = bytes;
  let index = at + 1;
  while (index < length && KIND[bytes[index] as number] === 0) index++;
  if (index < length && bytes[index] === QUOTE) return index + 1;
  const end = skipString(bytes, at);
  return end === -1 ? 0 : -end;
}

/** A word of the protocol, and its bytes with the quote behind it. */
export interface Word {
  readonly text: string;
  readonly codes: Buffer;
}

/** Keys and methods that most messages consist of: found in the bytes they need no new string, and comparing them compares two addresses. */
const WORDS = [
  ...['jsonrpc', 'id', 'method', 'params', 'result', 'error', 'name', 'arguments', '_meta', 'uri', 'cursor', 'taskId', 'task'],
  ...['content', 'structuredContent', 'isError', 'resultType', 'contents', 'messages', 'description', 'progressToken', 'progress', 'total'],
  ...['message', 'level', 'logger', 'data', 'requestId', 'reason', 'inputRequests', 'inputResponses', 'requestState', 'nextCursor', 'tools'],
  ...['protocolVersion', 'clientInfo', 'clientCapabilities', 'serverInfo', 'logLevel', 'subscriptionId', 'related-task'].map(
    (word) => `io.modelcontextprotocol/${word}`,
  ),
  ...['tools/call', 'tools/list', 'prompts/get', 'prompts/list', 'resources/read', 'resources/list', 'initialize', 'ping', 'server/discover'],
  ...['notifications/progress', 'notifications/message', 'notifications/cancelled', 'notifications/initialized'],
];
const PLACES = 1024;
const DOT = 0x2e;
const WORDS_AT = placed(WORDS.map((text) => ({ text, codes: Buffer.from(`${text}"`) })));

function placed(words: readonly Word[]): readonly (readonly Word[])[] {
  const places: Word[][] = Array.from({ length: PLACES }, () => []);
  for (const word of words) places[placeOf(Buffer.from(`"${word.text}": "v"}}`), 0)]?.push(word);
  return places;
}

/** By the first three letters; where those are of the reserved prefix, by two letters behind it as well. */
function placeOf(bytes: Buffer, at: number): number {
  const third = bytes[at + 3] as number;
  const place = (bytes[at + 1] as number) + (bytes[at + 2] as number) * 5 + third * 11;
  const far = third === DOT && at + 31 < bytes.length ? (bytes[at + 25] as number) * 3 + (bytes[at + 31] as number) * 17 : 0;
  return (place + far) & (PLACES - 1);
}

/** The known word that the string at `at` is, read in the same step as its end: that lies `codes.length + 1` behind `at`. */
export function wordAt(bytes: Buffer, at: number): Word | undefined {
  if (at + 4 > bytes.length) return undefined;
  const words = WORDS_AT[placeOf(bytes, at)] as readonly Word[];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as Word;
    const { codes } = word;
    const { length } = codes;
    if (at + length >= bytes.length) continue;
    let offset = 0;
    while (offset < length && codes[offset] === bytes[at + 1 + offset]) offset++;
    if (offset === length) return word;
  }
  return undefined;
}

/** Index after the value that starts at `at`, in JSON that is valid. Iterative: foreign nesting never becomes our stack. */
export function skipValue(bytes: Buffer, at: number): number {
  const first = byteAt(bytes, at);
  if (first === QUOTE) return closed(skipString(bytes, at));
  let index = at;
  if (first !== OPEN_OBJECT && first !== OPEN_ARRAY) {
    for (; index < bytes.length; index++) {
      const byte = bytes[index] as number;
      if (byte <= 0x20 || byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) break;
    }
    return index;
  }
  let depth = 0;
  while (index < bytes.length) {
    const byte = bytes[index] as number;
    if (byte === QUOTE) {
      index = closed(skipString(bytes, index));
      continue;
    }
    index++;
    // Braces and brackets differ in one bit only.
    const kind = byte | 0x20;
    if (kind === OPEN_OBJECT) depth++;
    else if (kind === CLOSE_OBJECT && --depth === 0) return index;
  }
  return index;
}

/** Passes on the end of a string that has one. */
export function closed(end: number): number {
  if (end <= 0) throw new RangeError('unterminated string in JSON that was said to be valid');
  return end;
}
