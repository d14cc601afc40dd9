import type { Origin } from '../../../net/origin.ts';
import type { Lease } from '../../../pool/lease.ts';
import type { HttpHead } from './http-attempt.ts';

/**
 * An answer that is being read. It ends, and gives its place back, when who sent the request says so; kept, when its body is
 * read, cut, or out of time, also if nobody ever reads it.
 */
export class OpenAnswer {
  readonly head: HttpHead;
  /** Sorts an error of the body, as callers see it. */
  readonly failure: (error: unknown) => unknown;
  readonly #lease: Lease<Origin>;
  #isKept = false;

  constructor(head: HttpHead, lease: Lease<Origin>, failure: (error: unknown) => unknown) {
    this.head = head;
    this.#lease = lease;
    this.failure = failure;
  }

  get isKept(): boolean {
    return this.#isKept;
  }

  /** @param then called when the body is closed */
  whenClosed(then: () => void): void {
    if (this.head.body.closed) then();
    else this.head.body.once('close', then);
  }

  keep(): void {
    this.#isKept = true;
    this.whenClosed(() => this.#lease.release('ok'));
  }

  end(): void {
    this.head.body.destroy();
    this.#lease.release('ok');
  }
}
