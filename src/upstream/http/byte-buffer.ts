/**
 * Joins bytes that arrive in pieces. One piece is never copied; more are copied into a block that doubles, so that a
 * peer who sends single bytes costs us about what it sends, not an object per byte.
 */
export class ByteBuffer {
  #block: Buffer | undefined;
  #length = 0;

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
      const grown = Buffer.allocUnsafeSlow(Math.max(4096, length, 2 * this.#length));
      this.#block.copy(grown, 0, 0, this.#length);
      this.#block = grown;
    }
    piece.copy(this.#block, this.#length);
    this.#length = length;
  }

  /** Everything appended since the last `take`; the bytes are the caller's. */
  take(): Buffer {
    const bytes = this.#block?.subarray(0, this.#length) ?? Buffer.alloc(0);
    this.clear();
    return bytes;
  }

  clear(): void {
    this.#block = undefined;
    this.#length = 0;
  }
}
