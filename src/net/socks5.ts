import type { Socket } from 'node:net';
import { addressBytes } from '../core/ip-address.ts';
import { ConnectFailure } from './connect-failure.ts';
import type { ProxyServer } from './proxy-choice.ts';

const VERSION = 5;
const NO_AUTH = 0;
const PASSWORD = 2;

/** Replies of RFC 1928 section 6. */
const REPLIES: readonly string[] = [
  'succeeded',
  'general failure',
  'not allowed by its rules',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'TTL expired',
  'command not supported',
  'address type not supported',
];

/**
 * Asks the SOCKS5 proxy at the other end of `socket` to connect (RFC 1928, RFC 1929); names are resolved there. Afterwards the
 * socket carries what the target says. Destroying the socket ends it.
 *
 * @throws `ConnectFailure`
 */
export async function openSocks5(socket: Socket, proxy: ProxyServer, target: { readonly host: string; readonly port: number }): Promise<void> {
  const reader = new Reader(socket);
  try {
    const method = proxy.username === undefined ? NO_AUTH : PASSWORD;
    socket.write(Buffer.from(method === NO_AUTH ? [VERSION, 1, NO_AUTH] : [VERSION, 2, NO_AUTH, PASSWORD]));
    const [version, chosen] = await reader.take(2);
    if (version !== VERSION) throw failure('is no SOCKS5 proxy');
    if (chosen === PASSWORD && method === PASSWORD) await authenticate(socket, reader, proxy);
    else if (chosen !== NO_AUTH) throw failure('wants another way of authentication');
    socket.write(Buffer.concat([Buffer.from([VERSION, 1, 0]), addressOf(target.host), port(target.port)]));
    const [, reply = 1, , type] = await reader.take(4);
    if (reply !== 0) throw failure(`refused: ${REPLIES[reply] ?? 'unknown reason'}`);
    const [length = 0] = type === 3 ? await reader.take(1) : [type === 4 ? 16 : 4];
    await reader.take(length + 2);
  } finally {
    reader.end();
  }
}

async function authenticate(socket: Socket, reader: Reader, proxy: ProxyServer): Promise<void> {
  socket.write(Buffer.concat([Buffer.from([1]), counted(proxy.username ?? ''), counted(proxy.password?.reveal() ?? '')]));
  const [, status] = await reader.take(2);
  if (status !== 0) throw failure('refused the credentials');
}

function addressOf(host: string): Buffer {
  const bytes = addressBytes(host);
  if (bytes === undefined) return Buffer.concat([Buffer.from([3]), counted(host)]);
  return Buffer.from([bytes.length === 4 ? 1 : 4, ...bytes]);
}

function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw failure('cannot be told a text of more than 255 bytes');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function port(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function failure(what: string): ConnectFailure {
  return new ConnectFailure('proxy', `the proxy ${what}`);
}

/** Takes exactly as many bytes as asked for: what follows them belongs to the target. */
class Reader {
  readonly #socket: Socket;
  #wanted = 0;
  #resolve: ((bytes: Buffer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #ended: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('readable', this.#onReadable);
    socket.on('error', this.#onError);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onEnd);
  }

  take(count: number): Promise<Buffer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#wanted = count;
      this.#resolve = resolve;
      this.#reject = reject;
      this.#onReadable();
    });
  }

  end(): void {
    this.#socket.off('readable', this.#onReadable);
    this.#socket.off('error', this.#onError);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onEnd);
  }

  readonly #onReadable = () => {
    if (this.#resolve === undefined) return;
    const bytes: Buffer | null = this.#socket.read(this.#wanted);
    if (bytes === null) return;
    if (bytes.length < this.#wanted) return this.#onEnd();
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve(bytes);
  };

  readonly #onError = (error: Error) => {
    this.#ended ??= error instanceof ConnectFailure ? error : new ConnectFailure('proxy', 'the proxy closed the connection', error);
    this.#resolve = undefined;
    this.#reject?.(this.#ended);
  };

  readonly #onEnd = () => this.#onError(failure('closed the connection'));
}
