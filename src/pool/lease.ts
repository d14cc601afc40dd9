import type { Entry } from './entry.ts';

/** How the use of a value ended. JSON-RPC errors and `isError` results are `ok`: the transport worked. */
export type Outcome = 'ok' | 'transport-error';

/** The right to use a pooled value now. */
export interface Lease<V> {
  readonly value: V;
  /** Aborts when the value is closed under the lease: its grace period passed, or it had to go at once. */
  readonly signal: AbortSignal;
  /** Gives the value back. Idempotent; the first outcome counts. */
  release(outcome: Outcome): void;
  /** The value is dead (process exit, end of stream): nobody gets it again, at any error count. Also releases. */
  fail(): void;
}

/** What a lease tells its pool. */
export interface LeaseEnd<V> {
  ended(entry: Entry<V>, outcome: Outcome): void;
  failed(entry: Entry<V>): void;
}

export class EntryLease<V> implements Lease<V> {
  readonly value: V;
  readonly #entry: Entry<V>;
  readonly #end: LeaseEnd<V>;
  #released = false;

  constructor(entry: Entry<V>, end: LeaseEnd<V>) {
    this.value = entry.value;
    this.#entry = entry;
    this.#end = end;
  }

  get signal(): AbortSignal {
    return this.#entry.forced.signal;
  }

  release(outcome: Outcome): void {
    if (this.#released) return;
    this.#released = true;
    this.#end.ended(this.#entry, outcome);
  }

  fail(): void {
    // First retired, then released: between the two nobody may get it.
    this.#end.failed(this.#entry);
    this.release('transport-error');
  }
}
