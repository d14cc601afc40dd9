import type { Clock } from '../core/clock.ts';
import type { ProcessEvents } from './surroundings.ts';

/** Signals that ask the process to end, with the exit code of one that is killed by them. */
export const STOP_SIGNALS: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/**
 * Deliveries so close together are one request: a terminal and a service manager signal the whole process group, and npm
 * and our bootstrap pass the same signal on to their child. Milliseconds.
 */
export const SAME_REQUEST = 150;

export interface StopOptions {
  readonly events: ProcessEvents;
  readonly clock: Clock;
  /** Called for the second request, with the exit code of its signal. */
  readonly onSecond: (code: number) => void;
}

/** Listens for signals until it is disposed of. */
export class Stop implements Disposable {
  /** Resolves with the name of the first signal. */
  readonly first: Promise<string>;
  readonly #events: ProcessEvents;
  readonly #listeners: (readonly [string, () => void])[];

  constructor({ events, clock, onSecond }: StopOptions) {
    this.#events = events;
    let resolveFirst: (signal: string) => void = () => {};
    this.first = new Promise((resolve) => {
      resolveFirst = resolve;
    });
    let since: number | undefined;
    this.#listeners = Object.entries(STOP_SIGNALS).map(([signal, code]) => [
      signal,
      () => {
        const now = clock.monotonic();
        if (since === undefined) {
          since = now;
          resolveFirst(signal);
        } else if (now - since >= SAME_REQUEST) onSecond(code);
      },
    ]);
    for (const [signal, listener] of this.#listeners) events.on(signal, listener);
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) this.#events.off(signal, listener);
  }
}
