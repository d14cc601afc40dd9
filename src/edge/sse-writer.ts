import type { ServerResponse } from 'node:http';
import type { Timer } from '../core/clock.ts';
import type { Answer, RequestId } from '../core/mcp.ts';
import type { Flow } from '../core/ports.ts';
import { encodePieces, oneLine } from './encode.ts';
import type { KeepAlive } from './keep-alive.ts';

/**
 * A client that lets this much pile up is disconnected (protocol.md section 2, "Answers"): when it is still unread after a
 * second, for what was written in one go could not be read in between.
 */
const MAX_UNREAD_BYTES = 1024 * 1024;
const GRACE_MS = 1_000;
/** Nobody gets a second when this much is unread. */
const MAX_BURST_BYTES = 8 * 1024 * 1024;

/** More than this is not copied into one piece before it is written. */
const MAX_JOINED_BYTES = 64 * 1024;

const HEAD = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' } as const;
const DATA = Buffer.from('data: ');
const END = Buffer.from('\n\n');
const CLOSE_END = Buffer.from('}\n\n');
const NOTHING: readonly Buffer[] = [];

/**
 * One open event stream towards a client. What is written in one turn of the loop leaves in one piece at its end, head included: under
 * load that is most of what a stream costs.
 */
export class SseWriter implements Flow {
  readonly #response: ServerResponse;
  readonly #keepAlive: KeepAlive;
  #ended = false;
  #gathering = false;
  /** Not yet given to the response. */
  #pieces: Buffer[] = [];
  #gathered = 0;
  readonly #waiting: (() => void)[] = [];
  #grace: Timer | undefined;

  /** Sends the head at the end of the turn, so that the client knows that it is connected. */
  constructor(response: ServerResponse, keepAlive: KeepAlive) {
    this.#response = response;
    this.#keepAlive = keepAlive;
    this.#gather();
    keepAlive.add(this);
    response.on('close', () => this.#over());
    response.on('drain', () => this.#freed());
  }

  /** As much is unread as may be: its upstream waits, where it can, while it is seen whether the client reads at all. */
  get full(): boolean {
    return !this.#ended && this.#unread > MAX_UNREAD_BYTES;
  }

  whenFree(then: () => void): void {
    this.#waiting.push(then);
    this.#freed();
  }

  get open(): boolean {
    return !this.#ended;
  }

  /** Writes one message. `id` makes it resumable. */
  message(data: Buffer, id?: string): void {
    this.#write([id === undefined ? DATA : Buffer.from(`id: ${id}\ndata: `), oneLine(data), END]);
  }

  /** As `message`, of a notification: its parts are not put together before they are written. */
  notification(method: string, params: Buffer): void {
    this.#write([Buffer.from(`data: {"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":`), oneLine(params), CLOSE_END]);
  }

  /** As `message`, of an answer. */
  answer(id: RequestId, answer: Answer): void {
    this.#write([DATA, ...encodePieces(id, answer).map(oneLine), END]);
  }

  /** An event without content: gives the client an id to resume from, and how long to wait before it does. */
  prime(id: string, retryMs: number): void {
    this.#write([Buffer.from(`id: ${id}\nretry: ${retryMs}\ndata: \n\n`)]);
  }

  /** First event of the transport of 2024-11-05: where the client posts its messages. */
  endpoint(target: string): void {
    this.#write([Buffer.from(`event: endpoint\ndata: ${target}\n\n`)]);
  }

  comment(): void {
    this.#write([Buffer.from(':\n\n')]);
  }

  /** Nothing follows. What is unread then has `listen.writeTimeout` to be taken. */
  end(): void {
    if (this.#ended) return;
    this.#over();
    const pieces = this.#taken();
    const response = this.#response;
    // Known to the last byte before anything was sent: no chunks are needed.
    if (!response.headersSent) response.writeHead(200, { ...HEAD, 'content-length': lengthOf(pieces) });
    if (pieces.length <= 1) {
      response.end(pieces[0]);
      return;
    }
    // The end of a corked answer would overtake what was written: it leaves with it, in one piece.
    response.socket?.cork();
    for (const piece of pieces) response.write(piece);
    response.end();
  }

  get #unread(): number {
    return this.#response.writableLength + this.#gathered;
  }

  #write(pieces: readonly Buffer[]): void {
    if (this.#ended) return;
    if (this.#unread > MAX_BURST_BYTES) {
      this.#response.destroy();
      return;
    }
    for (const piece of pieces) {
      this.#pieces.push(piece);
      this.#gathered += piece.length;
    }
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
    setImmediate(() => {
      this.#gathering = false;
      this.#flush();
      this.#freed();
    });
  }

  #flush(): void {
    const response = this.#response;
    if (this.#ended || response.destroyed) return;
    const pieces = this.#taken();
    if (!response.headersSent) response.writeHead(200, HEAD);
    if (pieces.length === 0) response.flushHeaders();
    else if (pieces.length === 1) response.write(pieces[0]);
    else {
      response.cork();
      for (const piece of pieces) response.write(piece);
      response.uncork();
    }
  }

  /** What was gathered, as one piece unless it is large. */
  #taken(): readonly Buffer[] {
    const [pieces, length] = [this.#pieces, this.#gathered];
    if (length === 0) return NOTHING;
    this.#pieces = [];
    this.#gathered = 0;
    return length <= MAX_JOINED_BYTES ? [Buffer.concat(pieces, length)] : pieces;
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
    this.#keepAlive.remove(this);
  }
}

function lengthOf(pieces: readonly Buffer[]): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}
