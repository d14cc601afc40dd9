/**
 * The slow, plain reading of JSON bytes that the fast one is held to. It shares nothing with `src/core`: no step of it is there, so no
 * mistake of theirs is repeated here.
 */

/** A member of an object: key, and where its key's quote, its value and the end of its value lie. */
export interface ReferenceSpan {
  readonly key: string;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

const BLANK = [0x20, 0x0a, 0x0d, 0x09];

function afterBlanks(bytes: Buffer, at: number): number {
  while (at < bytes.length && BLANK.includes(bytes[at] as number)) at++;
  return at;
}

function afterString(bytes: Buffer, at: number): number {
  let index = at + 1;
  while (index < bytes.length && bytes[index] !== 0x22) index += bytes[index] === 0x5c ? 2 : 1;
  if (index >= bytes.length) throw new RangeError('open string');
  return index + 1;
}

/** Index after a value; throws when a string or bracket stays open or is closed by the other kind. */
function afterValue(bytes: Buffer, at: number): number {
  const open: string[] = [];
  let index = at;
  while (index < bytes.length) {
    const char = String.fromCharCode(bytes[index] as number);
    if (char === '"') index = afterString(bytes, index);
    else if (open.length === 0 && ',]} \n\r\t'.includes(char)) break;
    else {
      if (char === '{' || char === '[') open.push(char);
      if ((char === '}' || char === ']') && open.pop() !== (char === '}' ? '{' : '[')) throw new RangeError('wrong bracket');
      index++;
    }
    if (open.length === 0 && '"]}'.includes(char)) return index;
  }
  if (open.length > 0 || index === at) throw new RangeError('open value');
  return index;
}

/** The members of an object, in order, repeated ones included; throws when the bytes are no balanced object that nothing follows. */
export function referenceSpans(bytes: Buffer): ReferenceSpan[] {
  const spans: ReferenceSpan[] = [];
  let at = afterBlanks(bytes, 0);
  if (bytes[at] !== 0x7b) throw new TypeError('no object');
  at = afterBlanks(bytes, at + 1);
  let first = true;
  while (first ? bytes[at] !== 0x7d : true) {
    first = false;
    if (bytes[at] !== 0x22) throw new TypeError('no key');
    const start = at;
    const keyEnd = afterString(bytes, at);
    const key = JSON.parse(bytes.toString('utf8', at, keyEnd)) as string;
    at = afterBlanks(bytes, keyEnd);
    if (bytes[at] !== 0x3a) throw new TypeError('no colon');
    const valueStart = afterBlanks(bytes, at + 1);
    const end = afterValue(bytes, valueStart);
    spans.push({ key, start, valueStart, end });
    at = afterBlanks(bytes, end);
    if (bytes[at] === 0x7d) break;
    if (bytes[at] !== 0x2c) throw new TypeError('no comma');
    at = afterBlanks(bytes, at + 1);
  }
  if (afterBlanks(bytes, at + 1) !== bytes.length) throw new RangeError('something follows');
  return spans;
}
