import type { Clock, Timer } from '../core/clock.ts';

/** Something that wants a comment now and then, lest a proxy takes it for dead. */
export interface Kept {
  comment(): void;
}

const EVERY_MS = 15_000;

/** One timer for all open streams. */
export class KeepAlive {
  readonly clock: Clock;
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
