import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../core/caller.ts';
import { asTurnpikeError, ERRORS, TurnpikeError } from '../core/errors.ts';
import { CLIENT_GONE, type Exchange } from '../core/exchange.ts';
import { LinkedAbort } from '../core/linked-abort.ts';
import { type Answer, NAMED_BY, type RequestId, RPC } from '../core/mcp.ts';
import { decodeHeaderValue } from '../core/mcp-headers.ts';
import { paramOf } from '../core/param-value.ts';
import type { Flow } from '../core/ports.ts';
import { toAnswer } from '../core/to-wire.ts';
import { dispatch, isServed } from '../router/dispatch.ts';
import { listen } from '../router/listen.ts';
import { MessageError, type RequestMessage } from './classify.ts';
import type { Edge } from './edge.ts';
import { encodePieces } from './encode.ts';
import { foreignHeaders } from './foreign-headers.ts';
import { onlyValueOf } from './header-values.ts';
import { ModernExchange } from './modern-exchange.ts';
import { SseWriter } from './sse-writer.ts';

const LISTEN = 'subscriptions/listen';

/** Errors whose HTTP status is not 200 although the dispatcher, or an upstream, made them. */
const STATUS: Readonly<Record<number, number>> = {
  [RPC.methodNotFound]: 404,
  [RPC.headerMismatch]: 400,
  [RPC.missingCapability]: 400,
  [RPC.unsupportedVersion]: 400,
};

/** One request of revision 2026-07-28 over HTTP: checks 11 to 15, then the dispatcher; JSON until something must stream. */
export async function serveModern(
  edge: Edge,
  request: IncomingMessage,
  response: ServerResponse,
  caller: Caller,
  message: RequestMessage,
): Promise<void> {
  const envelope = edge.envelopes.read(message, request);
  checkHeaders(message, request);
  if (message.method !== LISTEN && !isServed(message.method, 'modern'))
    throw new MessageError(message.id, 'request/method', `Method not found: ${message.method}`);
  const door = new ModernDoor(edge, request, response);
  try {
    const exchange = new ModernExchange({
      message,
      envelope,
      caller,
      signal: door.signal,
      headers: foreignHeaders(request),
      notify: (method, params) => door.notify(method, params),
      flow: door,
    });
    let answer: Answer;
    try {
      answer = message.method === LISTEN ? await listenTo(edge, exchange, door.events) : await dispatch(edge.services, exchange);
    } catch (error) {
      answer = answerTo(edge, exchange, error);
    }
    edge.services.instruments.request('modern', message.method, answer.kind === 'error' ? answer.code : undefined);
    door.answer(message.id, answer);
  } finally {
    // Not with `using`: compiled, that is an object and two functions for each call.
    door.leave();
  }
}

/** What one request and its answer need of HTTP: its end with the connection, and the choice between one body and a stream. */
class ModernDoor implements Flow {
  /** Whether the client takes event streams. */
  readonly events: boolean;
  readonly #edge: Edge;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #life: LinkedAbort;
  #stream: SseWriter | undefined;
  #done = false;

  constructor(edge: Edge, request: IncomingMessage, response: ServerResponse) {
    this.#edge = edge;
    this.#request = request;
    this.#response = response;
    this.#life = new LinkedAbort(edge.stopped);
    this.events = edge.settings.listen.streaming && edge.guard.mayStream(request);
    edge.work.begin();
    const gone = () => {
      if (!this.#done) this.#life.abort(new TurnpikeError('request/cancelled', CLIENT_GONE));
    };
    if (response.destroyed) gone();
    else response.on('close', gone);
  }

  get signal(): AbortSignal {
    return this.#life.signal;
  }

  get full(): boolean {
    return this.#stream?.full === true;
  }

  whenFree(then: () => void): void {
    if (this.#stream === undefined) then();
    else this.#stream.whenFree(then);
  }

  notify(method: string, params: Buffer): void {
    if (!this.events || this.#done || this.#response.destroyed) return;
    if (this.#stream === undefined) {
      const { headers, keepAlive } = this.#edge;
      this.#stream = new SseWriter(this.#response, keepAlive, headers.ofEvents(this.#request, this.#response));
    }
    this.#stream.notification(method, params);
  }

  answer(id: RequestId, answer: Answer): void {
    this.#done = true;
    if (this.#stream === undefined) {
      const status = answer.kind === 'error' ? (STATUS[answer.code] ?? 200) : 200;
      this.#edge.headers.sendJson(this.#request, this.#response, status, encodePieces(id, answer));
    } else {
      this.#stream.answer(id, answer);
      this.#stream.end();
    }
  }

  /** Nothing more is done for the request. */
  leave(): void {
    this.#done = true;
    this.#life[Symbol.dispose]();
    this.#edge.work.end();
  }
}

function listenTo(edge: Edge, exchange: Exchange, events: boolean): Promise<Answer> {
  if (!events) throw new MessageError(exchange.id, 'guard/accept', 'subscriptions/listen needs Accept: text/event-stream');
  return edge.listeners.run(exchange.caller, async (over) => {
    using ended = new LinkedAbort(edge.work.draining, over);
    return await listen(edge.services, exchange, ended.signal);
  });
}

/** The answer that an error is. Throws `HttpError` for those that are HTTP's business: status, challenge or Retry-After belong to them. */
function answerTo(edge: Edge, exchange: Exchange, error: unknown): Answer {
  const { code } = asTurnpikeError(error);
  if (code === 'auth/scope' || code === 'guard/accept' || code === 'limit/user') throw new HttpError(exchange.id, error);
  if (code === 'internal' || ERRORS[code].http >= 500) edge.report(error);
  return toAnswer(error, 'modern', exchange.method, edge.services.settings.serverInfo);
}

/** An error of the dispatcher that is answered with its HTTP status. */
export class HttpError extends Error {
  readonly id: Exchange['id'];
  readonly error: unknown;

  constructor(id: Exchange['id'], error: unknown) {
    super('answered by HTTP status');
    this.id = id;
    this.error = error;
  }
}

/** Check 14: the three headers are there, in this order, once each, and say what the body says. */
function checkHeaders(message: RequestMessage, request: IncomingMessage): void {
  only(message, request, 'mcp-protocol-version', 'MCP-Protocol-Version');
  const method = only(message, request, 'mcp-method', 'Mcp-Method');
  const member = Object.hasOwn(NAMED_BY, message.method) ? NAMED_BY[message.method] : undefined;
  const raw = member === undefined ? undefined : only(message, request, 'mcp-name', 'Mcp-Name');
  if (method !== message.method) throw new MessageError(message.id, 'request/header', 'Mcp-Method does not match the body');
  if (member === undefined || raw === undefined) return;
  const decoded = decodeHeaderValue(raw);
  if (!decoded.ok) throw new MessageError(message.id, 'request/header', `Mcp-Name ${decoded.error}`);
  const inBody = paramOf(message, member);
  if (typeof inBody === 'string' && decoded.value !== inBody)
    throw new MessageError(message.id, 'request/header', 'Mcp-Name does not match the body');
}

/** The value of a header that must be there once. Throws `request/header` naming it. */
function only(message: RequestMessage, request: IncomingMessage, name: string, title: string): string {
  const value = onlyValueOf(request, name);
  if (value !== undefined) return value.trim();
  throw new MessageError(message.id, 'request/header', `${title} is ${request.headers[name] === undefined ? 'missing' : 'repeated'}`);
}
