/**
 * Steps through JSON in its bytes. Nothing here decodes or allocates; `json.ts` (bytes that are known to be valid) and `scan.ts`
 * (bytes that nobody has looked at) are built on it. Indexing the Buffer is twice as fast as `charCodeAt` on its latin1 text.
 */

export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const COLON = 0x3a;
export const COMMA = 0x2c;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;
export const OPEN_ARRAY = 0x5b;
export const CLOSE_ARRAY = 0x5d;

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

/** Bytes of a string that are looked at one by one before the native search takes over. */
const SHORT = 48;

/** Index after the closing quote of the string that opens at `at`, -1 when it never closes. What it holds is not judged. */
export function skipString(bytes: Buffer, at: number): number {
  const near = Math.min(bytes.length, at + SHORT);
  let index = at + 1;
  while (index < near) {
    const byte = bytes[index++] as number;
    if (byte === QUOTE) return index;
    if (byte === BACKSLASH) index++;
  }
  for (;;) {
    const quote = index < bytes.length ? bytes.indexOf(QUOTE, index) : -1;
    if (quote === -1) return -1;
    let before = quote;
    while (before > index && bytes[before - 1] === BACKSLASH) before--;
    if (((quote - before) & 1) === 0) return quote + 1;
    index = quote + 1;
  }
}

/**
 * Index after the closing quote of the key that opens at `at`; the same, negated, when the key is not its own text (an escape, a
 * control character, anything but ASCII); 0 when it never closes.
 */
export function keyEnd(bytes: Buffer, at: number): number {
  for (let index = at + 1; index < bytes.length; index++) {
    const byte = bytes[index] as number;
    if (byte === QUOTE) return index + 1;
    if (byte === BACKSLASH || byte < 0x20 || byte > 0x7f) return -Math.max(0, skipString(bytes, at));
  }
  return 0;
}

/** Keys of the protocol: found in the bytes they need no new string, and comparing them compares two addresses. */
const KNOWN = [
  ...['jsonrpc', 'id', 'method', 'params', 'result', 'error', 'name', 'arguments', '_meta', 'uri', 'cursor', 'taskId', 'task'],
  ...['content', 'structuredContent', 'isError', 'resultType', 'contents', 'messages', 'description', 'progressToken', 'progress', 'total'],
  ...['message', 'level', 'logger', 'data', 'requestId', 'reason', 'inputRequests', 'inputResponses', 'requestState', 'nextCursor', 'tools'],
  ...['protocolVersion', 'clientInfo', 'clientCapabilities', 'serverInfo', 'logLevel', 'subscriptionId', 'related-task'].map(
    (word) => `io.modelcontextprotocol/${word}`,
  ),
];

interface KnownKey {
  readonly text: string;
  readonly codes: Buffer;
}

const KNOWN_BY_LENGTH: readonly (readonly KnownKey[])[] = Array.from({ length: 64 }, (_, length) =>
  KNOWN.filter((text) => text.length === length).map((text) => ({ text, codes: Buffer.from(text, 'latin1') })),
);

/** The text of a key that is plain ASCII, from its first byte to the one behind its last. */
export function keyText(bytes: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length < KNOWN_BY_LENGTH.length) {
    const candidates = KNOWN_BY_LENGTH[length] as readonly KnownKey[];
    for (let index = 0; index < candidates.length; index++) {
      const { text, codes } = candidates[index] as KnownKey;
      // Backwards, because those of one prefix differ at the end.
      let at = length - 1;
      while (at >= 0 && codes[at] === bytes[start + at]) at--;
      if (at < 0) return text;
    }
  }
  return bytes.toString('latin1', start, end);
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
