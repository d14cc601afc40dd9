import type { Clock } from '../core/clock.ts';
import { isJsonObject, type JsonObject, META } from '../core/mcp.ts';
import type { Relay } from '../core/ports.ts';
import { ProgressGate } from './progress-gate.ts';

/** Whose a task is, and the server requests about it that wait for an answer. */
export interface Claim {
  readonly relay: Relay;
  readonly asked: Set<AbortController>;
  readonly progress: ProgressGate;
}

/** How long a question about a task waits for whoever claims the task: it may overtake the answer that names the task. */
const GRACE_MS = 1_000;

/** Tasks of one connection, by the upstream's ids: what names one of them is for whoever claimed it (2025-11-25, "Tasks", "Related Task Metadata"). */
export class TaskClaims {
  readonly #clock: Clock;
  readonly #claims = new Map<string, Claim>();
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The returned function ends the claim, and with it the requests that wait. */
  claim(taskId: string, relay: Relay): () => void {
    const claim: Claim = { relay, asked: new Set(), progress: new ProgressGate(this.#clock) };
    this.#claims.set(taskId, claim);
    for (const resume of this.#waiting.get(taskId) ?? []) resume();
    return () => {
      if (this.#claims.get(taskId) === claim) this.#claims.delete(taskId);
      for (const asked of claim.asked) asked.abort(new Error('the task that asked is over'));
    };
  }

  get(taskId: string | undefined): Claim | undefined {
    return taskId === undefined ? undefined : this.#claims.get(taskId);
  }

  /** As `get`, and waits a moment for a claim that is not there yet. */
  async find(taskId: string, signal: AbortSignal): Promise<Claim | undefined> {
    if (!this.#claims.has(taskId) && !signal.aborted) await this.#claimed(taskId, signal);
    return this.#claims.get(taskId);
  }

  #claimed(taskId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(taskId) ?? new Set();
      this.#waiting.set(taskId, waiting);
      const resume = () => {
        timer.cancel();
        signal.removeEventListener('abort', resume);
        waiting.delete(resume);
        if (waiting.size === 0) this.#waiting.delete(taskId);
        resolve();
      };
      const timer = this.#clock.after(GRACE_MS, resume);
      waiting.add(resume);
      signal.addEventListener('abort', resume, { once: true });
    });
  }
}

/** The task that a message says it is about. */
export function relatedTask({ _meta: meta }: JsonObject): string | undefined {
  const related = isJsonObject(meta) ? meta[META.relatedTask] : undefined;
  return isJsonObject(related) && typeof related.taskId === 'string' ? related.taskId : undefined;
}

/** Whether a message says that it is about a task, in whatever way. */
export function namesTask({ _meta: meta }: JsonObject): boolean {
  return isJsonObject(meta) && meta[META.relatedTask] !== undefined;
}
