import type { Clock, Timer } from '../core/clock.ts';

/** One repeating timer that runs only between `arm` and `disarm`. */
export class Sweep {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #tick: () => void;
  #armed = false;
  #timer: Timer | undefined;

  /** @param interval milliseconds between two calls of `tick`. */
  constructor(clock: Clock, interval: number, tick: () => void) {
    this.#clock = clock;
    this.#interval = interval;
    this.#tick = tick;
  }

  /** Idempotent: a running interval is not restarted, else steady traffic would put the sweep off for ever. */
  arm(): void {
    this.#armed = true;
    this.#timer ??= this.#clock.after(this.#interval, () => {
      this.#timer = undefined;
      this.#tick();
      if (this.#armed) this.arm();
    });
  }

  disarm(): void {
    this.#armed = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
