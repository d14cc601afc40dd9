/** A timer that can be taken back. */
export interface Timer {
  cancel(): void;
}

/** Time as an argument: rules about time are tested with a manual clock (`manual-clock.ts`). */
export interface Clock {
  /** Milliseconds since the epoch. May jump. */
  now(): number;
  /** Milliseconds on a line that never goes back. Use it for every duration. */
  monotonic(): number;
  /** Calls `fn` once after `ms`. Timers never keep the process alive by themselves. */
  after(ms: number, fn: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fn) {
    // Node fires timers above 2^31-1 ms at once; a deadline that far away is as good as the largest one.
    const handle = setTimeout(fn, Math.min(ms, 0x7fff_ffff)).unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Waits `ms`; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.cancel();
      reject(signal.reason);
    };
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
