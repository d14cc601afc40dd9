import type { Clock, Timer } from './clock.ts';

/** A clock that only moves when told to; timers fire in order of their due time, then of their creation. */
export class ManualClock implements Clock {
  #now: number;
  #elapsed = 0;
  #next = 0;
  readonly #timers = new Map<number, { due: number; fn: () => void }>();

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  after(ms: number, fn: () => void): Timer {
    const key = this.#next++;
    this.#timers.set(key, { due: this.#elapsed + Math.max(0, ms), fn });
    return { cancel: () => void this.#timers.delete(key) };
  }

  /** Number of timers that wait: a leak test compares it with zero. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves time by `ms` and fires what falls due on the way, timers set meanwhile included. */
  advance(ms: number): void {
    const target = this.#elapsed + ms;
    for (;;) {
      let key: number | undefined;
      let due = Number.POSITIVE_INFINITY;
      for (const [candidate, timer] of this.#timers) {
        if (timer.due <= target && timer.due < due) {
          key = candidate;
          due = timer.due;
        }
      }
      if (key === undefined) break;
      const { fn } = this.#timers.get(key) as { fn: () => void };
      this.#timers.delete(key);
      this.#moveTo(due);
      fn();
    }
    this.#moveTo(target);
  }

  /** As `advance`, and lets promises settle between single steps of `step` ms. */
  async advanceAsync(ms: number, step = ms): Promise<void> {
    for (let left = ms; left > 0; left -= step) {
      this.advance(Math.min(step, left));
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    }
  }

  /** The wall clock jumps (NTP, suspend); durations are unaffected. */
  jump(ms: number): void {
    this.#now += ms;
  }

  #moveTo(elapsed: number): void {
    this.#now += elapsed - this.#elapsed;
    this.#elapsed = elapsed;
  }
}
