import { LinkedAbort } from '../../../core/linked-abort.ts';
import { OwnAbort } from '../../../core/own-abort.ts';

/** What is being made over the connections to some instance, and begins again when those are given up meanwhile. */
export class Makings {
  readonly #running = new Set<Making>();

  /** @param apiUrl canonical */
  of(apiUrl: string): Making {
    return new Making(apiUrl, this.#running);
  }

  /** What is being made there now begins again. @param reason thrown by what is made already, and was not put in its place yet */
  restart(isOver: (apiUrl: string) => boolean, reason: Error): void {
    for (const making of [...this.#running]) if (isOver(making.apiUrl)) making.restart(reason);
  }
}

/** One of them: `run`, and then `finish` in the step in which what it made is put in its place, or given up. */
export class Making {
  readonly apiUrl: string;
  readonly #running: Set<Making>;
  #stale = new OwnAbort();

  constructor(apiUrl: string, running: Set<Making>) {
    this.apiUrl = apiUrl;
    this.#running = running;
  }

  async run<T>(make: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    this.#running.add(this);
    for (;;) {
      this.#stale = new OwnAbort();
      using either = new LinkedAbort(signal, this.#stale.signal);
      try {
        return await make(either.signal);
      } catch (error) {
        if (this.#stale.signal.aborted && !signal.aborted) continue;
        this.#running.delete(this);
        throw error;
      }
    }
  }

  restart(reason: Error): void {
    this.#stale.abort(reason);
  }

  /** Throws when what it was made over was given up after it was made. */
  finish(): void {
    this.#running.delete(this);
    this.#stale.signal.throwIfAborted();
  }

  /** It is of no use to anybody. */
  drop(): void {
    this.#running.delete(this);
  }
}
