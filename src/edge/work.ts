import type { ServerResponse } from 'node:http';
import { OwnAbort } from '../core/own-abort.ts';
import { Slots } from '../core/slots.ts';

/** Counts what runs, so that a shutdown can wait for it; and says when new work is refused. */
export class Work {
  readonly #draining = new OwnAbort();
  readonly #answers = new Slots<ServerResponse>();
  #running = 0;
  #waiters: (() => void)[] = [];

  /** Aborts when the gateway stops taking new work; long-lived streams end on it. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  get running(): number {
    return this.#running;
  }

  /**
   * Registers an answer, until `answered` with what is returned here: once the gateway drains, its connection ends with it, lest a client sends on it what
   * nobody will read.
   */
  answering(response: ServerResponse): number {
    if (this.draining.aborted) lastOfItsConnection(response);
    return this.#answers.add(response);
  }

  /** The answer is over. @param place what `answering` returned */
  answered(place: number): void {
    this.#answers.remove(place);
  }

  /** One more; `end`, to be called once, says that it is over. */
  begin(): void {
    this.#running++;
  }

  end(): void {
    if (--this.#running === 0) for (const waiter of this.#waiters.splice(0)) waiter();
  }

  /** As `begin`; the returned function, idempotent, is its end. */
  enter(): () => void {
    this.begin();
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.end();
    };
  }

  /** Takes no new work and waits until what runs is over, or `signal` aborts. Never rejects. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining.abort(new Error('the gateway is shutting down'));
    for (const response of this.#answers) lastOfItsConnection(response);
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
