import { type Caller, principalKey } from '../core/caller.ts';
import { TurnpikeError } from '../core/errors.ts';

/** Listen streams per principal (protocol.md section 6). */
const MAX_PER_PRINCIPAL = 32;

/** Bounds the listen streams of each principal. */
export class Listeners {
  readonly #open = new Map<string, number>();
  readonly #streams = new Map<AbortController, Caller>();

  /** Runs one stream, which ends when its signal aborts. Throws `upstream/capacity` beyond 32 of one principal. */
  async run<T>(caller: Caller, stream: (over: AbortSignal) => Promise<T>): Promise<T> {
    const { principal } = caller;
    const key = principalKey(principal);
    const open = this.#open.get(key) ?? 0;
    if (open >= MAX_PER_PRINCIPAL)
      throw new TurnpikeError('upstream/capacity', `too many open subscriptions (limit ${MAX_PER_PRINCIPAL}); close one first`, { retryable: true });
    this.#open.set(key, open + 1);
    const over = new AbortController();
    this.#streams.set(over, caller);
    try {
      return await stream(over.signal);
    } finally {
      this.#streams.delete(over);
      const left = (this.#open.get(key) ?? 1) - 1;
      if (left === 0) this.#open.delete(key);
      else this.#open.set(key, left);
    }
  }

  /** Ends the streams of callers who may not come in any more. */
  endOf(isGone: (caller: Caller) => boolean): void {
    for (const [over, caller] of this.#streams) if (isGone(caller)) over.abort(new TurnpikeError('auth/invalid'));
  }
}
