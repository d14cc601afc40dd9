import type { Clock } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { editObject, elements, member, parseJson, toJson } from '../core/json.ts';
import { type Answer, type Era, isJsonObject, isRequestId, type JsonObject, META, type RequestId } from '../core/mcp.ts';
import { numberIn, spanOf } from '../core/param-value.ts';
import type { Relay, Transport, UpstreamCall } from '../core/ports.ts';
import { type ScannedIncoming, scanIncoming } from '../core/scan.ts';
import { toErrorAnswer } from '../core/to-wire.ts';
import { mirroredHeaders, notificationMessage, RequestWriter, responseMessage } from './envelope.ts';
import { closed, lost } from './http/upstream-errors.ts';
import { answerOf, InFlight, type Pending } from './in-flight.ts';
import { NO_RELAY } from './own-call.ts';
import { PendingRequest, type RequestHost } from './pending-request.ts';
import { ServerRequests } from './server-requests.ts';
import { type Claim, namesTask, relatedTask, TaskClaims } from './task-claims.ts';
import { Telling } from './telling.ts';
import { Turns } from './turns.ts';

export interface PeerOptions {
  readonly name: string;
  readonly transport: Transport;
  readonly clock: Clock;
  /** How we introduce ourselves to modern upstreams. */
  readonly clientInfo: JsonObject;
  /** Callers who do not know each other use it: what names no call is then nobody's. */
  readonly shared?: boolean;
  /** A notification that belongs to no call. */
  readonly onNotification: (method: string, params: Buffer) => void;
  /** A server request that belongs to no call. */
  readonly onRequest: (method: string, params: Buffer, signal: AbortSignal) => Promise<Answer>;
  /** Something on the wire that was dropped: garbage, answers nobody waits for. For log and metrics. */
  readonly onDropped: (what: string) => void;
}

/** A request of the upstream, and whose it was taken to be. */
interface Asked {
  readonly id: RequestId;
  readonly controller: AbortController;
  /** The questions of that call. */
  readonly others?: Set<AbortController> | undefined;
}

const EMPTY = Buffer.from('{}');
const INTERACTIVE: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);
/** How long the upstream may take to hear of a cancel. */
const CANCEL_MS = 5_000;
/** How long it may take to read an answer of ours: a child may be busy. */
const ANSWER_MS = 60_000;

/**
 * JSON-RPC with one upstream over one transport: our ids, our progress tokens, one table of what is in flight. Nothing
 * here is shared between connections, so an answer can only reach the call it belongs to (security class 8).
 */
export class Peer {
  /** Decides the envelope of requests and how a cancel is told; the handshake sets it. */
  era: Era = 'legacy';
  readonly #options: PeerOptions;
  readonly #inFlight: InFlight;
  readonly #foreign = new ServerRequests();
  readonly #turns = new Turns();
  readonly #telling: Telling;
  readonly #host: RequestHost;
  readonly #writer: RequestWriter;
  readonly #tasks: TaskClaims;
  #nextId = 1;
  #dead = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#inFlight = new InFlight(options.shared === true);
    this.#tasks = new TaskClaims(options.clock);
    this.#writer = new RequestWriter(options.clientInfo);
    this.#telling = new Telling(options);
    this.#host = {
      clock: options.clock,
      ended: (pending, answered) => this.#ended(pending, answered),
      cancelled: ({ call, id }) => this.#tellCancelled(call, id),
    };
    options.transport.onMessage = (message) => void this.#receive(message);
  }

  /** Calls that wait for their answer. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /**
   * One call at a time is let through, and the one that runs waits for input: whoever comes needs another connection
   * (protocol.md section 10, "Attribution").
   */
  get busy(): boolean {
    return this.#turns.serial && this.#inFlight.calls().some(({ waits }) => waits);
  }

  /** Requests of the upstream that wait for ours. */
  get asked(): number {
    return this.#foreign.size;
  }

  /**
   * Sends a request and waits for its answer. Throws the transport's error, `upstream/protocol` for an answer that is
   * none, `upstream/down` (retryable) when the connection has ended before, `upstream/busy` when another call waits for
   * input and nothing was sent, and the signal's reason after it has told the upstream of the cancel.
   */
  request(call: UpstreamCall): Promise<Answer> {
    if (!INTERACTIVE.has(call.method)) return this.#request(call, false);
    if (this.busy) return Promise.reject(busy(this.#options.name));
    if (this.#turns.tryEnter()) return this.#request(call, true);
    return this.#turns.enter(call.signal).then(() => this.#request(call, true));
  }

  /** As `Connection.claimTask`. */
  claimTask(taskId: string, relay: Relay): () => void {
    return this.#tasks.claim(taskId, relay);
  }

  /** Sends a notification; failures of the transport are thrown. */
  async notify(method: string, params: Buffer, signal: AbortSignal): Promise<void> {
    if (this.#dead) throw closed(this.#options.name);
    await this.#options.transport.send(notificationMessage(method, params), { signal, method, expectsAnswer: false });
  }

  /** The transport ended: what is in flight may have run, what waits was not sent. */
  fail(error: Error): void {
    if (this.#dead) return;
    this.#dead = true;
    const { name } = this.#options;
    const failure = asTurnpikeError(error);
    const outcome = failure.code === 'upstream/protocol' ? failure : lost(name, { cause: error, reason: failure.details.reason ?? failure.message });
    for (const pending of this.#inFlight.all()) pending.settle({ error: outcome });
    this.#foreign.fail(error);
    this.#turns.dismiss(closed(name));
  }

  /** @param turn whether the call holds a turn, which ends with it */
  #request(call: UpstreamCall, turn: boolean): Promise<Answer> {
    if (this.#dead || call.signal.aborted) {
      if (turn) this.#turns.leave();
      return Promise.reject(this.#dead ? closed(this.#options.name) : call.signal.reason);
    }
    const pending = new PendingRequest(this.#nextId++, call, turn, this.#host);
    this.#inFlight.add(pending);
    this.#send(pending);
    return pending.answer;
  }

  #ended(pending: Pending, answered: boolean): boolean {
    if (!this.#inFlight.remove(pending)) return false;
    if (pending.turn) this.#turns.leave();
    const { lasting } = pending.call;
    if (answered && lasting !== undefined) this.#inFlight.last(pending, lasting);
    return true;
  }

  // Without a frame that waits: thousands of calls may.
  #send(pending: Pending): void {
    const { call, id } = pending;
    const { transport } = this.#options;
    const fail = (error: unknown) => pending.settle({ error });
    try {
      // The HTTP client keeps the bytes until the answer is complete, and a person may be asked meanwhile.
      const mayWait = this.era === 'legacy' && transport.kind === 'exchange' && INTERACTIVE.has(call.method);
      const message = this.#writer.write(this.era, id, call, mayWait);
      const headers = this.era === 'modern' && transport.kind === 'exchange' ? mirroredHeaders(call) : undefined;
      call.onSent?.();
      const sent = transport.send(message, {
        signal: call.signal,
        method: call.method,
        expectsAnswer: true,
        deliver: (bytes) => this.#receive(bytes, pending),
        headers,
        flow: call.relay.flow,
        caller: call.caller,
      });
      sent.then(() => {
        if (transport.kind === 'exchange' && this.#inFlight.has(pending)) fail(this.#protocolError('ended its answer without a response'));
      }, fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Streamable HTTP of the modern era cancels by closing the stream, which `signal` has done; everything else is told. */
  #tellCancelled(call: UpstreamCall, id: number): void {
    const { transport } = this.#options;
    if (this.#dead || call.method === 'initialize' || (transport.kind === 'exchange' && this.era === 'modern')) return;
    const method = 'notifications/cancelled';
    this.#telling.tell(notificationMessage(method, toJson({ requestId: id, reason: 'cancelled' })), CANCEL_MS, { method });
  }

  /** As `Telling.over`. */
  told(): Promise<void> {
    return this.#telling.over();
  }

  /** Returns whether the bytes were the answer to `origin`. Never throws: it runs inside the transport's reader. */
  #receive(bytes: Buffer, origin?: Pending): boolean {
    const scanned = scanIncoming(bytes);
    if (scanned?.kind === 'notification' && this.#plain(scanned, origin)) return false;
    const pending = scanned?.kind === 'result' ? this.#inFlight.get(scanned.id) : undefined;
    // What we asked ourselves we read whole; a result for a client is cut and passed on.
    if (scanned?.kind !== 'result' || pending === undefined || pending.call.relay === NO_RELAY || !INTERACTIVE.has(pending.call.method))
      return this.#parse(bytes, origin);
    if (this.#isAstray(pending, origin)) return this.#unknown(scanned.id);
    pending.settle({ answer: { kind: 'result', result: scanned.result, spans: scanned.spans } });
    return true;
  }

  /** With an exchange, an answer comes on the stream of its own request or not at all. */
  #isAstray(pending: Pending, origin: Pending | undefined): boolean {
    return origin === undefined ? this.#options.transport.kind === 'exchange' : pending !== origin;
  }

  #unknown(id: unknown): false {
    this.#options.onDropped(`response to unknown request ${shown(JSON.stringify(id) ?? 'without id')}`);
    return false;
  }

  #parse(bytes: Buffer, origin: Pending | undefined): boolean {
    const parsed = parseJson(bytes);
    if (!parsed.ok) return this.#invalid(origin, 'sent something that is not JSON', parsed.error);
    // 2025-03-26 servers may answer with batches.
    if (Array.isArray(parsed.value)) {
      const found = elements(bytes).map((item) => this.#receive(item, origin));
      return found.includes(true);
    }
    const message = parsed.value;
    if (!isJsonObject(message)) return this.#invalid(origin, 'sent JSON that is no object');
    if (typeof message.method !== 'string') return this.#response(bytes, message, origin);
    const body = isJsonObject(message.params) ? message.params : {};
    const params = body === message.params ? (member(bytes, 'params') ?? EMPTY) : EMPTY;
    // What arrives on the stream of a call that is over belongs to nobody.
    if (origin !== undefined && !this.#inFlight.has(origin)) this.#options.onDropped(`${shown(message.method)} after the end of its call`);
    else if (message.id === undefined) this.#notification(message.method, params, body, origin);
    else if (isRequestId(message.id)) this.#serverRequest(message.id, message.method, params, body, origin);
    else this.#options.onDropped('request with an invalid id');
    return false;
  }

  #response(bytes: Buffer, message: JsonObject, origin: Pending | undefined): boolean {
    const { id, error } = message;
    const nameless = (id === undefined || id === null) && isJsonObject(error);
    const pending = nameless ? (origin ?? this.#inFlight.only()) : this.#inFlight.get(id);
    if (pending === undefined || this.#isAstray(pending, origin) || !this.#inFlight.has(pending)) return this.#unknown(id);
    if (nameless && origin === undefined && pending.call.relay !== NO_RELAY) {
      // It may answer something that is over, of somebody else: only that something failed is said.
      return this.#invalid(pending, 'answered with an error that names no request');
    }
    const answer = answerOf(bytes, message);
    if (answer === undefined) return this.#invalid(pending, 'sent a response with neither a result object nor an error');
    pending.settle({ answer });
    return true;
  }

  #invalid(origin: Pending | undefined, what: string, reason?: string): boolean {
    if (origin === undefined) this.#options.onDropped(what);
    else origin.settle({ error: this.#protocolError(what, reason) });
    return origin !== undefined;
  }

  #protocolError(what: string, reason?: string): TurnpikeError {
    const { name } = this.#options;
    return new TurnpikeError('upstream/protocol', `upstream '${name}' ${what}`, { upstream: name, ...(reason === undefined ? {} : { reason }) });
  }

  #notification(method: string, params: Buffer, body: JsonObject, origin: Pending | undefined): void {
    if (method === 'notifications/cancelled') this.#cancelled(body.requestId);
    else if (method === 'notifications/progress') this.#progress(params, body, origin);
    else this.#pass(method, params, body, origin);
  }

  #pass(method: string, params: Buffer, body: JsonObject, origin: Pending | undefined): void {
    const target = this.#inFlight.ownerOf(method, body, origin);
    const claim = target === 'connection' ? undefined : this.#tasks.get(relatedTask(body));
    if (claim !== undefined) this.#safely(method, () => claim.relay.notification(method, params));
    else if (target === 'nobody') this.#options.onDropped(`${shown(method)} of no call`);
    else
      this.#safely(method, () =>
        target === 'connection' ? this.#options.onNotification(method, params) : target.call.relay.notification(method, params),
      );
  }

  #cancelled(requestId: unknown): void {
    if (isRequestId(requestId) && this.#foreign.cancel(requestId)) return;
    // On stdio a modern server ends a listen stream this way.
    this.#inFlight.listen(requestId)?.settle({ answer: { kind: 'result', result: toJson({ resultType: 'complete' }) } });
  }

  #progress(params: Buffer, body: JsonObject, origin: Pending | undefined): void {
    const target = this.#progressing(body, origin);
    if (target === undefined) this.#options.onDropped('progress of no call');
    else if (target.progress.admits(body.progress)) {
      this.#safely('progress', () => target.relay.notification('notifications/progress', editObject(params, { [META.progressToken]: undefined })));
    }
  }

  /**
   * Passes on progress and log messages of a call in flight that say nothing of tasks, without parsing them. Returns whether it was
   * one: then nothing more is to be done.
   */
  #plain({ method, params, spans }: Extract<ScannedIncoming, { kind: 'notification' }>, origin: Pending | undefined): boolean {
    const progress = method === 'notifications/progress' ? numberIn(params, spans, 'progress') : undefined;
    const pending = progress === undefined ? origin : this.#inFlight.get(numberIn(params, spans, 'progressToken'));
    if (pending === undefined || pending.call.relay.readsSpans !== true || spanOf(spans, '_meta') !== undefined) return false;
    if (progress === undefined && (method !== 'notifications/message' || !this.#inFlight.has(pending))) return false;
    if (progress !== undefined && (!pending.call.progress || (origin !== undefined && origin !== pending))) return false;
    if (progress !== undefined && !pending.progress.admits(progress)) return true;
    this.#safely(method, () => pending.call.relay.notification(method, params, { spans, progress }));
    return true;
  }

  /** A task goes on under the token of its call, on whatever stream. */
  #progressing(body: JsonObject, origin: Pending | undefined): Pick<Claim, 'relay' | 'progress'> | undefined {
    const { progressToken: token } = body;
    const pending = this.#inFlight.get(token);
    const found = this.#inFlight.lasting(token) ?? (origin !== undefined && origin !== pending ? undefined : pending);
    if (found === undefined) return this.#tasks.get(relatedTask(body));
    return found.call.progress ? { relay: found.call.relay, progress: found.progress } : undefined;
  }

  // Nothing of the question is kept while it waits but what its answer needs: thousands may.
  #serverRequest(id: RequestId, method: string, params: Buffer, body: JsonObject, origin: Pending | undefined): void {
    const isFull = this.#foreign.full;
    const controller = this.#foreign.begin(id);
    if (controller === undefined) return;
    const taskId = relatedTask(body);
    const owner = method === 'ping' ? undefined : (this.#tasks.get(taskId) ?? this.#callOf(body, origin));
    const asked = { id, controller, others: owner?.asked };
    if (method === 'ping') this.#answer(asked, { kind: 'result', result: EMPTY });
    else if (isFull) this.#answer(asked, toErrorAnswer(new TurnpikeError('request/invalid', 'too many requests wait for an answer'), 'legacy'));
    else if (owner !== undefined || taskId === undefined) this.#ask(asked, owner?.relay, method, params);
    else this.#askTask(taskId, { id, controller }, method, params);
  }

  /** A question about a task that may be claimed in a moment. */
  #askTask(taskId: string, { id, controller }: Asked, method: string, params: Buffer): void {
    this.#tasks.find(taskId, controller.signal).then(
      (owner) => this.#ask({ id, controller, others: owner?.asked }, owner?.relay, method, params),
      (error: unknown) => this.#answer({ id, controller }, toErrorAnswer(error, 'legacy')),
    );
  }

  #ask(asked: Asked, relay: Relay | undefined, method: string, params: Buffer): void {
    const { controller, others } = asked;
    const answered = (answer: Answer) => this.#answer(asked, answer);
    const failed = (error: unknown) => this.#answer(asked, toErrorAnswer(error, 'legacy'));
    try {
      if (relay === undefined || relay === NO_RELAY) {
        this.#options.onRequest(method, params, controller.signal).then(answered, failed);
        return;
      }
      others?.add(controller);
      // A person may take long: those who wait for their turn find another connection.
      if (this.busy) this.#turns.dismiss(busy(this.#options.name));
      relay.request(method, params, controller.signal).then(answered, failed);
    } catch (error) {
      failed(error);
    }
  }

  #answer({ id, controller, others }: Asked, answer: Answer): void {
    others?.delete(controller);
    if (!this.#foreign.end(id, controller) || this.#dead) return;
    const message = answer.kind === 'result' ? responseMessage(id, 'result', answer.result) : responseMessage(id, 'error', answer.error);
    this.#telling.tell(message, ANSWER_MS, {});
  }

  /** The call on whose stream a question came, else one in flight. */
  #callOf(body: JsonObject, origin: Pending | undefined): Pick<Claim, 'relay' | 'asked'> | undefined {
    const pending = origin ?? this.#asker(body);
    return pending && { relay: pending.call.relay, asked: pending.asked };
  }

  /** Whose question it is that came outside a call's own stream. One about a task is not that of the call next to it. */
  #asker(body: JsonObject): Pending | undefined {
    if (namesTask(body)) return undefined;
    if (this.#options.shared !== true && this.#inFlight.calls().length > 1) this.#turns.becomeSerial();
    return this.#inFlight.newest();
  }

  #safely(what: string, deliver: () => void): void {
    try {
      deliver();
    } catch (error) {
      this.#options.onDropped(`${shown(what)}: ${asTurnpikeError(error).details.reason ?? 'its receiver failed'}`);
    }
  }
}

function busy(upstream: string): TurnpikeError {
  return new TurnpikeError('upstream/busy', undefined, { upstream, retryable: true });
}

/** Foreign text for the log. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}
