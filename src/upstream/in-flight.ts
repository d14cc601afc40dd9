import { member } from '../core/json.ts';
import { type Answer, isJsonObject, type JsonObject, META } from '../core/mcp.ts';
import type { UpstreamCall } from '../core/ports.ts';
import { IdTable } from '../core/slots.ts';
import { NO_RELAY } from './own-call.ts';
import type { ProgressGate } from './progress-gate.ts';

/** One request of ours that waits for its answer. */
export interface Pending {
  readonly id: number;
  readonly call: UpstreamCall;
  /** Whether it holds a turn (`turns.ts`). */
  readonly turn: boolean;
  readonly progress: ProgressGate;
  /** Server requests that belong to it; they end with it. */
  readonly asked: Set<AbortController>;
  /** Whether any of them waits. */
  readonly waits: boolean;
  /** The first outcome counts. */
  settle(outcome: { readonly answer: Answer } | { readonly error: unknown }): void;
}

const LISTEN = 'subscriptions/listen';
/** Requests that change what a connection says, and during which no upstream asks or reports anything of their own. */
const SILENT: ReadonlySet<string> = new Set([LISTEN, 'logging/setLevel', 'resources/subscribe', 'resources/unsubscribe', 'ping']);

/** Notifications that belong to no call, also when they come on the stream of one. */
const OF_CONNECTION: ReadonlySet<string> = new Set(['notifications/resources/updated', 'notifications/tasks/status']);

export function isListen({ call }: Pending): boolean {
  return call.method === LISTEN;
}

/** The requests of one connection, by our ids, in the order in which they were sent. */
export class InFlight {
  readonly #pending = new IdTable<Pending>();
  /** Calls that were answered with a task and go on as that. */
  readonly #lasting = new Map<number, Pending>();
  readonly #shared: boolean;

  /** @param shared callers who do not know each other use the connection */
  constructor(shared: boolean) {
    this.#shared = shared;
  }

  get size(): number {
    return this.#pending.size;
  }

  add(pending: Pending): void {
    this.#pending.set(pending.id, pending);
  }

  /** Returns whether it was there. */
  remove(pending: Pending): boolean {
    return this.#pending.get(pending.id) === pending && this.#pending.delete(pending.id);
  }

  /** The call was answered, and goes on until `lasting` aborts; so do the server requests that belong to it. */
  last(pending: Pending, lasting: AbortSignal): void {
    this.#lasting.set(pending.id, pending);
    const end = () => {
      this.#lasting.delete(pending.id);
      for (const asked of pending.asked) asked.abort(lasting.reason);
    };
    if (lasting.aborted) end();
    else lasting.addEventListener('abort', end, { once: true });
  }

  /** A call that goes on, by the id that it had. */
  lasting(id: unknown): Pending | undefined {
    return typeof id === 'number' ? this.#lasting.get(id) : undefined;
  }

  get(id: unknown): Pending | undefined {
    return typeof id === 'number' ? this.#pending.get(id) : undefined;
  }

  has(pending: Pending): boolean {
    return this.#pending.get(pending.id) === pending;
  }

  listen(id: unknown): Pending | undefined {
    const pending = this.get(id);
    return pending !== undefined && isListen(pending) ? pending : undefined;
  }

  all(): Pending[] {
    return this.#pending.values();
  }

  /** Calls of callers, oldest first: what a message without address may belong to. One that goes on as a task stands for what is asked about the task. */
  calls(): Pending[] {
    const going = [...this.#lasting.values()];
    const waiting = this.all().filter(({ call }) => call.relay !== NO_RELAY && call.relay.forTask !== true && !SILENT.has(call.method));
    return [...going, ...waiting.filter(({ call }) => !going.some((other) => other.call.relay === call.relay))];
  }

  /** The only call in flight, else the newest: a guess, so never between callers who do not know each other. */
  newest(): Pending | undefined {
    return this.#shared ? undefined : this.calls().at(-1);
  }

  /**
   * Whose notification it is (protocol.md section 10, "Attribution").
   * @param origin the request on whose own stream it came
   */
  ownerOf(method: string, body: JsonObject, origin: Pending | undefined): Pending | 'connection' | 'nobody' {
    const subscription = isJsonObject(body._meta) ? body._meta[META.subscriptionId] : undefined;
    const ofConnection = method.endsWith('/list_changed') || OF_CONNECTION.has(method);
    if (origin !== undefined) {
      if (isListen(origin)) return subscription === undefined || subscription === origin.id ? origin : 'nobody';
      return ofConnection ? 'connection' : origin;
    }
    if (subscription !== undefined) return this.listen(subscription) ?? 'nobody';
    if (method !== 'notifications/message') return 'connection';
    return this.newest() ?? 'nobody';
  }

  /** The one request that waits, listen streams aside. */
  only(): Pending | undefined {
    const [first, second] = this.all().filter((pending) => !isListen(pending));
    return second === undefined ? first : undefined;
  }
}

/** The answer in a response, or undefined when it holds neither a result object nor a whole error. */
export function answerOf(bytes: Buffer, message: JsonObject): Answer | undefined {
  // Some servers write both members, one of them null.
  const { result = null, error = null } = message;
  if (isJsonObject(error) && result === null) {
    const own = member(bytes, 'error');
    return typeof error.code === 'number' && Number.isInteger(error.code) && typeof error.message === 'string' && own !== undefined
      ? { kind: 'error', error: own, code: error.code }
      : undefined;
  }
  const own = member(bytes, 'result');
  return isJsonObject(result) && error === null && own !== undefined ? { kind: 'result', result: own } : undefined;
}
