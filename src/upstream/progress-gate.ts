import type { Clock } from '../core/clock.ts';

/** Progress events let through per call and second (protocol.md section 7). */
const PER_SECOND = 10;

/** Decides which progress events of one call are passed on: strictly rising values, at most ten in any second. */
export class ProgressGate {
  readonly #clock: Clock;
  readonly #times: number[] = [];
  #last = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  admits(progress: unknown): boolean {
    if (typeof progress !== 'number' || !Number.isFinite(progress) || progress <= this.#last) return false;
    const now = this.#clock.monotonic();
    while (this.#times[0] !== undefined && this.#times[0] <= now - 1000) this.#times.shift();
    if (this.#times.length >= PER_SECOND) return false;
    this.#times.push(now);
    this.#last = progress;
    return true;
  }
}
