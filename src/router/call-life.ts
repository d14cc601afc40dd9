import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { OwnAbort } from '../core/own-abort.ts';
import { Deadline } from './deadline.ts';

/**
 * How long one call may run, and who may end it: its time, and the client for as long as one waits for it. A call that is
 * parked between two requests of its client follows nobody but its own time.
 */
export class CallLife implements Disposable {
  readonly deadline: Deadline;
  readonly #controller = new OwnAbort();
  /** Made when somebody is followed: a parked call follows nobody, and thousands may wait. */
  #followed: Set<() => void> | undefined;

  /** @param limits milliseconds. @param name of the tool, prompt or resource, for the error of a limit that was passed */
  constructor(clock: Clock, limits: { readonly call: number; readonly callMax: number }, upstream: string, name: string | (() => string)) {
    this.deadline = new Deadline(clock, limits, (ms) =>
      this.#controller.abort(
        new TurnpikeError('upstream/timeout', `tool '${typeof name === 'string' ? name : name()}' timed out after ${ms / 1000}s`, { upstream }),
      ),
    );
  }

  /** Aborts when the call is to end; its reason says why. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Ends with `source`, too, until the returned function is called. */
  follow(source: AbortSignal): () => void {
    if (source.aborted) {
      this.abort(source.reason);
      return () => {};
    }
    const onAbort = () => this.abort(source.reason);
    source.addEventListener('abort', onAbort, { once: true });
    const leave = () => {
      source.removeEventListener('abort', onAbort);
      this.#followed?.delete(leave);
    };
    this.#followed ??= new Set();
    this.#followed.add(leave);
    return leave;
  }

  /** Takes back timer and listeners. The signal stays as it is. */
  [Symbol.dispose](): void {
    this.deadline.end();
    for (const leave of [...(this.#followed ?? [])]) leave();
  }
}
