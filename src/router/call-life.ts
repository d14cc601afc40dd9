import type { Deadlines } from '../core/deadlines.ts';
import { TurnpikeError } from '../core/errors.ts';
import { OwnAbort } from '../core/own-abort.ts';
import { Deadline } from './deadline.ts';

const ONCE = { once: true } as const;

/**
 * How long one call may run, and who may end it: its time, and the client for as long as one waits for it. A call that is
 * parked between two requests of its client follows nobody but its own time.
 */
export class CallLife implements Disposable {
  readonly deadline: Deadline;
  readonly #controller = new OwnAbort();
  #followed: AbortSignal | undefined;

  /** @param limits milliseconds. @param name of the tool, prompt or resource, for the error of a limit that was passed */
  constructor(deadlines: Deadlines, limits: { readonly call: number; readonly callMax: number }, upstream: string, name: string | (() => string)) {
    this.deadline = new Deadline(deadlines, limits, (ms) =>
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

  /** Ends with `source`, too, and with nobody else any more. */
  follow(source: AbortSignal): void {
    this.#leave();
    if (source.aborted) {
      this.abort(source.reason);
      return;
    }
    this.#followed = source;
    source.addEventListener('abort', this, ONCE);
  }

  /** The followed one aborted. */
  handleEvent(): void {
    this.abort(this.#followed?.reason);
  }

  /** Takes back timer and listener. The signal stays as it is. */
  [Symbol.dispose](): void {
    this.deadline.end();
    this.#leave();
  }

  #leave(): void {
    this.#followed?.removeEventListener('abort', this);
    this.#followed = undefined;
  }
}
