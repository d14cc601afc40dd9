import type { Socket } from 'node:net';
import { ConnectFailure } from './connect-failure.ts';

/** Sockets from their birth on: undici forgets those that still connect when it is destroyed. */
export class SocketSet {
  readonly #sockets = new Set<Socket>();
  readonly #closedError: () => Error;
  #closed = false;

  /** @param closedError what sockets are destroyed with */
  constructor(closedError: () => Error = closed) {
    this.#closedError = closedError;
  }

  get size(): number {
    return this.#sockets.size;
  }

  add(socket: Socket): void {
    if (this.#closed) socket.destroy(this.#closedError());
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Destroys all, and those that come later. Resolves when they are gone; never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    const gone = [...this.#sockets].map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once('close', () => resolve());
          // With an error, so that undici's own timers of a connection being made are cleared too.
          socket.destroy(this.#closedError());
        }),
    );
    await Promise.all(gone);
  }
}

function closed(): ConnectFailure {
  return new ConnectFailure('closed', 'the connections are closed');
}
