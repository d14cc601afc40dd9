/** Counts what runs, so that a shutdown can wait for it; and says when new work is refused. */
export class Work {
  readonly #draining = new AbortController();
  #running = 0;
  #waiters: (() => void)[] = [];

  /** Aborts when the gateway stops taking new work; long-lived streams end on it. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  get running(): number {
    return this.#running;
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
    if (this.#running === 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}
