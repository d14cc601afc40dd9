import type { Clock } from '../core/clock.ts';
import type { Answer } from '../core/mcp.ts';
import type { UpstreamCall } from '../core/ports.ts';
import type { Pending } from './in-flight.ts';
import { ProgressGate } from './progress-gate.ts';

const ONCE = { once: true } as const;

/** Who sent it. */
export interface RequestHost {
  readonly clock: Clock;
  /** Takes it out of what is in flight. Returns whether it was there. */
  ended(pending: Pending, answered: boolean): boolean;
  /** Its signal aborted: the upstream is to hear of it. */
  cancelled(pending: Pending): void;
}

/** One request in flight. An object, and no functions that remember each other: thousands may wait for long. */
export class PendingRequest implements Pending {
  readonly id: number;
  readonly call: UpstreamCall;
  /** Whether it holds a turn (`turns.ts`). */
  readonly turn: boolean;
  readonly answer: Promise<Answer>;
  readonly #host: RequestHost;
  #progress: ProgressGate | undefined;
  #asked: Set<AbortController> | undefined;
  #resolve: (answer: Answer) => void = nothing;
  #reject: (error: unknown) => void = nothing;

  constructor(id: number, call: UpstreamCall, turn: boolean, host: RequestHost) {
    this.id = id;
    this.call = call;
    this.turn = turn;
    this.#host = host;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    call.signal.addEventListener('abort', this, ONCE);
  }

  /** Made for the first progress; most calls have none. */
  get progress(): ProgressGate {
    this.#progress ??= new ProgressGate(this.#host.clock);
    return this.#progress;
  }

  /** Made for the first question. */
  get asked(): Set<AbortController> {
    this.#asked ??= new Set();
    return this.#asked;
  }

  get waits(): boolean {
    return this.#asked !== undefined && this.#asked.size > 0;
  }

  /** The call's signal aborted. */
  handleEvent(): void {
    this.settle({ error: this.call.signal.reason });
    this.#host.cancelled(this);
  }

  settle(outcome: { readonly answer: Answer } | { readonly error: unknown }): void {
    if (!this.#host.ended(this, 'answer' in outcome)) return;
    this.call.signal.removeEventListener('abort', this);
    if (this.#asked !== undefined) for (const asked of this.#asked) asked.abort(new Error('the call that asked is over'));
    if ('answer' in outcome) this.#resolve(outcome.answer);
    else this.#reject(outcome.error);
  }
}

function nothing(): void {}
