// Finds the members of a JSON-RPC message that a gateway routes by, without building the rest, for the floor proxies alone. It works on a
// latin1 view of the bytes, so that offsets in the text are offsets in the bytes.

const QUOTE = 34;
const BACKSLASH = 92;
const COMMA = 44;
const COLON = 58;
const OPEN = 123;
const CLOSE = 125;
const OPEN_LIST = 91;
const CLOSE_LIST = 93;

/** Where a value begins and where it ends, quotes included. */
export type Span = readonly [from: number, to: number];

export interface Scan {
  readonly text: string;
  readonly id: Span | undefined;
  readonly name: Span | undefined;
}

type Visit = (key: string, at: number) => number;

/** Undefined where it gives up: repeated members, escapes in keys or the name, anything not clearly well formed. */
export function scan(bytes: Buffer): Scan | undefined {
  const text = bytes.toString('latin1', 0, bytes.length);
  let id: Span | undefined;
  let name: Span | undefined;
  let hasParams = false;
  const inParams: Visit = (key, at) => {
    const end = valueEnd(text, at);
    if (key !== 'name') return end;
    if (name !== undefined || text.charCodeAt(at) !== QUOTE || text.slice(at, end).includes('\\')) return -1;
    name = [at, end];
    return end;
  };
  const atTop: Visit = (key, at) => {
    if (key === 'params') {
      if (hasParams) return -1;
      hasParams = true;
      return text.charCodeAt(at) === OPEN ? members(text, at, inParams) : valueEnd(text, at);
    }
    const end = valueEnd(text, at);
    if (key !== 'id') return end;
    if (id !== undefined) return -1;
    id = [at, end];
    return end;
  };
  const end = members(text, space(text, 0), atTop);
  return end < 0 || space(text, end) < text.length ? undefined : { text, id, name };
}

function members(text: string, from: number, visit: Visit): number {
  if (text.charCodeAt(from) !== OPEN) return -1;
  let at = space(text, from + 1);
  if (text.charCodeAt(at) === CLOSE) return at + 1;
  for (;;) {
    if (text.charCodeAt(at) !== QUOTE) return -1;
    const keyEnd = stringEnd(text, at);
    if (keyEnd < 0) return -1;
    const key = text.slice(at + 1, keyEnd - 1);
    if (key.includes('\\')) return -1;
    at = space(text, keyEnd);
    if (text.charCodeAt(at) !== COLON) return -1;
    const end = visit(key, space(text, at + 1));
    if (end < 0) return -1;
    at = space(text, end);
    const next = text.charCodeAt(at);
    if (next === CLOSE) return at + 1;
    if (next !== COMMA) return -1;
    at = space(text, at + 1);
  }
}

function space(text: string, from: number): number {
  for (let at = from; ; at++) {
    const char = text.charCodeAt(at);
    if (char !== 32 && char !== 10 && char !== 13 && char !== 9) return at;
  }
}

/** The index behind the closing quote of the string that opens at `from`, or -1. */
function stringEnd(text: string, from: number): number {
  for (let at = from; ; ) {
    at = text.indexOf('"', at + 1);
    if (at < 0) return -1;
    let back = at - 1;
    while (text.charCodeAt(back) === BACKSLASH) back--;
    if (((at - 1 - back) & 1) === 0) return at + 1;
  }
}

/** The index behind the value that begins at `from`, or -1. */
function valueEnd(text: string, from: number): number {
  const first = text.charCodeAt(from);
  if (first === QUOTE) return stringEnd(text, from);
  return first === OPEN || first === OPEN_LIST ? nestedEnd(text, from) : plainEnd(text, from);
}

function nestedEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = stringEnd(text, at) - 1;
        if (at < 0) return -1;
        break;
      case OPEN:
      case OPEN_LIST:
        depth++;
        break;
      case CLOSE:
      case CLOSE_LIST:
        if (--depth === 0) return at + 1;
    }
  }
  return -1;
}

function plainEnd(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === COMMA || char === CLOSE || char === CLOSE_LIST || char <= 32) break;
  }
  return at > from ? at : -1;
}
