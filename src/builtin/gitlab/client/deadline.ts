import type { Clock, Timer } from '../../../core/clock.ts';
import { LinkedAbort } from '../../../core/linked-abort.ts';

/** The time that one call has, retries and waits included, or until its caller gives up. */
export class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #abort: LinkedAbort;
  readonly #timer: Timer;
  readonly #clock: Clock;
  readonly #end: number;

  constructor(clock: Clock, ms: number, caller: AbortSignal) {
    this.#abort = new LinkedAbort(caller);
    this.signal = this.#abort.signal;
    this.#clock = clock;
    this.#end = clock.monotonic() + ms;
    this.#timer = clock.after(ms, () => this.#abort.abort(new Error('the deadline of the call')));
  }

  /** Milliseconds that are left. */
  get left(): number {
    return Math.max(0, this.#end - this.#clock.monotonic());
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
    this.#abort[Symbol.dispose]();
  }
}
