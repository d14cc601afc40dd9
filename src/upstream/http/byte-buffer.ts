const EMPTY = Buffer.alloc(0);
const MAX_EXPECTED = 1024 * 1024;

/**
 * Joins bytes that arrive in pieces. One piece is never copied; more are copied into a block that doubles, so that a
 * peer who sends single bytes costs us about what it sends, not an object per byte.
 */
export class ByteBuffer {
  readonly #capacity: number;
  #block: Buffer | undefined;
  #length = 0;

  /** @param expected bytes that will come, as their sender says: up to 1 MiB of them get their room at once, when a second piece comes */
  constructor(expected = 0) {
    this.#capacity = Math.min(expected, MAX_EXPECTED) || 0;
  }

  get length(): number {
    return this.#length;
  }

  append(piece: Buffer): void {
    if (piece.length === 0 && this.#block !== undefined) return;
    if (this.#block === undefined) {
      this.#block = piece;
      this.#length = piece.length;
      return;
    }
    const length = this.#length + piece.length;
    // The first piece fills its block exactly, so it is never written to: it belongs to whoever sent it.
    if (length > this.#block.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(4096, this.#capacity, length, 2 * this.#length));
      this.#block.copy(grown, 0, 0, this.#length);
      this.#block = grown;
    }
    piece.copy(this.#block, this.#length);
    this.#length = length;
  }

  /** Everything appended since the last `take`; the bytes are the caller's. */
  take(): Buffer {
    const block = this.#block ?? EMPTY;
    const bytes = block.length === this.#length ? block : block.subarray(0, this.#length);
    this.clear();
    return bytes;
  }

  clear(): void {
    this.#block = undefined;
    this.#length = 0;
  }
}
