import net from 'node:net';

/** What came back on a socket. */
export interface WireReply {
  /** Status of the first answer; 0 when there was none. */
  readonly status: number;
  readonly text: string;
  /** Whether the other side hung up by itself. */
  readonly closed: boolean;
  /** Milliseconds from the connection to its end. */
  readonly ms: number;
}

export interface WireOptions {
  /** Pieces written one after the other, each after a pause. */
  readonly pauseMs?: number;
  /** Wait for the other side to hang up instead of for the first complete answer. */
  readonly untilClosed?: boolean;
  readonly deadlineMs?: number;
}

/**
 * Writes bytes as they are to a port of this machine: requests no HTTP library would send. Resolves with the first
 * complete answer, or when the other side hangs up, or at the deadline.
 */
export function wire(port: number, pieces: string | readonly (string | Buffer)[], options: WireOptions = {}): Promise<WireReply> {
  const { pauseMs = 0, untilClosed = false, deadlineMs = 10_000 } = options;
  const began = performance.now();
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    let closed = false;
    let over = false;
    const socket = net.connect(port, '127.0.0.1');
    const timers = new Set<NodeJS.Timeout>();
    const finish = () => {
      if (over) return;
      over = true;
      for (const timer of timers) clearTimeout(timer);
      socket.destroy();
      const text = received.toString('latin1');
      resolve({ status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), text, closed, ms: performance.now() - began });
    };
    timers.add(setTimeout(finish, deadlineMs));
    socket.on('error', () => {});
    socket.on('close', () => {
      closed = !over;
      finish();
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (!untilClosed && isComplete(received)) finish();
    });
    const list = typeof pieces === 'string' ? [pieces] : pieces;
    const write = (index: number): void => {
      const piece = list[index];
      if (over || piece === undefined) return;
      socket.write(piece);
      if (pauseMs === 0) write(index + 1);
      else timers.add(setTimeout(() => write(index + 1), pauseMs));
    };
    socket.on('connect', () => write(0));
  });
}

/** A request head with the lines given, and a body. `Content-Length` is added unless a line is one. */
export function head(start: string, lines: readonly string[], body = ''): string {
  const hasLength = lines.some((line) => /^(content-length|transfer-encoding):/i.test(line));
  const length = hasLength || body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  return `${[start, ...lines, ...length].join('\r\n')}\r\n\r\n${body}`;
}

function isComplete(bytes: Buffer): boolean {
  const text = bytes.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end));
  if (length !== null) return bytes.length >= end + 4 + Number(length[1]);
  return /\r\ntransfer-encoding: *chunked/i.test(text.slice(0, end)) ? text.endsWith('0\r\n\r\n') : false;
}
