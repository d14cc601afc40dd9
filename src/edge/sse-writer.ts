import { ServerResponse } from 'node:http';
import type { Timer } from '../core/clock.ts';
import type { Answer, RequestId } from '../core/mcp.ts';
import type { Flow } from '../core/ports.ts';
import { encodePieces, lineOf, oneLine } from './encode.ts';
import type { Gathering, KeepAlive, Kept } from './keep-alive.ts';

/**
 * A client that lets this much pile up is disconnected (protocol.md section 2, "Answers"): when it is still unread after a
 * second, for what was written in one go could not be read in between.
 */
const MAX_UNREAD_BYTES = 1024 * 1024;
const GRACE_MS = 1_000;
/** Nobody gets a second when this much is unread. */
const MAX_BURST_BYTES = 8 * 1024 * 1024;

/** Larger messages are not made into text, nor is more text gathered into one: it is copied once more when it is written. */
const MAX_TEXT_BYTES = 16 * 1024;
const MAX_GATHERED_TEXT = 64 * 1024;

/** What makes an answer an event stream: name, value, name, value, … */
export const STREAM_HEADERS: readonly string[] = [
  'content-type',
  'text/event-stream',
  'cache-control',
  'no-cache, no-transform',
  'x-accel-buffering',
  'no',
];

/** What the head of a stream says. */
export interface StreamHead {
  readonly headers: readonly string[];
  /** How long what is unread at the end may take to be read, in milliseconds, where nobody else sees to that. */
  readonly writeTimeout?: number;
}

/** Of a response whose other headers are set. */
const REST_OF_HEAD: StreamHead = { headers: STREAM_HEADERS };

/** The beginnings of the notifications that streams consist of. */
const HEADS = new Map(['notifications/progress', 'notifications/message'].map((method) => [method, headOf(method)]));

/**
 * One open event stream towards a client. What is written in one turn of the loop leaves in one piece at its end, head included: under
 * load that is most of what a stream costs. What is small is gathered as text, a character for each byte (latin1): to join texts costs
 * nothing, and head and text are one piece for the socket.
 */
export class SseWriter implements Flow, Gathering, Kept {
  readonly #response: ServerResponse;
  readonly #keepAlive: KeepAlive;
  readonly #head: StreamHead;
  /** Among those that get comments. */
  #place: number | undefined;
  #ended = false;
  #gathering = false;
  /** Not yet given to the response, before `#text`. */
  #pieces: (string | Buffer)[] = [];
  #text = '';
  #gathered = 0;
  readonly #waiting: (() => void)[] = [];
  #heedsDrain = false;
  #grace: Timer | undefined;

  /** Sends the head at the end of the turn, so that the client knows that it is connected. */
  constructor(response: ServerResponse, keepAlive: KeepAlive, head = REST_OF_HEAD) {
    this.#response = response;
    this.#keepAlive = keepAlive;
    this.#head = head;
    this.#gather();
    response.on('close', () => this.#over());
  }

  /** As much is unread as may be: its upstream waits, where it can, while it is seen whether the client reads at all. */
  get full(): boolean {
    return !this.#ended && this.#unread > MAX_UNREAD_BYTES;
  }

  whenFree(then: () => void): void {
    if (!this.#heedsDrain) this.#response.on('drain', () => this.#freed());
    this.#heedsDrain = true;
    this.#waiting.push(then);
    this.#freed();
  }

  get open(): boolean {
    return !this.#ended;
  }

  /** Writes one message. `id` makes it resumable. */
  message(data: Buffer, id?: string): void {
    if (!this.#admits()) return;
    this.#say(startOf(id));
    this.#put(data);
    this.#say('\n\n');
    this.#written();
  }

  /** As `message`, of a notification: its parts are not put together before they are written. */
  notification(method: string, params: Buffer): void {
    if (!this.#admits()) return;
    this.#say(HEADS.get(method) ?? headOf(method));
    this.#put(params);
    this.#say('}\n\n');
    this.#written();
  }

  /** As `message`, of an answer. */
  answer(id: RequestId, answer: Answer, eventId?: string): void {
    if (!this.#admits()) return;
    this.#say(startOf(eventId));
    for (const piece of encodePieces(id, answer)) this.#put(piece);
    this.#say('\n\n');
    this.#written();
  }

  /** An event without content: gives the client an id to resume from, and how long to wait before it does. */
  prime(id: string, retryMs: number): void {
    this.#write(`id: ${id}\nretry: ${retryMs}\ndata: \n\n`);
  }

  /** First event of the transport of 2024-11-05: where the client posts its messages. */
  endpoint(target: string): void {
    this.#write(`event: endpoint\ndata: ${bytesOf(target)}\n\n`);
  }

  comment(): void {
    this.#write(':\n\n');
  }

  /** Nothing follows. What is unread then has `listen.writeTimeout` to be taken. */
  end(): void {
    if (this.#ended) return;
    this.#over();
    const length = this.#gathered;
    const [pieces, text] = this.#taken();
    const response = this.#response;
    // Known to the last byte before anything was sent: no chunks are needed.
    if (!response.headersSent) response.writeHead(200, [...this.#head.headers, 'content-length', String(length)]);
    // The end of a corked answer would overtake what was written: it leaves with it, in one piece.
    if (pieces.length > 0) response.socket?.cork();
    for (const piece of pieces) response.write(piece, 'latin1');
    if (text === '') response.end();
    else response.end(text, 'latin1');
    const { socket } = response;
    const { writeTimeout } = this.#head;
    if (writeTimeout !== undefined && socket !== null && socket.writableLength > 0) socket.setTimeout(writeTimeout);
  }

  get #unread(): number {
    return this.#response.writableLength + this.#gathered;
  }

  #write(text: string): void {
    if (!this.#admits()) return;
    this.#say(text);
    this.#written();
  }

  /** Whether anything more is written: not after the end, and not to somebody who leaves far too much unread. */
  #admits(): boolean {
    if (this.#ended) return false;
    if (this.#unread <= MAX_BURST_BYTES) return true;
    this.#response.destroy();
    return false;
  }

  #say(text: string): void {
    this.#text += text;
    this.#gathered += text.length;
    if (this.#text.length > MAX_GATHERED_TEXT) this.#closeText();
  }

  #put(bytes: Buffer): void {
    if (bytes.length <= MAX_TEXT_BYTES) {
      this.#say(lineOf(bytes));
      return;
    }
    this.#closeText();
    this.#pieces.push(oneLine(bytes));
    this.#gathered += bytes.length;
  }

  #closeText(): void {
    if (this.#text !== '') this.#pieces.push(this.#text);
    this.#text = '';
  }

  /** A whole event was gathered. */
  #written(): void {
    this.#gather();
    if (this.#unread <= MAX_UNREAD_BYTES) return;
    this.#grace ??= this.#keepAlive.clock.after(GRACE_MS, () => {
      this.#grace = undefined;
      if (this.#unread > MAX_UNREAD_BYTES) this.#response.destroy();
    });
  }

  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#keepAlive.turn.add(this);
  }

  /** Called at the end of the turn. */
  flush(): void {
    this.#gathering = false;
    this.#send();
    this.#freed();
  }

  #send(): void {
    const response = this.#response;
    if (this.#ended || response.destroyed) return;
    const [pieces, text] = this.#taken();
    const isBegun = response.headersSent;
    if (!isBegun) {
      response.writeHead(200, [...this.#head.headers]);
      // One that is over by now needs no comments.
      this.#place = this.#keepAlive.add(this);
    }
    if (pieces.length === 0) {
      if (text === '') response.flushHeaders();
      else if (!isBegun || !wroteChunk(response, text)) response.write(text, 'latin1');
      return;
    }
    // Of a corked answer nobody would hear when it is read: its socket is.
    const { socket } = response;
    socket?.cork();
    for (const piece of pieces) response.write(piece, 'latin1');
    if (text !== '') response.write(text, 'latin1');
    socket?.uncork();
  }

  /** What was gathered: what stands before the last text, and that. */
  #taken(): readonly [pieces: readonly (string | Buffer)[], text: string] {
    const taken = [this.#pieces, this.#text] as const;
    if (this.#pieces.length > 0) this.#pieces = [];
    this.#text = '';
    this.#gathered = 0;
    return taken;
  }

  /** Tells those who wait that they may go on. */
  #freed(): void {
    if (this.#waiting.length === 0 || this.full) return;
    for (const then of this.#waiting.splice(0)) then();
  }

  #over(): void {
    this.#ended = true;
    this.#freed();
    this.#grace?.cancel();
    if (this.#place !== undefined) this.#keepAlive.remove(this.#place);
    this.#place = undefined;
  }
}

/**
 * Writes a chunk (RFC 9112 section 7.1) to the socket itself, as one text: `node:http` makes three pieces of it. Only where nothing is unread, so that
 * it takes no part in who waits for whom, and where no embedder wants to see what is written; false: it was not written.
 */
function wroteChunk(response: ServerResponse, text: string): boolean {
  const { socket } = response;
  if (!response.chunkedEncoding || socket === null || !socket.writable || response.writableEnded || response.writableLength > 0) return false;
  if (response.write !== ServerResponse.prototype.write) return false;
  socket.write(`${text.length.toString(16)}\r\n${text}\r\n`, 'latin1');
  return true;
}

function startOf(eventId: string | undefined): string {
  return eventId === undefined ? 'data: ' : `id: ${eventId}\ndata: `;
}

function headOf(method: string): string {
  return `data: {"jsonrpc":"2.0","method":${bytesOf(JSON.stringify(method))},"params":`;
}

/** A text as its bytes in UTF-8, a character for each. */
function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}
