import { type Caller, principalKey } from '../core/caller.ts';
import { TurnpikeError } from '../core/errors.ts';

/** Listen streams per principal (protocol.md section 6). */
const MAX_PER_PRINCIPAL = 32;

/** Bounds the listen streams of each principal. */
export class Listeners {
  readonly #open = new Map<string, number>();

  /** Runs one stream. Throws `upstream/capacity` beyond 32 of one principal. */
  async run<T>({ principal }: Caller, stream: () => Promise<T>): Promise<T> {
    const key = principalKey(principal);
    const open = this.#open.get(key) ?? 0;
    if (open >= MAX_PER_PRINCIPAL)
      throw new TurnpikeError('upstream/capacity', `too many open subscriptions (limit ${MAX_PER_PRINCIPAL}); close one first`, { retryable: true });
    this.#open.set(key, open + 1);
    try {
      return await stream();
    } finally {
      const left = (this.#open.get(key) ?? 1) - 1;
      if (left === 0) this.#open.delete(key);
      else this.#open.set(key, left);
    }
  }
}
