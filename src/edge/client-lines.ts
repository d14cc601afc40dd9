import { LineReader } from '../upstream/process/framing.ts';

const NEWLINE = 0x0a;
/** Far below any limit: a line that is too long has begun in an earlier piece, so the next newline is its end. */
const PIECE_BYTES = 64 * 1024;

/**
 * The lines of a client's pipe. One above `maxBytes` is reported once and skipped to its end, because a client that sent one bad
 * message has no other connection to send the next one on.
 */
export class ClientLines {
  readonly #open: () => LineReader;
  #reader: LineReader;
  #overflowed = false;
  #skipping = false;

  /** @param maxBytes at least 64 KiB */
  constructor(maxBytes: number, onLine: (line: Buffer) => void, onOverflow: () => void) {
    this.#open = () =>
      new LineReader(maxBytes, onLine, () => {
        this.#overflowed = true;
        onOverflow();
      });
    this.#reader = this.#open();
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) this.#push(chunk.subarray(at, at + PIECE_BYTES));
  }

  /** The input ended. Returns the line that was begun and not ended, if any. */
  end(): Buffer | undefined {
    return this.#reader.end();
  }

  #push(piece: Buffer): void {
    if (!this.#skipping) this.#reader.push(piece);
    if (!this.#overflowed && !this.#skipping) return;
    this.#overflowed = false;
    const end = piece.indexOf(NEWLINE);
    this.#skipping = end === -1;
    if (this.#skipping) return;
    this.#reader = this.#open();
    this.#reader.push(piece.subarray(end + 1));
  }
}
