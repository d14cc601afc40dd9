import type { ServerResponse } from 'node:http';

/** Counts what runs, so that a shutdown can wait for it; and says when new work is refused. */
export class Work {
  readonly #draining = new AbortController();
  readonly #answers = new Set<ServerResponse>();
  #running = 0;
  #waiters: (() => void)[] = [];

  /** Aborts when the gateway stops taking new work; long-lived streams end on it. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  get running(): number {
    return this.#running;
  }

  /** Registers an answer: once the gateway drains, its connection ends with it, lest a client sends on it what nobody will read. */
  answering(response: ServerResponse): void {
    if (this.draining.aborted) {
      lastOfItsConnection(response);
      return;
    }
    this.#answers.add(response);
    response.once('close', () => this.#answers.delete(response));
  }

  /** One more; the returned function, idempotent, says that it is over. */
  enter(): () => void {
    this.#running++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (--this.#running === 0) for (const waiter of this.#waiters.splice(0)) waiter();
    };
  }

  /** Takes no new work and waits until what runs is over, or `signal` aborts. Never rejects. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining.abort(new Error('the gateway is shutting down'));
    for (const response of this.#answers) lastOfItsConnection(response);
    this.#answers.clear();
    if (this.#running === 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

function lastOfItsConnection(response: ServerResponse): void {
  const { socket } = response;
  response.shouldKeepAlive = false;
  if (response.headersSent) response.once('finish', () => socket?.end());
}
