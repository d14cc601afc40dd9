import type { Writable } from 'node:stream';
import { frame } from './framing.ts';

/** What is written with one system call, at most, unless one message alone is larger. In bytes. */
const BATCH_BYTES = 64 * 1024;

interface Letter {
  readonly line: readonly Buffer[];
  readonly size: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal;
  onAbort: () => void;
}

export interface OutboxErrors {
  /** For what was certainly not written. */
  readonly unsent: () => Error;
  /** For what may have been read. */
  readonly lost: () => Error;
  /** For what finds no room. */
  readonly full: () => Error;
}

/**
 * The way of messages into a pipe. One write is in flight at a time; what arrives meanwhile, or in the same turn,
 * leaves together with the next (performance.md, "stdio"). So a child that does not read holds up one batch in the
 * stream, and what waits here can still be taken back.
 */
export class Outbox {
  readonly #stream: Writable;
  readonly #errors: OutboxErrors;
  readonly #maxBytes: number;
  /** A list that is emptied from the front by batches; one shift per message would be quadratic. */
  #waiting = new Set<Letter>();
  #inFlight: readonly Letter[] = [];
  #bytes = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #closed = false;

  /** @param maxBytes most bytes that wait; one message always finds room */
  constructor(stream: Writable, maxBytes: number, errors: OutboxErrors) {
    this.#stream = stream;
    this.#maxBytes = maxBytes;
    this.#errors = errors;
  }

  /** Bytes that wait, without those in flight. */
  get waitingBytes(): number {
    return this.#bytes;
  }

  /** Resolves when the message is with the system. Aborting takes it back if it has not left yet, and rejects at once. */
  send(message: Buffer, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#closed) return Promise.reject(this.#errors.unsent());
    const line = frame(message);
    const size = message.length + 1;
    if (this.#bytes > 0 && this.#bytes + size > this.#maxBytes) return Promise.reject(this.#errors.full());
    return new Promise((resolve, reject) => {
      const letter: Letter = { line, size, resolve, reject, signal, onAbort: () => this.#abort(letter) };
      signal.addEventListener('abort', letter.onAbort, { once: true });
      this.#waiting.add(letter);
      this.#bytes += size;
      this.#schedule();
    });
  }

  /** The pipe is gone or will be: everything that waits is refused, what is in flight is lost. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled);
    const waiting = this.#waiting;
    this.#waiting = new Set();
    this.#bytes = 0;
    for (const letter of waiting) settle(letter, this.#errors.unsent());
    this.#endFlight(this.#errors.lost());
  }

  #schedule(): void {
    if (this.#scheduled !== undefined || this.#inFlight.length > 0 || this.#closed) return;
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    const batch: Letter[] = [];
    let size = 0;
    for (const letter of this.#waiting) {
      if (size > 0 && size + letter.size > BATCH_BYTES) break;
      batch.push(letter);
      size += letter.size;
    }
    if (batch.length === 0) return;
    for (const letter of batch) this.#waiting.delete(letter);
    this.#bytes -= size;
    this.#inFlight = batch;
    const written = (error?: Error | null) => {
      // After `close` the flight was settled already.
      this.#endFlight(error ? this.#errors.lost() : undefined);
      if (this.#waiting.size > 0) this.#schedule();
    };
    this.#stream.write(Buffer.concat(batch.flatMap((letter) => letter.line)), written);
  }

  #endFlight(error: Error | undefined): void {
    const letters = this.#inFlight;
    this.#inFlight = [];
    for (const letter of letters) settle(letter, error);
  }

  #abort(letter: Letter): void {
    if (this.#waiting.delete(letter)) this.#bytes -= letter.size;
    settle(letter, letter.signal.reason);
  }
}

function settle(letter: Letter, error: unknown): void {
  letter.signal.removeEventListener('abort', letter.onAbort);
  if (error === undefined) letter.resolve();
  else letter.reject(error);
}
