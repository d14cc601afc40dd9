import type { Clock, Timer } from './clock.ts';
import { Slots } from './slots.ts';

/** What is to end at a time. */
export interface Due {
  /** Milliseconds on the monotonic line of the clock. Fixed while it waits. */
  readonly at: number;
  /** Called once its time has come; it waits no more then. Must not throw. */
  due(): void;
}

/** At least so long between two looks of which the first ended something: many that end one by one must not be searched through for each. Milliseconds. */
const GRAIN_MS = 10;

/**
 * The deadlines of all calls with one timer, which is set for the first of them. Nearly every call ends long before its time: while others run
 * that costs no timer of its own, and when the timer fires for one that is over, it is set for the first of those that run then (performance.md,
 * "Chores"). Where nobody waits there is no timer.
 */
export class Deadlines {
  readonly clock: Clock;
  readonly #waiting = new Slots<Due>();
  #timer: Timer | undefined;
  /** When the timer fires. */
  #next = Number.POSITIVE_INFINITY;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Returns the place, by which it is taken back. */
  add(item: Due): number {
    if (item.at < this.#next) this.#set(item.at);
    return this.#waiting.add(item);
  }

  /** Once for each `add` of something that did not fall due. While others wait the timer stays, though it may have been set for this one. */
  remove(place: number): void {
    this.#waiting.remove(place);
    if (this.#waiting.size === 0) this.#rest();
  }

  #set(at: number): void {
    this.#timer?.cancel();
    this.#next = Math.max(at, this.#notBefore);
    this.#timer = this.clock.after(Math.max(0, this.#next - this.clock.monotonic()), () => this.#look());
  }

  #look(): void {
    this.#timer = undefined;
    this.#next = Number.POSITIVE_INFINITY;
    const now = this.clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    try {
      for (const [place, item] of this.#waiting.entries()) {
        if (item.at > now) next = Math.min(next, item.at);
        else {
          this.#notBefore = now + GRAIN_MS;
          this.#waiting.remove(place);
          item.due();
        }
      }
    } catch (error) {
      // A mistake of ours, which is told; those that were not looked at yet are nobody's misfortune.
      next = now;
      throw error;
    } finally {
      if (this.#waiting.size === 0) this.#rest();
      else if (next < this.#next) this.#set(next);
    }
  }

  #rest(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#next = Number.POSITIVE_INFINITY;
  }
}
