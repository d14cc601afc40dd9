import type { Clock, Timer } from '../core/clock.ts';
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
  readonly turn = new Turn<Gathering>((gathering) => gathering.flush());
  readonly #kept = new Set<Kept>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  add(kept: Kept): void {
    this.#kept.add(kept);
    this.#timer ??= this.clock.after(EVERY_MS, () => this.#tick());
  }

  remove(kept: Kept): void {
    this.#kept.delete(kept);
    if (this.#kept.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tick(): void {
    this.#timer = undefined;
    for (const kept of [...this.#kept]) kept.comment();
    if (this.#kept.size > 0) this.#timer = this.clock.after(EVERY_MS, () => this.#tick());
  }
}
