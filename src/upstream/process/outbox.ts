import type { Writable } from 'node:stream';
import { asLine, END_OF_LINE, NEWLINE } from './framing.ts';

/** What is written with one system call, at most, unless one message alone is larger. In bytes. */
const BATCH_BYTES = 64 * 1024;
const ONCE = { once: true } as const;
const NOTHING = Buffer.alloc(0);

/** A message on its way, and who waits for it. */
class Letter {
  line: Buffer;
  readonly signal: AbortSignal;
  /** Taken back before it left. */
  withdrawn = false;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  readonly #outbox: Outbox;

  constructor(line: Buffer, signal: AbortSignal, resolve: () => void, reject: (error: unknown) => void, outbox: Outbox) {
    this.line = line;
    this.signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#outbox = outbox;
    signal.addEventListener('abort', this, ONCE);
  }

  /** Of its line with the end. */
  get size(): number {
    return this.line.length + 1;
  }

  /** The signal aborted. */
  handleEvent(): void {
    this.#outbox.withdraw(this);
  }

  settle(error: unknown): void {
    this.signal.removeEventListener('abort', this);
    if (error === undefined) this.#resolve();
    else this.#reject(error);
  }
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
  /** In order, the withdrawn ones among them. A list that is made anew, since a `Set` that lives long would hold what left it (`core/slots.ts`). */
  #waiting: Letter[] = [];
  #withdrawn = 0;
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
    const size = message.length + 1;
    if (this.#bytes > 0 && this.#bytes + size > this.#maxBytes) return Promise.reject(this.#errors.full());
    return new Promise((resolve, reject) => {
      this.#waiting.push(new Letter(asLine(message), signal, resolve, reject, this));
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
    this.#waiting = [];
    this.#withdrawn = 0;
    this.#bytes = 0;
    for (const letter of waiting) if (!letter.withdrawn) letter.settle(this.#errors.unsent());
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
    const batch = this.#takeBatch();
    const [first] = batch;
    if (first === undefined) return;
    this.#inFlight = batch;
    const written = (error?: Error | null) => {
      // After `close` the flight was settled already.
      this.#endFlight(error ? this.#errors.lost() : undefined);
      if (this.#waiting.length > 0) this.#schedule();
    };
    if (first.size <= BATCH_BYTES) this.#stream.write(join(batch), written);
    else {
      // A large message is not copied for its end.
      this.#stream.cork();
      this.#stream.write(first.line);
      this.#stream.write(END_OF_LINE, written);
      this.#stream.uncork();
    }
  }

  #takeBatch(): readonly Letter[] {
    const batch: Letter[] = [];
    let size = 0;
    let passed = 0;
    for (const letter of this.#waiting) {
      if (!letter.withdrawn) {
        if (size > 0 && size + letter.size > BATCH_BYTES) break;
        batch.push(letter);
        size += letter.size;
      }
      passed++;
    }
    this.#withdrawn -= passed - batch.length;
    this.#waiting = passed === this.#waiting.length ? [] : this.#waiting.slice(passed);
    this.#bytes -= size;
    return batch;
  }

  #endFlight(error: Error | undefined): void {
    const letters = this.#inFlight;
    this.#inFlight = [];
    for (const letter of letters) letter.settle(error);
  }

  /** Called by a letter whose signal aborted. In flight it can only be given up. */
  withdraw(letter: Letter): void {
    if (!this.#inFlight.includes(letter)) {
      letter.withdrawn = true;
      this.#bytes -= letter.size;
      // A child that does not read must not make us keep what was taken back: its bytes go at once, and each letter is passed over about once.
      letter.line = NOTHING;
      if (2 * ++this.#withdrawn > this.#waiting.length) {
        this.#waiting = this.#waiting.filter(({ withdrawn }) => !withdrawn);
        this.#withdrawn = 0;
      }
    }
    letter.settle(letter.signal.reason);
  }
}

/** All lines in one block: cheaper to write than many. */
function join(letters: readonly Letter[]): Buffer {
  let size = 0;
  for (const letter of letters) size += letter.size;
  const block = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { line } of letters) {
    block.set(line, at);
    at += line.length;
    block[at++] = NEWLINE;
  }
  return block;
}
