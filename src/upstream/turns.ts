import { unlessAborted } from './deadline.ts';

/**
 * Who may run an interactive call on a connection. Free until a question came that could belong to several calls; from
 * then on one at a time, in order of arrival (protocol.md section 10, "Attribution").
 */
export class Turns {
  readonly #waiting = new Set<PromiseWithResolvers<void>>();
  #serial = false;
  #running = 0;

  get serial(): boolean {
    return this.#serial;
  }

  /** From now on calls that enter wait for those that run. */
  becomeSerial(): void {
    this.#serial = true;
  }

  /** Takes a turn if nobody is in the way; `leave` ends it. */
  tryEnter(): boolean {
    if (this.#serial && this.#running > 0) return false;
    this.#running++;
    return true;
  }

  /** Waits for a turn; `leave` ends it. Rejects with the signal's reason, or with what `dismiss` was given. */
  async enter(signal: AbortSignal): Promise<void> {
    if (this.tryEnter()) return;
    const turn = Promise.withResolvers<void>();
    this.#waiting.add(turn);
    try {
      await unlessAborted(turn.promise, signal);
    } catch (error) {
      // A turn that was given in the same moment goes on to the next.
      if (!this.#waiting.delete(turn)) this.leave();
      throw error;
    }
  }

  /** Whoever waits gets no turn here: the connection ended, or another one is to be used. */
  dismiss(error: Error): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    // Each of them gives back a turn when it fails, so it must hold one.
    this.#running += waiting.length;
    for (const turn of waiting) turn.reject(error);
  }

  /** Ends one turn: the next one who waits gets it. */
  leave(): void {
    this.#running--;
    if (this.#running > 0) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    this.#running++;
    next.resolve();
  }
}
