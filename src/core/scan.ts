import { isUtf8 } from 'node:buffer';
import { balancedEnd, validEnd } from './json-grammar.ts';
import { BYTE, byteAt, keyEnd, type MemberSpan, skipBlank, wordAt } from './json-walk.ts';
import type { RequestId } from './mcp.ts';

const { BACKSLASH, CLOSE_OBJECT, COLON, COMMA, OPEN_OBJECT, QUOTE } = BYTE;

/**
 * Messages read without parsing them (performance.md, "Correct first"): one walk finds what the relay decides by and cuts at. Both
 * scanners give up (`undefined`) on everything that another reader might take differently, and the full parser decides then; what they
 * accept, they read exactly as the parser does. The fuzzer in `test/fuzz` holds them to that.
 */

/** A request: `spans` are the members of `params` (offsets in `params`), `meta` those of `params._meta` (offsets in that value). */
export interface ScannedRequest {
  readonly id: RequestId;
  readonly method: string;
  readonly params: Buffer;
  readonly spans: readonly MemberSpan[];
  readonly meta: readonly MemberSpan[] | undefined;
}

/** What an upstream says: `spans` are the members of `result` or `params`, with offsets in it. */
export type ScannedIncoming =
  | { readonly kind: 'result'; readonly id: number; readonly result: Buffer; readonly spans: readonly MemberSpan[] }
  | { readonly kind: 'notification'; readonly method: string; readonly params: Buffer; readonly spans: readonly MemberSpan[] };

const EMPTY = Buffer.from('{}');
/** Members of one object that are compared with each other; more of them are the parser's. */
const MAX_MEMBERS = 64;

/** The top level of a message while it is read. */
interface Envelope {
  version: boolean;
  id: RequestId | undefined;
  method: string | undefined;
  /** The member that holds the rest: `params` or `result`, never both. */
  part: 'params' | 'result' | undefined;
  start: number;
  end: number;
  spans: MemberSpan[];
  meta: MemberSpan[] | undefined;
}

/**
 * STRICT. Accepts what `JSON.parse` accepts in valid UTF-8 if it is one JSON-RPC 2.0 request. Gives up on batches, notifications and
 * responses; members that stand twice, `__proto__` or keys with escapes or non-ASCII in the envelope, in `params` and in `params._meta`;
 * escapes in `id`, `method`, `params.name`, `.uri` and `.taskId`; ids that are no strings or plainly written safe integers; `params` or
 * `_meta` that are no objects; nesting beyond 500.
 */
export function scanRequest(bytes: Buffer): ScannedRequest | undefined {
  const found = scanEnvelope(bytes, true);
  if (found === undefined || found.id === undefined || found.method === undefined || found.part === 'result') return undefined;
  const { id, method, spans, meta } = found;
  return { id, method, params: found.part === undefined ? EMPTY : bytes.subarray(found.start, found.end), spans, meta };
}

/**
 * LAZY. Accepts a result (an object, with an id of ours) or a notification in valid UTF-8 whose structure is balanced and that nothing
 * follows. Values below the members of `result` or `params` are skipped, not validated. Gives up on errors, requests, batches, other ids,
 * and on members that stand twice, `__proto__` or keys with escapes or non-ASCII in the envelope and in `result` or `params`.
 */
export function scanIncoming(bytes: Buffer): ScannedIncoming | undefined {
  const found = scanEnvelope(bytes, false);
  if (found === undefined) return undefined;
  const { id, method, part, spans } = found;
  if (method === undefined) {
    if (typeof id !== 'number' || part !== 'result') return undefined;
    return { kind: 'result', id, result: bytes.subarray(found.start, found.end), spans };
  }
  if (id !== undefined || part === 'result') return undefined;
  return { kind: 'notification', method, params: part === undefined ? EMPTY : bytes.subarray(found.start, found.end), spans };
}

function scanEnvelope(bytes: Buffer, strict: boolean): Envelope | undefined {
  let at = skipBlank(bytes, 0);
  if (byteAt(bytes, at) !== OPEN_OBJECT) return undefined;
  const found: Envelope = { version: false, id: undefined, method: undefined, part: undefined, start: 0, end: 0, spans: [], meta: undefined };
  let others: string[] | undefined;
  do {
    at = skipBlank(bytes, at + 1);
    if (byteAt(bytes, at) !== QUOTE) return undefined;
    const word = wordAt(bytes, at);
    const end = word === undefined ? keyEnd(bytes, at) : at + 1 + word.codes.length;
    if (end <= 0) return undefined;
    const key = word === undefined ? bytes.toString('latin1', at + 1, end - 1) : word.text;
    at = skipBlank(bytes, end);
    if (byteAt(bytes, at) !== COLON) return undefined;
    at = skipBlank(bytes, at + 1);
    if (key === 'jsonrpc') at = found.version ? -1 : versionEnd(bytes, at);
    else if (key === 'id') at = found.id !== undefined ? -1 : readId(bytes, at, found);
    else if (key === 'method') at = found.method !== undefined ? -1 : readMethod(bytes, at, found);
    else if (key === 'params' || key === 'result') at = found.part !== undefined ? -1 : readPart(bytes, at, key, strict, found);
    else if (key === 'error' || key === '__proto__' || others?.includes(key) === true || others?.length === MAX_MEMBERS) return undefined;
    else {
      if (others === undefined) others = [key];
      else others.push(key);
      at = strict ? validEnd(bytes, at, 1) : balancedEnd(bytes, at);
    }
    if (at === -1) return undefined;
    if (key === 'jsonrpc') found.version = true;
    at = skipBlank(bytes, at);
  } while (byteAt(bytes, at) === COMMA);
  if (byteAt(bytes, at) !== CLOSE_OBJECT || skipBlank(bytes, at + 1) !== bytes.length) return undefined;
  return found.version && isUtf8(bytes) ? found : undefined;
}

/** Index after `"2.0"`. */
function versionEnd(bytes: Buffer, at: number): number {
  return byteAt(bytes, at) === QUOTE &&
    byteAt(bytes, at + 1) === 0x32 &&
    byteAt(bytes, at + 2) === 0x2e &&
    byteAt(bytes, at + 3) === 0x30 &&
    byteAt(bytes, at + 4) === QUOTE
    ? at + 5
    : -1;
}

/** A string that is its own text, or a safe integer written plainly. */
function readId(bytes: Buffer, at: number, found: Envelope): number {
  if (byteAt(bytes, at) === QUOTE) {
    const end = keyEnd(bytes, at);
    if (end <= 0) return -1;
    found.id = bytes.toString('latin1', at + 1, end - 1);
    return end;
  }
  const negative = byteAt(bytes, at) === 0x2d;
  const start = negative ? at + 1 : at;
  let value = 0;
  let index = start;
  for (; index < bytes.length; index++) {
    const digit = (bytes[index] as number) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  // No leading zeros, and no zero below zero: JavaScript would lose its sign again.
  if (index === start || (byteAt(bytes, start) === 0x30 && (index > start + 1 || negative)) || !Number.isSafeInteger(value)) return -1;
  found.id = negative ? -value : value;
  return index;
}

function readMethod(bytes: Buffer, at: number, found: Envelope): number {
  if (byteAt(bytes, at) !== QUOTE) return -1;
  const word = wordAt(bytes, at);
  const end = word === undefined ? keyEnd(bytes, at) : at + 1 + word.codes.length;
  if (end <= 0) return -1;
  found.method = word === undefined ? bytes.toString('latin1', at + 1, end - 1) : word.text;
  return end;
}

function readPart(bytes: Buffer, at: number, key: 'params' | 'result', strict: boolean, found: Envelope): number {
  found.part = key;
  found.start = at;
  found.end = membersEnd(bytes, at, found.spans, strict, strict ? found : undefined);
  return found.end;
}

/**
 * Index after the object that starts at `open`, whose members go into `spans`.
 * @param request of which these are the `params`; without it they are those of `_meta` or of an upstream
 */
function membersEnd(bytes: Buffer, open: number, spans: MemberSpan[], strict: boolean, request: Envelope | undefined): number {
  if (byteAt(bytes, open) !== OPEN_OBJECT) return -1;
  let at = skipBlank(bytes, open + 1);
  if (byteAt(bytes, at) === CLOSE_OBJECT) return at + 1;
  for (;;) {
    if (byteAt(bytes, at) !== QUOTE) return -1;
    const start = at;
    const word = wordAt(bytes, start);
    at = word === undefined ? keyEnd(bytes, start) : start + 1 + word.codes.length;
    if (at <= 0) return -1;
    const key = word === undefined ? bytes.toString('latin1', start + 1, at - 1) : word.text;
    if (key === '__proto__' || spans.length === MAX_MEMBERS || standsIn(spans, key)) return -1;
    at = skipBlank(bytes, at);
    if (byteAt(bytes, at) !== COLON) return -1;
    const valueStart = skipBlank(bytes, at + 1);
    if (!strict) at = balancedEnd(bytes, valueStart);
    else if (request === undefined) at = validEnd(bytes, valueStart, 3);
    else if (key === '_meta') {
      request.meta = [];
      at = membersEnd(bytes, valueStart, request.meta, true, undefined);
    } else {
      at = validEnd(bytes, valueStart, 2);
      if ((key === 'name' || key === 'uri' || key === 'taskId') && at !== -1 && hasEscape(bytes, valueStart, at)) return -1;
    }
    if (at === -1) return -1;
    spans.push({ key, start: start - open, valueStart: valueStart - open, end: at - open });
    at = skipBlank(bytes, at);
    const next = byteAt(bytes, at);
    if (next === CLOSE_OBJECT) return at + 1;
    if (next !== COMMA) return -1;
    at = skipBlank(bytes, at + 1);
  }
}

function standsIn(spans: readonly MemberSpan[], key: string): boolean {
  for (let index = 0; index < spans.length; index++) if ((spans[index] as MemberSpan).key === key) return true;
  return false;
}

function hasEscape(bytes: Buffer, start: number, end: number): boolean {
  for (let index = start; index < end; index++) if (bytes[index] === BACKSLASH) return true;
  return false;
}
