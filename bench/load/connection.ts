import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { MessageReader } from '../http1.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly head: string;
  /** The whole answer; its body begins at `at`. */
  readonly raw: Buffer;
  readonly at: number;
}

interface Waiting {
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** One socket, one request at a time, as cheap as can be: the load must not be what is measured. */
export class Connection {
  readonly #socket: Socket;
  readonly #reader = new MessageReader((head, at, raw) => this.#answered({ status: Number(head.slice(9, 12)), head, at, raw }));
  #waiting: Waiting | undefined;
  #failure: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#reader.push(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  static async open(url: URL): Promise<Connection> {
    const socket = connect({ port: Number(url.port), host: url.hostname, noDelay: true });
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** Whether the other side closed it, or it failed. */
  get over(): boolean {
    return this.#failure !== undefined;
  }

  send(request: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #answered(answer: HttpAnswer): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(this.#failure);
  }
}
