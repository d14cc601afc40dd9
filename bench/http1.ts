// Reads HTTP/1.1 messages of loopback traffic that is kept alive: for the load and the light upstream. A measuring instrument:
// no limits, no trailers, no upgrade.

const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH = /\r\ncontent-length: *(\d+)/i;
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;

/** `raw` is the whole message, its body (still chunked, if it came so) begins at `at`. */
type OnMessage = (head: string, at: number, raw: Buffer) => void;

export class MessageReader {
  #rest: Buffer | undefined;
  readonly #onMessage: OnMessage;

  constructor(onMessage: OnMessage) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    let bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    while (bytes.length > 0) {
      const at = bytes.indexOf(HEAD_END);
      const head = at < 0 ? '' : bytes.toString('latin1', 0, at + 2);
      const end = at < 0 ? -1 : endOf(head, at + 4, bytes);
      if (end < 0 || end > bytes.length) {
        this.#rest = bytes;
        return;
      }
      this.#onMessage(head, at + 4, end === bytes.length ? bytes : bytes.subarray(0, end));
      bytes = bytes.subarray(end);
    }
  }
}

function endOf(head: string, at: number, bytes: Buffer): number {
  const length = LENGTH.exec(head);
  if (length !== null) return at + Number(length[1]);
  return CHUNKED.test(head) ? endOfChunks(bytes, at) : at;
}

/** The index behind the last chunk, or -1 while it has not come. */
function endOfChunks(bytes: Buffer, from: number): number {
  for (let at = from; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return -1;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    at = line + 2 + size + 2;
    if (size === 0) return at;
  }
}

const patterns = new Map<string, RegExp>();

/** The value of a header in the head of a message. */
export function headerOf(head: string, name: string): string | undefined {
  let pattern = patterns.get(name);
  if (pattern === undefined) {
    pattern = new RegExp(`\\r\\n${name}: *([^\\r]*)`, 'i');
    patterns.set(name, pattern);
  }
  return pattern.exec(head)?.[1];
}
