import type { Clock, Timer } from '../core/clock.ts';

/** The time of one call: `call` restarts with every progress event, `callMax` never; both stand still while the client is asked. */
export class Deadline {
  readonly #clock: Clock;
  readonly #call: number;
  readonly #callMax: number;
  readonly #expire: (ms: number) => void;
  #left: number;
  #leftMax: number;
  #since = 0;
  #timer: Timer | undefined;
  #pauses = 0;

  /** @param expire called at most once, with the limit that was passed in milliseconds */
  constructor(clock: Clock, limits: { readonly call: number; readonly callMax: number }, expire: (ms: number) => void) {
    this.#clock = clock;
    this.#call = limits.call;
    this.#callMax = limits.callMax;
    this.#left = limits.call;
    this.#leftMax = limits.callMax;
    this.#expire = expire;
    this.#run();
  }

  /** The upstream showed progress. */
  restart(): void {
    this.#account();
    this.#left = this.#call;
    this.#run();
  }

  /** Time stands still until every pause is ended. */
  pause(): void {
    if (this.#pauses++ === 0) this.#account();
  }

  resume(): void {
    if (--this.#pauses === 0) this.#run();
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#pauses = Number.POSITIVE_INFINITY;
  }

  #account(): void {
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#timer = undefined;
    const spent = this.#clock.monotonic() - this.#since;
    this.#left -= spent;
    this.#leftMax -= spent;
  }

  #run(): void {
    if (this.#pauses > 0) return;
    this.#since = this.#clock.monotonic();
    const limit = this.#leftMax < this.#left ? this.#callMax : this.#call;
    this.#timer = this.#clock.after(Math.max(0, Math.min(this.#left, this.#leftMax)), () => {
      this.end();
      this.#expire(limit);
    });
  }
}
