import { TurnpikeError } from '../core/errors.ts';
import type { Answer, RequestId } from '../core/mcp.ts';
import { toErrorAnswer } from '../core/to-wire.ts';

/** Requests of one upstream connection that may wait for an answer at once; more are refused. */
const MAX_OPEN = 256;

/** Requests that the upstream sent us and that are not answered yet, by its ids. */
export class ServerRequests {
  readonly #open = new Map<RequestId, AbortController>();

  get size(): number {
    return this.#open.size;
  }

  /**
   * Finds the answer by `work`. Undefined when nobody wants it any more: the upstream cancelled, or the connection ended. A
   * second request with an id that is still open is no request: undefined, too. When the call that it was taken for is over,
   * the upstream still gets an answer: on a pipe it may be another call that asked, and waits.
   */
  async answer(id: RequestId, work: (controller: AbortController) => Promise<Answer>): Promise<Answer | undefined> {
    if (this.#open.has(id)) return undefined;
    if (this.#open.size >= MAX_OPEN) return toErrorAnswer(new TurnpikeError('request/invalid', 'too many requests wait for an answer'), 'legacy');
    const controller = new AbortController();
    this.#open.set(id, controller);
    let answer: Answer;
    try {
      answer = await work(controller);
    } catch (error) {
      answer = toErrorAnswer(error, 'legacy');
    }
    if (this.#open.get(id) !== controller) return undefined;
    this.#open.delete(id);
    return answer;
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
