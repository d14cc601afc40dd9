/** Lets few reconnects run at once, so that a gateway that lost everything does not start everything in one moment. */
export class ReconnectGate {
  readonly #waiting = new Set<() => void>();
  #free: number;

  /** @param places reconnects at once (aggregator.md section 1: 5) */
  constructor(places: number) {
    this.#free = places;
  }

  /** Waits for a place; the returned function, which is idempotent, gives it back. Rejects with the signal's reason. */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    let left = false;
    return () => {
      if (!left) this.#leave();
      left = true;
    };
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(enter);
        reject(signal.reason);
      };
      const enter = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      this.#waiting.add(enter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free++;
    else {
      this.#waiting.delete(next);
      next();
    }
  }
}
