/** Lets so many through at once; the others wait in the order in which they came. */
export class Gate {
  readonly #width: number;
  readonly #waiting = new Set<() => void>();
  #inside = 0;

  constructor(width: number) {
    this.#width = width;
  }

  /** Nobody is in it, and nobody waits. */
  get empty(): boolean {
    return this.#inside === 0 && this.#waiting.size === 0;
  }

  /** Runs work when there is room. Rejects with the reason of `signal` when it aborts before; then the work is never begun. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#inside < this.#width) {
      this.#inside++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const admit = () => {
        signal.removeEventListener('abort', quit);
        this.#waiting.delete(admit);
        resolve();
      };
      const quit = () => {
        this.#waiting.delete(admit);
        reject(signal.reason);
      };
      this.#waiting.add(admit);
      signal.addEventListener('abort', quit, { once: true });
    });
  }

  /** Who waits longest takes the place over. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#inside--;
    else next();
  }
}
