import type { Readable } from 'node:stream';
import { type Dispatcher, request as send } from 'undici';
import type { Clock } from '../../../core/clock.ts';
import { LinkedAbort } from '../../../core/linked-abort.ts';
import { AddressRefused } from '../../../net/address-guard.ts';
import { ConnectFailure } from '../../../net/connect-failure.ts';
import { classifyFailure } from '../../../upstream/http/http-failure.ts';

/** One HTTP request, complete. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

/** The beginning of an answer; whoever gets it reads or destroys the body. */
export interface HttpHead {
  readonly status: number;
  /** By lower-case names; values that were repeated stand between commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
  /** False where no byte will follow, whatever length and encoding the headers name (RFC 9110 section 6.4.1). */
  readonly hasBody: boolean;
}

export type NoAnswerKind = 'address' | 'aborted' | 'timeout' | 'connect' | 'refused' | 'lost';

/** A request without an answer. The message names host and cause, never path, query or headers. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /**
   * `connect`: it was not sent, and may work in a moment. `refused`: neither sent, nor will it ever be (a certificate, a request
   * that is not valid). `lost`: the connection ended early. `timeout`: the answer did not begin in time.
   */
  readonly kind: NoAnswerKind;
  /** False only when certainly no byte of it was sent. */
  readonly sent: boolean;

  constructor(kind: NoAnswerKind, sent: boolean, message: string) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = limit;
    this.kind = kind;
    this.sent = sent;
  }
}

export interface AttemptOptions {
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  /** Milliseconds from the first byte of the request to the last of the answer's head. */
  readonly headersMs: number;
  /** Its abort ends the request, and the body too. */
  readonly signal: AbortSignal;
}

/**
 * One request, sent once. The only place in this folder that speaks HTTP (the linter sees to it).
 *
 * @throws `NoAnswer`
 */
export async function attempt({ method, url, headers, body }: HttpRequest, options: AttemptOptions): Promise<HttpHead> {
  const { clock, headersMs, signal } = options;
  const abort = new LinkedAbort(signal);
  const start = new Start(() =>
    clock.after(headersMs, () => abort.abort(new NoAnswer('timeout', true, `GitLab did not answer in ${headersMs / 1000} s`))),
  );
  try {
    const dispatcher = options.dispatcher.compose((dispatch) => (what, handler) => dispatch(what, new Noting(handler, start)));
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    // Of a request that waits for a socket, undici only hears later that it was aborted.
    abort.signal.addEventListener('abort', () => reject(abort.signal.reason), { once: true });
    if (abort.signal.aborted) throw abort.signal.reason;
    const sent = send(url, {
      dispatcher,
      method,
      headers: { ...headers },
      body: body ?? null,
      signal: abort.signal,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const answer = await Promise.race([sent, aborted]);
    answer.body.once('close', () => abort[Symbol.dispose]());
    // It may end before anybody reads it.
    answer.body.on('error', () => undefined);
    const { statusCode: status } = answer;
    const hasBody = method !== 'HEAD' && status !== 204 && status !== 304 && answer.headers['content-length'] !== '0';
    return { status, headers: joined(answer.headers), body: answer.body, hasBody };
  } catch (error) {
    abort[Symbol.dispose]();
    throw noAnswerOf(error, signal, start.happened, url.host);
  } finally {
    start.answered();
  }
}

/** What an error says about the request. */
export function noAnswerOf(error: unknown, signal: AbortSignal, started: boolean, host: string): NoAnswer {
  if (signal.aborted) return new NoAnswer('aborted', started, 'the request was aborted');
  if (error instanceof NoAnswer) return error;
  if (error instanceof AddressRefused) return new NoAnswer('address', false, error.message);
  if (error instanceof ConnectFailure) return new NoAnswer('connect', false, `cannot connect to ${host} (${error.message})`);
  const { kind, sent, message } = classifyFailure(error, started, host);
  if (sent) return new NoAnswer('lost', true, message);
  return new NoAnswer(kind === 'tls' || kind === 'request' ? 'refused' : 'connect', false, message);
}

/** The moment at which undici begins to write the request. */
class Start {
  happened = false;
  readonly #begin: () => { cancel(): void };
  #timer: { cancel(): void } | undefined;

  constructor(begin: () => { cancel(): void }) {
    this.#begin = begin;
  }

  happens(): void {
    // A second start would send the request twice.
    if (this.happened) throw new NoAnswer('lost', true, 'the connection ended before the answer was complete');
    this.happened = true;
    this.#timer = this.#begin();
  }

  answered(): void {
    this.#timer?.cancel();
  }
}

/** Passes on what it hears, and notes the start. */
class Noting implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #start: Start;

  constructor(handler: Dispatcher.DispatchHandler, start: Start) {
    this.#handler = handler;
    this.#start = start;
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#handler.onRequestStart?.(controller, context);
    if (!controller.aborted) this.#start.happens();
  }

  onResponseStart(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>): void {
    this.#handler.onResponseStart?.(...args);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseEnd']>>): void {
    this.#handler.onResponseEnd?.(...args);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#handler.onResponseError?.(controller, error);
  }
}

function joined(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const entries = Object.entries(headers).filter((entry): entry is [string, string | string[]] => entry[1] !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, typeof value === 'string' ? value : value.join(', ')]));
}
