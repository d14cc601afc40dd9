import { TurnpikeError } from '../../core/errors.ts';
import { ByteBuffer } from './byte-buffer.ts';

/** One event of a stream. `data` are the bytes of its data lines, joined by line feeds; they may be empty. */
export interface SseEvent {
  /** `message` when the stream named none. */
  readonly event: string;
  readonly data: Buffer;
  /** The id this event itself carried. */
  readonly id?: string;
  /** Milliseconds. */
  readonly retry?: number;
}

export interface SseOptions {
  /** Who sends the stream, as the subject of an error. */
  readonly sender: string;
  /** Bytes of one line, without its end. */
  readonly maxLineBytes: number;
  /** Bytes of one event's data. */
  readonly maxEventBytes: number;
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const LETTER_D = 0x64;
const LETTER_E = 0x65;
const LETTER_I = 0x69;
const LETTER_R = 0x72;
/** Where a byte stands that does not come. */
const NOWHERE = Number.MAX_SAFE_INTEGER;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const NEWLINE = Buffer.from('\n');
const EMPTY = Buffer.alloc(0);
const DATA = Buffer.from('data');
const EVENT = Buffer.from('event');
const ID = Buffer.from('id');
const RETRY = Buffer.from('retry');
const MESSAGE = Buffer.from('message');

/**
 * Reads Server-Sent Events (WHATWG HTML section 9.2) from bytes that arrive in chunks cut anywhere. Data stays bytes:
 * it is a message that others parse, and a view of its chunk where it is one line in one chunk. Lines are found by the
 * search of the platform and never cut out, so that an event costs about as much as that search. An event that the
 * stream's end cuts off is not an event.
 */
export class SseParser {
  readonly #onEvent: (event: SseEvent) => void;
  readonly #options: SseOptions;
  /** Beginnings of a line whose end has not come. */
  readonly #partial = new ByteBuffer();
  /** The last chunk ended in CR: an LF that follows belongs to it. */
  #afterCr = false;
  /** How many bytes of a byte order mark were seen; -1 once the stream has begun. */
  #bom = 0;
  #closed = false;

  /** The data of an event of one line, which most are: where it stands in its chunk. */
  #chunk: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  /** The data of an event of more lines. */
  readonly #data = new ByteBuffer();
  #dataLines = 0;
  #event = 'message';
  #id: string | undefined;
  #eventRetry: number | undefined;

  #lastEventId: string | undefined;
  #retry: number | undefined;

  constructor(onEvent: (event: SseEvent) => void, options: SseOptions) {
    this.#onEvent = onEvent;
    this.#options = options;
  }

  /** What `Last-Event-ID` says when the stream is resumed; undefined when there is nothing to resume by. */
  get lastEventId(): string | undefined {
    return this.#lastEventId;
  }

  /** Milliseconds to wait before the stream is resumed, if the server said so. */
  get retry(): number | undefined {
    return this.#retry;
  }

  /** Nothing is emitted any more, not even what the current chunk still holds. */
  close(): void {
    this.#closed = true;
    this.#partial.clear();
    this.#data.clear();
    this.#chunk = EMPTY;
  }

  /** Takes the next bytes. Throws `upstream/protocol` when a line or an event passes its limit. */
  push(chunk: Buffer): void {
    if (this.#closed) return;
    let bytes = chunk;
    if (this.#bom >= 0) {
      bytes = this.#skipBom(bytes);
      if (bytes.length === 0) return;
    }
    let at = 0;
    if (this.#afterCr && bytes[0] === LF) at = 1;
    if (bytes.length > 0) this.#afterCr = false;
    // Each is looked for again only once it was passed: a chunk of many of the one and none of the other is read through once.
    let nextCr = find(bytes, CR, at);
    let nextLf = at - 1;
    while (at < bytes.length) {
      if (nextLf < at) nextLf = find(bytes, LF, at);
      const isCr = nextCr < nextLf;
      const end = isCr ? nextCr : nextLf;
      if (end === NOWHERE) {
        this.#checkLine(this.#partial.length + bytes.length - at);
        this.#partial.append(at === 0 ? bytes : bytes.subarray(at));
        return;
      }
      this.#endLine(bytes, at, end);
      if (this.#closed) return;
      at = end + 1;
      if (isCr) {
        if (bytes[at] === LF) at++;
        else if (at === bytes.length) this.#afterCr = true;
        nextCr = find(bytes, CR, at);
      }
    }
  }

  /** Skips one byte order mark at the start, which may come in pieces. */
  #skipBom(chunk: Buffer): Buffer {
    let at = 0;
    while (at < chunk.length && this.#bom < BOM.length && chunk[at] === BOM[this.#bom]) {
      at++;
      this.#bom++;
    }
    if (this.#bom < BOM.length && at === chunk.length) return EMPTY;
    const begun = this.#bom;
    this.#bom = -1;
    if (begun === BOM.length) return chunk.subarray(at);
    // What looked like a mark was the beginning of the first line.
    return begun === 0 ? chunk : Buffer.concat([BOM.subarray(0, begun), chunk.subarray(at)]);
  }

  #endLine(bytes: Buffer, start: number, end: number): void {
    this.#checkLine(this.#partial.length + end - start);
    if (this.#partial.length === 0) this.#line(bytes, start, end);
    else {
      this.#partial.append(bytes.subarray(start, end));
      const line = this.#partial.take();
      this.#line(line, 0, line.length);
    }
  }

  #checkLine(length: number): void {
    if (length > this.#options.maxLineBytes) this.#overflow(`a line longer than ${this.#options.maxLineBytes} bytes`);
  }

  #overflow(what: string): never {
    this.close();
    throw new TurnpikeError('upstream/protocol', `${this.#options.sender} sent ${what} in an event stream`);
  }

  // Field names are told by their first letter; a longer one, like a comment, is of no interest and never turned into text.
  #line(bytes: Buffer, start: number, end: number): void {
    if (start === end) {
      this.#dispatch();
      return;
    }
    const first = bytes[start];
    if (first === LETTER_D && isField(bytes, start, end, DATA)) this.#addData(bytes, valueStart(bytes, start, end, DATA), end);
    else if (first === LETTER_E && isField(bytes, start, end, EVENT)) this.#setEvent(bytes, valueStart(bytes, start, end, EVENT), end);
    else if (first === LETTER_I && isField(bytes, start, end, ID)) {
      const id = bytes.toString('utf8', valueStart(bytes, start, end, ID), end);
      if (!id.includes('\0')) this.#id = id;
    } else if (first === LETTER_R && isField(bytes, start, end, RETRY))
      this.#setRetry(bytes.toString('latin1', valueStart(bytes, start, end, RETRY), end));
  }

  #setEvent(bytes: Buffer, start: number, end: number): void {
    if (start === end || (end - start === MESSAGE.length && holds(bytes, start, MESSAGE))) this.#event = 'message';
    else this.#event = bytes.toString('utf8', start, end);
  }

  #addData(bytes: Buffer, start: number, end: number): void {
    const before = this.#dataLines === 1 ? this.#end - this.#start : this.#data.length;
    const length = before + end - start + (this.#dataLines > 0 ? 1 : 0);
    if (length > this.#options.maxEventBytes) this.#overflow(`an event larger than ${this.#options.maxEventBytes} bytes`);
    if (this.#dataLines++ === 0) {
      this.#chunk = bytes;
      this.#start = start;
      this.#end = end;
      return;
    }
    if (this.#dataLines === 2) this.#data.append(this.#chunk.subarray(this.#start, this.#end));
    this.#data.append(NEWLINE);
    this.#data.append(bytes.subarray(start, end));
  }

  #setRetry(digits: string): void {
    if (!/^\d+$/.test(digits)) return;
    const value = Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
    this.#retry = value;
    this.#eventRetry = value;
  }

  #dispatch(): void {
    const lines = this.#dataLines;
    const id = this.#id;
    const retry = this.#eventRetry;
    const event = this.#event;
    const data = lines === 1 ? this.#chunk.subarray(this.#start, this.#end) : this.#data.take();
    this.#chunk = EMPTY;
    this.#dataLines = 0;
    this.#event = 'message';
    this.#id = undefined;
    this.#eventRetry = undefined;
    // An empty id takes the last one back (section 9.2.6): nothing to resume by.
    if (id !== undefined) this.#lastEventId = id === '' ? undefined : id;
    if (lines === 0) return;
    if (id === undefined && retry === undefined) this.#onEvent({ event, data });
    else this.#onEvent({ event, data, ...(id === undefined ? {} : { id }), ...(retry === undefined ? {} : { retry }) });
  }
}

function find(bytes: Buffer, byte: number, from: number): number {
  // Blank lines are found without a search.
  if (bytes[from] === byte) return from;
  const at = bytes.indexOf(byte, from);
  return at === -1 ? NOWHERE : at;
}

/** Whether a line's field, up to its colon, has this name. */
function isField(bytes: Buffer, start: number, end: number, name: Buffer): boolean {
  const nameEnd = start + name.length;
  return (nameEnd === end || (nameEnd < end && bytes[nameEnd] === COLON)) && holds(bytes, start, name);
}

/** Where the value of a field begins: behind the colon and one blank. */
function valueStart(bytes: Buffer, start: number, end: number, name: Buffer): number {
  const colon = start + name.length;
  if (colon === end) return end;
  return colon + 1 < end && bytes[colon + 1] === SPACE ? colon + 2 : colon + 1;
}

function holds(bytes: Buffer, start: number, text: Buffer): boolean {
  for (let index = 0; index < text.length; index++) if (bytes[start + index] !== text[index]) return false;
  return true;
}
