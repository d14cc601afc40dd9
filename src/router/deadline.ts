import type { Deadlines, Due } from '../core/deadlines.ts';

/** The time of one call: `call` restarts with every progress event, `callMax` never; both stand still while the client is asked. */
export class Deadline implements Due {
  /** When it falls due, if nothing keeps it until then. */
  at = 0;
  readonly #deadlines: Deadlines;
  readonly #call: number;
  readonly #callMax: number;
  readonly #expire: (ms: number) => void;
  #left: number;
  #leftMax: number;
  #since = 0;
  /** Where it waits, while time passes. */
  #place: number | undefined;
  #pauses = 0;

  /** @param expire called at most once, with the limit that was passed in milliseconds */
  constructor(deadlines: Deadlines, limits: { readonly call: number; readonly callMax: number }, expire: (ms: number) => void) {
    this.#deadlines = deadlines;
    this.#call = limits.call;
    this.#callMax = limits.callMax;
    this.#left = limits.call;
    this.#leftMax = limits.callMax;
    this.#expire = expire;
    this.#run();
  }

  /** The upstream showed progress. It falls due too early now, and waits again then: progress is many times. */
  restart(): void {
    this.#spend();
    this.#left = this.#call;
    if (this.#place === undefined) this.#run();
  }

  /** Time stands still until every pause is ended. */
  pause(): void {
    if (this.#pauses++ > 0) return;
    this.#spend();
    this.#leave();
  }

  resume(): void {
    if (--this.#pauses === 0) this.#run();
  }

  end(): void {
    this.#leave();
    this.#pauses = Number.POSITIVE_INFINITY;
  }

  /** Called by the deadlines. */
  due(): void {
    this.#spend();
    this.#place = undefined;
    if (Math.min(this.#left, this.#leftMax) > 0) {
      this.#run();
      return;
    }
    const limit = this.#leftMax < this.#left ? this.#callMax : this.#call;
    this.end();
    this.#expire(limit);
  }

  #run(): void {
    if (this.#pauses > 0) return;
    this.#since = this.#deadlines.clock.monotonic();
    this.at = this.#since + Math.max(0, Math.min(this.#left, this.#leftMax));
    this.#place = this.#deadlines.add(this);
  }

  #leave(): void {
    if (this.#place !== undefined) this.#deadlines.remove(this.#place);
    this.#place = undefined;
  }

  /** What has passed since the clock was read last. */
  #spend(): void {
    if (this.#place === undefined) return;
    const now = this.#deadlines.clock.monotonic();
    const spent = now - this.#since;
    this.#since = now;
    this.#left -= spent;
    this.#leftMax -= spent;
  }
}
