/** Whole lines as bytes. */
export interface Lines {
  readonly bytes: Buffer;
  readonly count: number;
}

const SLAB_BYTES = 64 * 1024;
/** Most bytes of UTF-8 that a UTF-16 unit needs. */
const MOST_BYTES = 3;

/**
 * Lines that wait to be written, in order and bounded by their exact number of bytes. They are kept as bytes in large
 * slabs, so that a line costs one copy and no object of its own, and what is taken is one piece.
 */
export class WaitingLines {
  readonly #maxBytes: number;
  readonly #full: Lines[] = [];
  #slab: Buffer | undefined;
  /** The part of the slab whose lines were not taken yet. */
  #from = 0;
  #to = 0;
  #open = 0;
  #bytes = 0;
  #count = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that wait, and those that were taken and are not `settled`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lines that wait; taken ones no more. */
  get count(): number {
    return this.#count;
  }

  /** False when there is no room for the line. */
  add(line: string): boolean {
    const most = line.length * MOST_BYTES;
    if (most > SLAB_BYTES) return this.#addLarge(Buffer.from(line));
    if (this.#slab === undefined || most > SLAB_BYTES - this.#to) {
      this.#seal();
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#from = 0;
      this.#to = 0;
    }
    const written = this.#slab.write(line, this.#to);
    if (this.#bytes + written > this.#maxBytes) return false;
    this.#to += written;
    this.#open++;
    this.#added(written);
    return true;
  }

  /** The oldest lines, about 64 KiB of them. Their bytes stay as they are until nobody holds them. */
  take(): Lines | undefined {
    if (this.#full.length === 0) this.#seal();
    const lines = this.#full.shift();
    if (lines !== undefined) this.#count -= lines.count;
    return lines;
  }

  /** So many of the bytes taken wait no more. */
  settled(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Forgets what was not taken. */
  clear(): void {
    for (let lines = this.take(); lines !== undefined; lines = this.take()) this.settled(lines.bytes.length);
  }

  #addLarge(bytes: Buffer): boolean {
    if (this.#bytes + bytes.length > this.#maxBytes) return false;
    this.#seal();
    this.#full.push({ bytes, count: 1 });
    this.#added(bytes.length);
    return true;
  }

  #added(bytes: number): void {
    this.#bytes += bytes;
    this.#count++;
  }

  /** What is open becomes a piece of its own; later lines go behind it. */
  #seal(): void {
    if (this.#open === 0 || this.#slab === undefined) return;
    this.#full.push({ bytes: this.#slab.subarray(this.#from, this.#to), count: this.#open });
    this.#from = this.#to;
    this.#open = 0;
  }
}
