import { quantile } from '../statistics.ts';
import type { LoadReport } from './plan.ts';

/** Room for so many latencies; what comes beyond it is counted only. */
const ROOM = 1_000_000;

/** Counts what happens while it is on. */
export class Recorder {
  #latencies = new Float64Array(ROOM);
  #isOn = false;
  #calls = 0;
  #errors = 0;
  #firstError: string | undefined;

  /** Before a lead-in. */
  reset(): void {
    this.#isOn = false;
    this.#calls = 0;
    this.#errors = 0;
    this.#firstError = undefined;
  }

  start(): void {
    this.#isOn = true;
  }

  stop(): void {
    this.#isOn = false;
  }

  get calls(): number {
    return this.#calls;
  }

  /** `from`: when the call began, by `performance.now`. */
  answered(from: number): void {
    if (!this.#isOn) return;
    if (this.#calls < ROOM) this.#latencies[this.#calls] = performance.now() - from;
    this.#calls++;
  }

  /** Those of the lead-in count as well: a measurement with errors is none. */
  failed(error: unknown): void {
    this.#errors++;
    this.#firstError ??= error instanceof Error ? error.message : String(error);
  }

  /** All but times of CPU. `seconds`: how long it was on. */
  figures(seconds: number): Omit<LoadReport, 'cpu' | 'cpuAlone' | 'ownCpu'> {
    const sorted = this.#latencies.subarray(0, Math.min(this.#calls, ROOM)).sort();
    const at = (share: number) => quantile(sorted, share);
    return {
      calls: this.#calls,
      errors: this.#errors,
      firstError: this.#firstError,
      perSecond: Math.round(this.#calls / seconds),
      latency: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
    };
  }
}
