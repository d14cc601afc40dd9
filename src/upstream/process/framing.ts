/** Largest message in either direction, in bytes (protocol.md section 4, "Size"). */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

export const NEWLINE = 0x0a;
const RETURN = 0x0d;
const FIRST_CAPACITY = 4 * 1024;

/**
 * Cuts a byte stream into lines (MCP, "Transports", stdio: one message a line). Empty lines are skipped, a carriage
 * return before the newline is dropped. A line that lies within one chunk is a view of it; a line over several chunks
 * is gathered in one buffer that doubles, so that neither many small chunks nor one endless line cost more than a
 * constant times `maxBytes`.
 */
export class LineReader {
  readonly #maxBytes: number;
  readonly #onLine: (line: Buffer) => void;
  readonly #onOverflow: () => void;
  #held: Buffer | undefined;
  #length = 0;
  #stopped = false;

  /**
   * @param maxBytes longest line, without its end
   * @param onOverflow called once when a line grows beyond `maxBytes`; nothing is read afterwards
   */
  constructor(maxBytes: number, onLine: (line: Buffer) => void, onOverflow: () => void) {
    this.#maxBytes = maxBytes;
    this.#onLine = onLine;
    this.#onOverflow = onOverflow;
  }

  /** Bytes of memory kept for the line that has not ended yet. */
  get retainedBytes(): number {
    return this.#held?.length ?? 0;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (!this.#stopped && at < chunk.length) {
      const end = chunk.indexOf(NEWLINE, at);
      if (end === -1) {
        this.#hold(chunk.subarray(at));
        return;
      }
      this.#finish(chunk.subarray(at, end));
      at = end + 1;
    }
  }

  /** The stream ended. Returns the line that was begun and not ended, if any. */
  end(): Buffer | undefined {
    const rest = this.#length > 0 ? this.#held?.subarray(0, this.#length) : undefined;
    this.stop();
    return rest;
  }

  /** Gives up: whatever is pushed from here on is dropped. */
  stop(): void {
    this.#stopped = true;
    this.#release();
  }

  #finish(part: Buffer): void {
    let line = part;
    if (this.#length > 0) {
      this.#hold(part);
      if (this.#held === undefined) return;
      line = this.#held.subarray(0, this.#length);
      this.#release();
    }
    if (line[line.length - 1] === RETURN) line = line.subarray(0, -1);
    if (line.length > this.#maxBytes) this.#overflow();
    else if (line.length > 0) this.#onLine(line);
  }

  #hold(part: Buffer): void {
    // One byte more than the cap may be held: it could be the carriage return.
    if (this.#length + part.length > this.#maxBytes + 1) this.#overflow();
    else this.#append(part);
  }

  #append(part: Buffer): void {
    const needed = this.#length + part.length;
    if (this.#held === undefined || needed > this.#held.length) {
      const capacity = Math.min(Math.max(needed, 2 * this.retainedBytes, FIRST_CAPACITY), Math.max(needed, this.#maxBytes + 1));
      // Not from the shared pool: a line handed out must not keep foreign bytes alive.
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#held?.copy(grown, 0, 0, this.#length);
      this.#held = grown;
    }
    part.copy(this.#held, this.#length);
    this.#length = needed;
  }

  #release(): void {
    this.#held = undefined;
    this.#length = 0;
  }

  #overflow(): void {
    this.stop();
    this.#onOverflow();
  }
}

export const END_OF_LINE = Buffer.from('\n');

/**
 * One line that carries `message`, without its end. Raw newlines can stand in JSON between tokens only (RFC 8259: a
 * string must escape them), so a blank in their place is the same JSON. The caller's bytes are never changed.
 */
export function asLine(message: Buffer): Buffer {
  if (message.indexOf(NEWLINE) === -1 && message.indexOf(RETURN) === -1) return message;
  const line = Buffer.from(message);
  for (let index = 0; index < line.length; index++) {
    const byte = line[index];
    if (byte === NEWLINE || byte === RETURN) line[index] = 0x20;
  }
  return line;
}
