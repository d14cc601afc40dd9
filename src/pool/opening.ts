import type { Clock, Timer } from '../core/clock.ts';
import type { Entry, Opened } from './entry.ts';
import type { Lease } from './lease.ts';

/** Opens the value of a key. Must stop soon after `signal` aborts; what it opened nevertheless is closed by the pool. */
export type Open<V> = (signal: AbortSignal) => Promise<Opened<V>>;

interface Caller<V> {
  readonly resolve: (lease: Lease<V>) => void;
  readonly reject: (error: unknown) => void;
  readonly leave: () => void;
  deadline: Timer | undefined;
}

export interface Patience {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Milliseconds that the caller waits for a place. */
  readonly queueTimeout: number;
  /** Makes the error for a caller whose patience is over. */
  readonly exhausted: () => Error;
  /** Called after a caller left by itself. */
  readonly left: (reason: unknown) => void;
}

/** One open that is queued or in the air, and everybody who waits for it. */
export class Opening<V> {
  readonly entry: Entry<V>;
  readonly open: Open<V>;
  readonly controller = new AbortController();
  /** Runs on without callers: a renewal within its time. */
  background: boolean;
  /** Nobody may join any more; its value closes after the callers it already has. */
  retiredFor: string | undefined;
  /** End of the time a renewal has without callers. */
  deadline: Timer | undefined;
  readonly #callers = new Set<Caller<V>>();

  constructor(entry: Entry<V>, open: Open<V>, background: boolean) {
    this.entry = entry;
    this.open = open;
    this.background = background;
  }

  get wanted(): boolean {
    return this.background || this.#callers.size > 0;
  }

  /** Waits for the open. An abort, or the end of patience before there is a place, only makes this caller leave. */
  join(queued: boolean, patience: Patience): Promise<Lease<V>> {
    const { promise, resolve, reject } = Promise.withResolvers<Lease<V>>();
    const { signal } = patience;
    const quit = (reason: unknown) => {
      caller.leave();
      reject(reason);
      patience.left(reason);
    };
    const onAbort = () => quit(signal.reason);
    const caller: Caller<V> = {
      resolve,
      reject,
      deadline: queued ? patience.clock.after(patience.queueTimeout, () => quit(patience.exhausted())) : undefined,
      leave: () => {
        signal.removeEventListener('abort', onAbort);
        caller.deadline?.cancel();
        this.#callers.delete(caller);
      },
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#callers.add(caller);
    return promise;
  }

  /** There is a place: nobody runs out of patience any more. */
  placed(): void {
    for (const caller of this.#callers) caller.deadline?.cancel();
  }

  /** Gives every caller its own lease. */
  deliver(lease: () => Lease<V>): void {
    for (const caller of [...this.#callers]) {
      caller.leave();
      caller.resolve(lease());
    }
  }

  /** Turns every caller away. */
  refuse(error: unknown): void {
    for (const caller of [...this.#callers]) {
      caller.leave();
      caller.reject(error);
    }
  }
}
