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

  /** The upstream showed progress. The timer that runs fires too early now, and is set again then: progress is many times. */
  restart(): void {
    this.#spend();
    this.#left = this.#call;
    if (this.#timer === undefined) this.#run();
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
    this.#spend();
    this.#timer.cancel();
    this.#timer = undefined;
  }

  /** What has passed since the clock was read last. */
  #spend(): void {
    if (this.#timer === undefined) return;
    const now = this.#clock.monotonic();
    const spent = now - this.#since;
    this.#since = now;
    this.#left -= spent;
    this.#leftMax -= spent;
  }

  #run(): void {
    if (this.#pauses > 0) return;
    this.#since = this.#clock.monotonic();
    this.#timer = this.#clock.after(Math.max(0, Math.min(this.#left, this.#leftMax)), () => this.#fired());
  }

  #fired(): void {
    this.#spend();
    this.#timer = undefined;
    if (Math.min(this.#left, this.#leftMax) > 0) {
      this.#run();
      return;
    }
    const limit = this.#leftMax < this.#left ? this.#callMax : this.#call;
    this.end();
    this.#expire(limit);
  }
}
