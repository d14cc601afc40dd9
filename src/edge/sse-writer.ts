import type { ServerResponse } from 'node:http';
import type { Timer } from '../core/clock.ts';
import type { Flow } from '../core/ports.ts';
import { oneLine } from './encode.ts';
import type { KeepAlive } from './keep-alive.ts';

/**
 * A client that lets this much pile up is disconnected (protocol.md section 2, "Answers"): when it is still unread after a
 * second, for what was written in one go could not be read in between.
 */
const MAX_UNREAD_BYTES = 1024 * 1024;
const GRACE_MS = 1_000;
/** Nobody gets a second when this much is unread. */
const MAX_BURST_BYTES = 8 * 1024 * 1024;

const DATA = Buffer.from('data: ');
const END = Buffer.from('\n\n');

/** One open event stream towards a client. */
export class SseWriter implements Flow {
  readonly #response: ServerResponse;
  readonly #keepAlive: KeepAlive;
  #ended = false;
  #gathering = false;
  readonly #waiting: (() => void)[] = [];
  #grace: Timer | undefined;

  /** Sends the head at once, so that the client knows that it is connected. */
  constructor(response: ServerResponse, keepAlive: KeepAlive) {
    this.#response = response;
    this.#keepAlive = keepAlive;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' });
    this.#gather();
    response.flushHeaders();
    keepAlive.add(this);
    response.on('close', () => this.#over());
    response.on('drain', () => this.#freed());
  }

  /** As much is unread as may be: its upstream waits, where it can, while it is seen whether the client reads at all. */
  get full(): boolean {
    return !this.#ended && this.#response.writableLength > MAX_UNREAD_BYTES;
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
    this.#write(Buffer.concat([id === undefined ? DATA : Buffer.from(`id: ${id}\ndata: `), oneLine(data), END]));
  }

  /** An event without content: gives the client an id to resume from, and how long to wait before it does. */
  prime(id: string, retryMs: number): void {
    this.#write(Buffer.from(`id: ${id}\nretry: ${retryMs}\ndata: \n\n`));
  }

  /** First event of the transport of 2024-11-05: where the client posts its messages. */
  endpoint(target: string): void {
    this.#write(Buffer.from(`event: endpoint\ndata: ${target}\n\n`));
  }

  comment(): void {
    this.#write(Buffer.from(':\n\n'));
  }

  /** Nothing follows. What is unread then has `listen.writeTimeout` to be taken. */
  end(): void {
    if (this.#ended) return;
    this.#over();
    // The end of a corked answer would overtake what was written: it leaves with it, in one piece.
    this.#response.socket?.cork();
    this.#flush();
    this.#response.end();
  }

  #write(bytes: Buffer): void {
    if (this.#ended) return;
    if (this.#response.writableLength > MAX_BURST_BYTES) {
      this.#response.destroy();
      return;
    }
    this.#gather();
    this.#response.write(bytes);
    if (this.#response.writableLength <= MAX_UNREAD_BYTES) return;
    this.#grace ??= this.#keepAlive.clock.after(GRACE_MS, () => {
      this.#grace = undefined;
      if (this.#response.writableLength > MAX_UNREAD_BYTES) this.#response.destroy();
    });
  }

  /** What is written in one turn of the loop leaves in one piece, at its end: under load that is most of what a stream costs. */
  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#response.cork();
    setImmediate(() => {
      this.#flush();
      this.#freed();
    });
  }

  #flush(): void {
    if (!this.#gathering) return;
    this.#gathering = false;
    this.#response.uncork();
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
