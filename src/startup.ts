import type { Clock } from './core/clock.ts';

/** How long a list waits for upstreams that are starting (aggregator.md section 7). */
const PATIENCE_MS = 2_000;

/** The first attempt of all upstreams. Until it is over, lists wait a little: clients that ignore `list_changed` ask once. */
export class Startup {
  readonly #clock: Clock;
  #attempt: Promise<void> | undefined;
  #patience: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The attempt was made; its failure is the upstreams' own matter. */
  begin(attempt: Promise<void>): void {
    const patience = Promise.withResolvers<void>();
    const timer = this.#clock.after(PATIENCE_MS, patience.resolve);
    const done = () => {
      timer.cancel();
      this.#attempt = undefined;
      this.#patience = undefined;
    };
    this.#attempt = attempt.then(done, done);
    this.#patience = patience.promise;
  }

  /** Resolves when the attempt is over, or `signal` aborts. */
  async over(signal: AbortSignal): Promise<void> {
    if (this.#attempt !== undefined) await Promise.race([this.#attempt, aborted(signal)]);
  }

  /** As `over`, but no longer than two seconds from the start. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#attempt !== undefined) await Promise.race([this.#attempt, this.#patience, aborted(signal)]);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
