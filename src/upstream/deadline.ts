import type { Clock } from '../core/clock.ts';

export interface Deadline {
  readonly clock: Clock;
  /** Milliseconds that the work may take. */
  readonly ms: number;
  /** What the work's signal aborts with when the time is over. */
  readonly late: () => Error;
  /** Other ends of the work; they may live as long as the process. */
  readonly signals: readonly AbortSignal[];
}

/**
 * Runs work under a signal that aborts with any of `signals`, or when the time is over. Afterwards neither timer nor
 * listener is left: `AbortSignal.any` would stay registered with signals that live on.
 */
export async function within<T>({ clock, ms, late, signals }: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stops = signals.map((signal) => follow(signal, controller));
  const timer = clock.after(ms, () => controller.abort(late()));
  try {
    return await work(controller.signal);
  } finally {
    timer.cancel();
    for (const stop of stops) stop();
  }
}

/** The promise's outcome, unless `signal` aborts first; what the promise stands for goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function follow(signal: AbortSignal, controller: AbortController): () => void {
  const onAbort = () => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return () => signal.removeEventListener('abort', onAbort);
}

/** Whether `promise` settles within `ms`. Leaves no timer behind. */
export function settledWithin(clock: Clock, promise: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.after(ms, () => resolve(false));
    const settled = () => {
      timer.cancel();
      resolve(true);
    };
    promise.then(settled, settled);
  });
}
