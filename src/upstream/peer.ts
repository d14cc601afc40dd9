import type { Clock } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { elements, member, parseJson, toJson } from '../core/json.ts';
import { type Answer, type Era, isJsonObject, isRequestId, type JsonObject, META, type RequestId, RPC } from '../core/mcp.ts';
import type { Relay, Transport, UpstreamCall } from '../core/ports.ts';
import { toErrorAnswer } from '../core/to-wire.ts';
import { legacyParams, modernParams, notificationMessage, requestMessage, responseMessage } from './envelope.ts';
import { ProgressGate } from './progress-gate.ts';

/** Sees nothing and refuses everything: for our own requests (lists, probes). */
export const NO_RELAY: Relay = {
  notification: () => {},
  request: async () => ({ kind: 'error', error: toJson({ code: RPC.invalidRequest, message: 'no call is in flight' }), code: RPC.invalidRequest }),
};

export interface PeerOptions {
  readonly name: string;
  readonly transport: Transport;
  readonly clock: Clock;
  /** How we introduce ourselves to modern upstreams. */
  readonly clientInfo: JsonObject;
  /** A notification that belongs to no call. */
  readonly onNotification: (method: string, params: Buffer) => void;
  /** A server request that belongs to no call. */
  readonly onRequest: (method: string, params: Buffer, signal: AbortSignal) => Promise<Answer>;
  /** Something on the wire that was dropped: garbage, answers nobody waits for. For log and metrics. */
  readonly onDropped: (what: string) => void;
}

interface Pending {
  readonly id: number;
  readonly call: UpstreamCall;
  readonly progress: ProgressGate;
  /** Minted when it started: the newest call of a connection has the highest. */
  settle(outcome: { readonly answer: Answer } | { readonly error: unknown }): void;
  readonly asked: Set<AbortController>;
}

const EMPTY = Buffer.from('{}');

/**
 * JSON-RPC with one upstream over one transport: our ids, our progress tokens, one table of what is in flight. Nothing
 * here is shared between connections, so an answer can only reach the call it belongs to (security class 8).
 */
export class Peer {
  /** Decides the envelope of requests and how a cancel is told; the handshake sets it. */
  era: Era = 'legacy';
  readonly #options: PeerOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #foreign = new Map<RequestId, AbortController>();
  #nextId = 1;
  #dead: Error | undefined;

  constructor(options: PeerOptions) {
    this.#options = options;
    options.transport.onMessage = (message) => void this.#receive(message);
  }

  /** Calls that wait for their answer. */
  get inFlight(): number {
    return this.#pending.size;
  }

  /**
   * Sends a request and waits for its answer. Throws the transport's error, `upstream/protocol` for an answer that is
   * none, and the signal's reason after it has told the upstream of the cancel.
   */
  async request(call: UpstreamCall): Promise<Answer> {
    if (this.#dead !== undefined) throw this.#dead;
    call.signal.throwIfAborted();
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const pending: Pending = {
      id,
      call,
      progress: new ProgressGate(this.#options.clock),
      asked: new Set(),
      settle: (outcome) => {
        if (!this.#pending.delete(id)) return;
        call.signal.removeEventListener('abort', onAbort);
        for (const asked of pending.asked) asked.abort(new Error('the call that asked is over'));
        if ('answer' in outcome) resolve(outcome.answer);
        else reject(outcome.error);
      },
    };
    const onAbort = () => {
      pending.settle({ error: call.signal.reason });
      this.#tellCancelled(call, id);
    };
    this.#pending.set(id, pending);
    call.signal.addEventListener('abort', onAbort, { once: true });
    void this.#send(pending);
    return promise;
  }

  /** Sends a notification; failures of the transport are thrown. */
  async notify(method: string, params: Buffer, signal: AbortSignal): Promise<void> {
    if (this.#dead !== undefined) throw this.#dead;
    await this.#options.transport.send(notificationMessage(method, params), { signal, method, expectsAnswer: false });
  }

  /** The transport ended: every call in flight fails with `error`. */
  fail(error: Error): void {
    this.#dead ??= error;
    for (const pending of [...this.#pending.values()]) pending.settle({ error });
    for (const controller of this.#foreign.values()) controller.abort(error);
  }

  async #send(pending: Pending): Promise<void> {
    const { call, id } = pending;
    const { transport, name } = this.#options;
    try {
      const params = this.era === 'modern' ? modernParams(call, this.#options.clientInfo, id) : legacyParams(call, id);
      const message = requestMessage(id, call.method, params);
      call.onSent?.();
      await transport.send(message, {
        signal: call.signal,
        method: call.method,
        expectsAnswer: true,
        deliver: (bytes) => this.#receive(bytes, pending),
        ...(call.headers === undefined ? {} : { headers: call.headers }),
      });
      if (transport.kind === 'exchange') {
        pending.settle({
          error: new TurnpikeError('upstream/protocol', `upstream '${name}' ended its answer without a response`, { upstream: name }),
        });
      }
    } catch (error) {
      pending.settle({ error: this.#dead ?? error });
    }
  }

  /** Streamable HTTP of the modern era cancels by closing the stream, which `signal` has done; everything else is told. */
  #tellCancelled(call: UpstreamCall, id: number): void {
    const { transport } = this.#options;
    if (call.method === 'initialize' || (transport.kind === 'exchange' && this.era === 'modern')) return;
    const params = toJson({ requestId: id, reason: 'cancelled' });
    const message = notificationMessage('notifications/cancelled', params);
    const patience = new AbortController();
    const timer = this.#options.clock.after(5_000, () => patience.abort(new Error('the cancel could not be delivered')));
    transport
      .send(message, { signal: patience.signal, method: 'notifications/cancelled', expectsAnswer: false })
      .catch((error) => this.#options.onDropped(`cancel: ${asTurnpikeError(error).message}`))
      .finally(() => timer.cancel());
  }

  /** Returns whether the bytes were the answer to `origin`. */
  #receive(bytes: Buffer, origin?: Pending): boolean {
    const parsed = parseJson(bytes);
    if (!parsed.ok) return this.#invalid(origin, `sent something that is not JSON (${parsed.error})`);
    // 2025-03-26 servers may answer with batches.
    if (Array.isArray(parsed.value))
      return elements(bytes)
        .map((item) => this.#receive(item, origin))
        .includes(true);
    const message = parsed.value;
    if (!isJsonObject(message)) return this.#invalid(origin, 'sent JSON that is no object');
    if (typeof message.method === 'string') {
      const params = isJsonObject(message.params) ? (member(bytes, 'params') ?? EMPTY) : EMPTY;
      const body = isJsonObject(message.params) ? message.params : {};
      if (message.id === undefined) this.#notification(message.method, params, body, origin);
      else if (isRequestId(message.id)) void this.#foreignRequest(message.id, message.method, params, origin);
      else this.#options.onDropped('request with an invalid id');
      return false;
    }
    return this.#response(bytes, message, origin);
  }

  #response(bytes: Buffer, message: JsonObject, origin: Pending | undefined): boolean {
    const { id } = message;
    const pending =
      typeof id === 'number'
        ? this.#pending.get(id)
        : (id === undefined || id === null) && message.error !== undefined
          ? (origin ?? this.#only())
          : undefined;
    if (pending === undefined || (origin !== undefined && pending !== origin)) {
      this.#options.onDropped(`response to unknown request ${JSON.stringify(id)?.slice(0, 64)}`);
      return false;
    }
    const answer = asAnswer(bytes, message);
    if (answer === undefined) return this.#invalid(pending, 'sent a response with neither a result object nor an error');
    pending.settle({ answer });
    return true;
  }

  #invalid(origin: Pending | undefined, what: string): boolean {
    const { name, onDropped } = this.#options;
    if (origin === undefined) {
      onDropped(what);
      return false;
    }
    origin.settle({ error: new TurnpikeError('upstream/protocol', `upstream '${name}' ${what}`, { upstream: name }) });
    return true;
  }

  #notification(method: string, params: Buffer, body: JsonObject, origin: Pending | undefined): void {
    if (method === 'notifications/cancelled') {
      if (isRequestId(body.requestId) && this.#foreign.has(body.requestId))
        this.#foreign.get(body.requestId)?.abort(new Error('cancelled by the upstream'));
      else if (typeof body.requestId === 'number') {
        // On stdio a modern server ends a listen stream this way.
        const listen = this.#pending.get(body.requestId);
        if (listen?.call.method === 'subscriptions/listen') listen.settle({ answer: { kind: 'result', result: toJson({ resultType: 'complete' }) } });
      }
      return;
    }
    if (method === 'notifications/progress') {
      const pending = typeof body.progressToken === 'number' ? this.#pending.get(body.progressToken) : undefined;
      if (pending === undefined || !pending.call.progress || (origin !== undefined && origin !== pending))
        this.#options.onDropped('progress of no call');
      else if (pending.progress.admits(body.progress)) pending.call.relay.notification(method, params);
      return;
    }
    const target = this.#belongsTo(method, body, origin);
    if (target === undefined) this.#options.onNotification(method, params);
    else target.call.relay.notification(method, params);
  }

  /** protocol.md section 10, "Attribution". */
  #belongsTo(method: string, body: JsonObject, origin: Pending | undefined): Pending | undefined {
    const subscription = isJsonObject(body._meta) ? body._meta[META.subscriptionId] : undefined;
    if (typeof subscription === 'number') {
      const listen = this.#pending.get(subscription);
      return listen?.call.method === 'subscriptions/listen' ? listen : undefined;
    }
    if (method !== 'notifications/message')
      return method.endsWith('list_changed') || method === 'notifications/resources/updated' ? undefined : origin;
    return origin ?? this.#newest();
  }

  /** An error without id can only be about the call of its own stream, or the only one in flight. */
  #only(): Pending | undefined {
    return this.#pending.size === 1 ? this.#pending.values().next().value : undefined;
  }

  /** The only call in flight that somebody waits for, else the newest one. */
  #newest(): Pending | undefined {
    return [...this.#pending.values()].findLast(({ call }) => call.relay !== NO_RELAY);
  }

  async #foreignRequest(id: RequestId, method: string, params: Buffer, origin: Pending | undefined): Promise<void> {
    const controller = new AbortController();
    this.#foreign.set(id, controller);
    let answer: Answer;
    try {
      answer = await this.#answerTo(method, params, origin, controller);
    } catch (error) {
      answer = toErrorAnswer(error, 'legacy');
    } finally {
      this.#foreign.delete(id);
    }
    if (controller.signal.aborted || this.#dead !== undefined) return;
    const message = answer.kind === 'result' ? responseMessage(id, 'result', answer.result) : responseMessage(id, 'error', answer.error);
    try {
      await this.#options.transport.send(message, { signal: controller.signal, expectsAnswer: false });
    } catch (error) {
      this.#options.onDropped(`answer to ${method}: ${asTurnpikeError(error).message}`);
    }
  }

  async #answerTo(method: string, params: Buffer, origin: Pending | undefined, controller: AbortController): Promise<Answer> {
    if (method === 'ping') return { kind: 'result', result: EMPTY };
    const owner = origin ?? this.#newest();
    if (owner === undefined || owner.call.relay === NO_RELAY) return this.#options.onRequest(method, params, controller.signal);
    owner.asked.add(controller);
    try {
      return await owner.call.relay.request(method, params, controller.signal);
    } finally {
      owner.asked.delete(controller);
    }
  }
}

function asAnswer(bytes: Buffer, message: JsonObject): Answer | undefined {
  if (isJsonObject(message.error) && message.result === undefined) {
    const { code } = message.error;
    const error = member(bytes, 'error');
    return typeof code === 'number' && Number.isInteger(code) && typeof message.error.message === 'string' && error !== undefined
      ? { kind: 'error', error, code }
      : undefined;
  }
  const result = member(bytes, 'result');
  return isJsonObject(message.result) && message.error === undefined && result !== undefined ? { kind: 'result', result } : undefined;
}
