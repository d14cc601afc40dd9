import type { RequestId } from '../core/mcp.ts';

/** Requests of one upstream connection that may wait for an answer at once; more are refused. */
const MAX_OPEN = 256;

/** Requests that the upstream sent us and that are not answered yet, by its ids. */
export class ServerRequests {
  readonly #open = new Map<RequestId, AbortController>();

  get size(): number {
    return this.#open.size;
  }

  /** Whether one more may wait for an answer. */
  get full(): boolean {
    return this.#open.size >= MAX_OPEN;
  }

  /** Begins a request. Undefined for one whose id is still open: that is no request. */
  begin(id: RequestId): AbortController | undefined {
    if (this.#open.has(id)) return undefined;
    const controller = new AbortController();
    this.#open.set(id, controller);
    return controller;
  }

  /**
   * Ends it. Returns whether its answer is still wanted: not when the upstream cancelled it, or the connection ended. When the
   * call that it was taken for is over the answer is wanted all the same: on a pipe it may be another call that asked, and waits.
   */
  end(id: RequestId, controller: AbortController): boolean {
    if (this.#open.get(id) !== controller) return false;
    this.#open.delete(id);
    return true;
  }

  /** Returns whether there was such a request. */
  cancel(id: RequestId): boolean {
    const controller = this.#open.get(id);
    this.#open.delete(id);
    controller?.abort(new Error('cancelled by the upstream'));
    return controller !== undefined;
  }

  /** The connection ended. */
  fail(error: Error): void {
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const controller of open) controller.abort(error);
  }
}
