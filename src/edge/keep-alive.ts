import type { Clock, Timer } from '../core/clock.ts';
import { Slots } from '../core/slots.ts';
import { Turn } from '../core/turn.ts';

/** Something that wants a comment now and then, lest a proxy takes it for dead. */
export interface Kept {
  comment(): void;
}

/** Something that writes at the end of a turn what was gathered in it. */
export interface Gathering {
  flush(): void;
}

const EVERY_MS = 15_000;

/** What all open streams share: one timer, and the end of the turn. */
export class KeepAlive {
  readonly clock: Clock;
  // What is said on one stream in a turn leaves in one write, also where few come.
  readonly turn = new Turn<Gathering>((gathering) => gathering.flush(), 0);
  readonly #kept = new Slots<Kept>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Returns the place, by which it is removed. */
  add(kept: Kept): number {
    this.#timer ??= this.clock.after(EVERY_MS, () => this.#tick());
    return this.#kept.add(kept);
  }

  /** Once for each `add`. */
  remove(place: number): void {
    this.#kept.remove(place);
    if (this.#kept.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tick(): void {
    this.#timer = undefined;
    for (const kept of this.#kept) kept.comment();
    if (this.#kept.size > 0) this.#timer ??= this.clock.after(EVERY_MS, () => this.#tick());
  }
}
