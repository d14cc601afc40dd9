import type { Clock, Timer } from '../core/clock.ts';
import type { CapabilityKind } from '../core/ports.ts';

export interface RelistOptions {
  readonly clock: Clock;
  /** Reads one list again. Returns whether it could be had. */
  readonly relist: (kind: CapabilityKind) => Promise<boolean>;
  /** Milliseconds before a list that could not be had is asked for again, `failures` in a row before. */
  readonly pause: (failures: number) => number;
}

interface Line {
  timer: Timer | undefined;
  running: boolean;
  again: boolean;
  failures: number;
  last: number;
}

const DEBOUNCE_MS = 250;
const EVERY_MS = 1_000;

/** When lists are read again: per kind one at a time, 250 ms after a change was announced, once a second at most. */
export class RelistQueue {
  readonly #options: RelistOptions;
  readonly #lines = new Map<CapabilityKind, Line>();
  #stopped = false;

  constructor(options: RelistOptions) {
    this.#options = options;
  }

  /** A change was announced. Announcements that come before it is read are one. */
  soon(kind: CapabilityKind): void {
    const line = this.#line(kind);
    if (line.running) line.again = true;
    else this.#schedule(kind, line, Math.max(DEBOUNCE_MS, line.last + EVERY_MS - this.#options.clock.monotonic()));
  }

  /** The list could not be had: asked for again after a pause. */
  later(kind: CapabilityKind): void {
    const line = this.#line(kind);
    if (!line.running) this.#schedule(kind, line, Math.max(EVERY_MS, this.#options.pause(line.failures++)));
  }

  stop(): void {
    this.#stopped = true;
    for (const line of this.#lines.values()) line.timer?.cancel();
    this.#lines.clear();
  }

  #line(kind: CapabilityKind): Line {
    const known = this.#lines.get(kind);
    if (known !== undefined) return known;
    const line: Line = { timer: undefined, running: false, again: false, failures: 0, last: Number.NEGATIVE_INFINITY };
    this.#lines.set(kind, line);
    return line;
  }

  #schedule(kind: CapabilityKind, line: Line, wait: number): void {
    if (this.#stopped || line.timer !== undefined) return;
    line.timer = this.#options.clock.after(wait, () => void this.#run(kind, line));
  }

  async #run(kind: CapabilityKind, line: Line): Promise<void> {
    line.timer = undefined;
    line.running = true;
    line.last = this.#options.clock.monotonic();
    const had = await this.#options.relist(kind);
    line.running = false;
    const { again } = line;
    line.again = false;
    if (had) line.failures = 0;
    if (again) this.soon(kind);
    else if (!had) this.later(kind);
  }
}
