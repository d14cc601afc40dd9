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
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const NEWLINE = Buffer.from('\n');
const EMPTY = Buffer.alloc(0);

/**
 * Reads Server-Sent Events (WHATWG HTML section 9.2) from bytes that arrive in chunks cut anywhere. Data stays bytes:
 * it is a message that others parse. An event that the stream's end cuts off is not an event.
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

  readonly #data = new ByteBuffer();
  #dataLines = 0;
  #event = '';
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
    let nextCr = bytes.indexOf(CR, at);
    let nextLf = bytes.indexOf(LF, at);
    while (nextCr !== -1 || nextLf !== -1) {
      const isCr = nextLf === -1 || (nextCr !== -1 && nextCr < nextLf);
      const end = isCr ? nextCr : nextLf;
      this.#endLine(bytes.subarray(at, end));
      if (this.#closed) return;
      at = end + 1;
      if (isCr) {
        if (bytes[at] === LF) at++;
        else if (at === bytes.length) this.#afterCr = true;
        nextCr = bytes.indexOf(CR, at);
      }
      if (nextLf !== -1 && nextLf < at) nextLf = bytes.indexOf(LF, at);
    }
    if (at < bytes.length) {
      this.#checkLine(this.#partial.length + bytes.length - at);
      this.#partial.append(bytes.subarray(at));
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

  #endLine(tail: Buffer): void {
    this.#checkLine(this.#partial.length + tail.length);
    if (this.#partial.length > 0) this.#partial.append(tail);
    this.#line(this.#partial.length > 0 ? this.#partial.take() : tail);
  }

  #checkLine(length: number): void {
    if (length > this.#options.maxLineBytes) this.#overflow(`a line longer than ${this.#options.maxLineBytes} bytes`);
  }

  #overflow(what: string): never {
    this.close();
    throw new TurnpikeError('upstream/protocol', `${this.#options.sender} sent ${what} in an event stream`);
  }

  #line(line: Buffer): void {
    const colon = line.indexOf(COLON);
    const nameEnd = colon === -1 ? line.length : colon;
    if (line.length === 0) this.#dispatch();
    // Field names are few and short; a longer name, like a comment, is of no interest and never turned into text.
    else if (nameEnd > 0 && nameEnd <= 5) {
      const valueStart = colon === -1 ? line.length : line[colon + 1] === SPACE ? colon + 2 : colon + 1;
      this.#field(line.toString('latin1', 0, nameEnd), line.subarray(valueStart));
    }
  }

  #field(name: string, value: Buffer): void {
    if (name === 'data') this.#addData(value);
    else if (name === 'event') this.#event = value.toString();
    else if (name === 'id' && !value.includes(0)) this.#id = value.toString();
    else if (name === 'retry') this.#setRetry(value.toString('latin1'));
  }

  #addData(value: Buffer): void {
    const length = this.#data.length + value.length + (this.#dataLines > 0 ? 1 : 0);
    if (length > this.#options.maxEventBytes) this.#overflow(`an event larger than ${this.#options.maxEventBytes} bytes`);
    if (this.#dataLines++ > 0) this.#data.append(NEWLINE);
    this.#data.append(value);
  }

  #setRetry(digits: string): void {
    if (!/^\d+$/.test(digits)) return;
    const value = Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
    this.#retry = value;
    this.#eventRetry = value;
  }

  #dispatch(): void {
    const hasData = this.#dataLines > 0;
    const data = this.#data.take();
    const id = this.#id;
    const retry = this.#eventRetry;
    const event = this.#event;
    this.#dataLines = 0;
    this.#event = '';
    this.#id = undefined;
    this.#eventRetry = undefined;
    // An empty id takes the last one back (section 9.2.6): nothing to resume by.
    if (id !== undefined) this.#lastEventId = id === '' ? undefined : id;
    if (!hasData) return;
    this.#onEvent({
      event: event === '' ? 'message' : event,
      data,
      ...(id === undefined ? {} : { id }),
      ...(retry === undefined ? {} : { retry }),
    });
  }
}
