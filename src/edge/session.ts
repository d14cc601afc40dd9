import type { Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { type Answer, type JsonObject, type LogLevel, type RequestId, RPC } from '../core/mcp.ts';
import type { ConnectionOwner } from '../core/ports.ts';
import { Slots } from '../core/slots.ts';
import type { Subscriber } from '../router/subscriber.ts';
import { MessageError } from './classify.ts';
import { encodeNotification, encodeRequest } from './encode.ts';
import { type EventStream, Replay } from './replay.ts';

/** How the messages of a session reach its client: event streams over HTTP, or a pipe. */
export type Outlet = (message: Buffer) => void;

/** What can be ended from outside. */
interface Abortable {
  abort(reason: unknown): void;
}

export interface SessionOptions {
  readonly id: string;
  readonly caller: Caller;
  readonly version: string;
  readonly capabilities: JsonObject;
  readonly clock: Clock;
  /** How long a client may take to answer a request of a server, in milliseconds; people think (`bridge.roundTimeout`). */
  readonly patience: number;
  /** Opened by GET /sse: what it agrees on comes with `initialize`, on a stream that is there already. */
  readonly oldTransport?: boolean;
}

/** What `initialize` agrees on. */
export interface Agreement {
  readonly version: string;
  readonly capabilities: JsonObject;
  readonly clientInfo?: NonNullable<Caller['clientInfo']>;
}

/**
 * One legacy session: what its client declared, what it waits for, and the requests that it was asked. It has no timer and
 * no socket of its own; an idle one is a few small maps.
 */
export class Session implements ConnectionOwner {
  readonly id: string;
  readonly oldTransport: boolean;
  readonly replay: Replay;
  logLevel: LogLevel | undefined;
  /** The stream that GET opened, while the session lives. */
  standing: EventStream | undefined;
  /** Its subscriptions, made with the first one. */
  subscriber: Subscriber | undefined;
  /** Where everything goes on stdio and on the transport of 2024-11-05. */
  outlet: Outlet | undefined;
  /** Monotonic time of the last use. */
  lastUse: number;
  #caller: Caller;
  #version: string;
  #capabilities: JsonObject;
  #agreed: boolean;
  readonly #clock: Clock;
  readonly #patience: number;
  readonly #life = new AbortController();
  readonly #running = new Slots<{ readonly id: RequestId | undefined; readonly life: Abortable }>();
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #nextAsk = 1;

  constructor(options: SessionOptions) {
    this.id = options.id;
    this.oldTransport = options.oldTransport === true;
    this.#caller = options.caller;
    this.#version = options.version;
    this.#capabilities = options.capabilities;
    this.#agreed = !this.oldTransport;
    this.#clock = options.clock;
    this.#patience = options.patience;
    this.replay = new Replay(options.clock);
    this.lastUse = options.clock.monotonic();
  }

  get caller(): Caller {
    return this.#caller;
  }

  /** The canonical API URL of the GitLab that it was opened for, if it was (gitlab.md 2.4). */
  get instance(): string | undefined {
    return this.#caller.credential?.instance;
  }

  /** Its owner came with a credential, perhaps a newer one: what goes on beside requests acts with that. */
  bring(credential: NonNullable<Caller['credential']>): void {
    this.#caller = { ...this.#caller, credential };
  }

  get version(): string {
    return this.#version;
  }

  /** What its client declared. */
  get capabilities(): JsonObject {
    return this.#capabilities;
  }

  /** Whether `initialize` was answered. */
  get agreed(): boolean {
    return this.#agreed;
  }

  agree({ version, capabilities, clientInfo }: Agreement): void {
    this.#agreed = true;
    this.#version = version;
    this.#capabilities = capabilities;
    if (clientInfo !== undefined) this.#caller = { ...this.#caller, clientInfo };
  }

  /** Aborts when the session ends. */
  get ended(): AbortSignal {
    return this.#life.signal;
  }

  /** An open stream or a running request counts as use. */
  get inUse(): boolean {
    return this.#running.size > 0 || this.outlet !== undefined || this.standing?.writer?.open === true;
  }

  /**
   * Registers a request of the client, until `finish` with what is returned: `life` is aborted when it is cancelled or the session
   * ends. Throws `request/invalid` for an id in use.
   * @param shared the id means something to its sender alone: others may use it, too, and nobody can cancel by it
   */
  begin(id: RequestId, life: Abortable, shared = false): number {
    if (shared) return this.#running.add({ id: undefined, life });
    for (const running of this.#running)
      if (running.id === id) throw new MessageError(id, 'request/invalid', `Invalid Request: the id ${JSON.stringify(id)} is in use`);
    return this.#running.add({ id, life });
  }

  finish(place: number): void {
    this.#running.remove(place);
    this.used();
  }

  used(): void {
    this.lastUse = this.#clock.monotonic();
  }

  /** `notifications/cancelled` of the client. */
  cancel(id: RequestId): void {
    for (const running of this.#running) if (running.id === id) running.life.abort(new TurnpikeError('request/cancelled'));
  }

  /** Asks the client over `outlet` and waits for its answer; aborting `signal` takes the question back. */
  ask(outlet: Outlet, method: string, params: Buffer, signal: AbortSignal): Promise<Answer> {
    const id = this.#nextAsk++;
    return new Promise((resolve) => {
      const settle = (answer: Answer) => {
        if (!this.#asked.delete(id)) return;
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        this.#life.signal.removeEventListener('abort', onAbort);
        resolve(answer);
      };
      const onAbort = () => {
        if (!this.#asked.has(id)) return;
        if (!this.#life.signal.aborted) outlet(encodeNotification('notifications/cancelled', toJson({ requestId: id, reason: 'no longer needed' })));
        settle(errorAnswer(RPC.internalError, 'the client did not answer'));
      };
      const timer = this.#clock.after(this.#patience, onAbort);
      this.#asked.set(id, settle);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#life.signal.addEventListener('abort', onAbort, { once: true });
      outlet(encodeRequest(id, method, params));
    });
  }

  /** A response of the client to something it was asked; others are dropped. */
  answered(id: RequestId, answer: Answer): void {
    if (typeof id === 'number') this.#asked.get(id)?.(answer);
  }

  /** A server request outside any call (protocol.md section 10, "LL"). */
  async request(method: string, params: Buffer, signal: AbortSignal): Promise<Answer> {
    const outlet = this.#outsideOutlet();
    const capability =
      method === 'roots/list'
        ? 'roots'
        : method === 'sampling/createMessage'
          ? 'sampling'
          : method === 'elicitation/create'
            ? 'elicitation'
            : undefined;
    if (outlet !== undefined && capability !== undefined && this.capabilities[capability] !== undefined)
      return this.ask(outlet, method, params, signal);
    if (method === 'roots/list') return { kind: 'result', result: toJson({ roots: [] }) };
    return errorAnswer(RPC.invalidRequest, `${method}: the client cannot be asked now`);
  }

  /** A notification outside any call. What nobody listens to is dropped, but kept for a stream that was lost. */
  notification(method: string, params: Buffer): void {
    if (method === 'notifications/message' || method === 'notifications/elicitation/complete') this.tell(method, params);
  }

  tell(method: string, params: Buffer): void {
    const message = encodeNotification(method, params);
    if (this.outlet !== undefined) this.outlet(message);
    else if (this.standing !== undefined) this.replay.send(this.standing, message);
  }

  end(): void {
    if (this.#life.signal.aborted) return;
    const { credential: _, ...caller } = this.#caller;
    this.#caller = caller;
    this.#life.abort(new TurnpikeError('request/cancelled', 'the session ended'));
    for (const { life } of this.#running) life.abort(this.#life.signal.reason);
    this.replay.endAll();
  }

  #outsideOutlet(): Outlet | undefined {
    if (this.outlet !== undefined) return this.outlet;
    const { standing } = this;
    return standing?.writer?.open === true ? (message) => this.replay.send(standing, message) : undefined;
  }
}

function errorAnswer(code: number, message: string): Answer {
  return { kind: 'error', error: toJson({ code, message }), code };
}
