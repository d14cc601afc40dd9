import type { IncomingHttpHeaders } from 'node:http';
import type { Clock, Timer } from '../../core/clock.ts';
import type { TurnpikeError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { isJsonObject, isRequestId } from '../../core/mcp.ts';
import { ByteBuffer } from './byte-buffer.ts';
import type { HttpRequest, ResponseSink } from './flight.ts';
import type { Dispatched, HttpClient } from './http-client.ts';
import type { HttpFailure } from './http-failure.ts';
import { SseParser } from './sse-parser.ts';
import { invalid, ofFailure, ofStatus } from './upstream-errors.ts';

/** How one HTTP request ended. */
export type Outcome =
  | { readonly kind: 'answered' }
  /** A message without an answer was taken. */
  | { readonly kind: 'accepted' }
  /** An event stream ended before the answer; `lastEventId` is there when the server offers to resume. */
  | { readonly kind: 'cut'; readonly lastEventId: string | undefined; readonly retry: number | undefined }
  /** `status` when it was the reason. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly status?: number }
  | { readonly kind: 'aborted' };

export interface ReaderOptions {
  readonly upstream: string;
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  /** `answer`: JSON or events; `stream`: events only; `nothing`: any 2xx will do. */
  readonly expects: 'answer' | 'stream' | 'nothing';
  /** True when the message was the answer. */
  readonly deliver: (message: Buffer) => boolean;
  /** Sees a 2xx head before any message; what it throws ends the request. */
  readonly onHead?: (headers: IncomingHttpHeaders) => void;
  readonly inSession: boolean;
  readonly secrets: () => readonly string[];
}

/** How long a stream may stay open after its answer: enough to end by itself, so that its socket is used again. */
const LINGER_MS = 1000;
/** Of an error body that is not JSON, only the beginning is ever shown. */
const ERROR_BYTES = 64 * 1024;

/** Reads one HTTP answer and delivers the messages in it. */
export class AnswerReader implements ResponseSink {
  readonly #options: ReaderOptions;
  readonly #resolve: (outcome: Outcome) => void;
  readonly outcome: Promise<Outcome>;
  readonly #running: Set<AnswerReader>;
  #mode: 'head' | 'json' | 'events' | 'error' | 'drain' | 'done' = 'head';
  #dispatched: Dispatched | undefined;
  #parser: SseParser | undefined;
  #linger: Timer | undefined;
  #status = 0;
  #headers: IncomingHttpHeaders = {};
  readonly #body = new ByteBuffer();
  #limit: number;

  /** @param running where it stands until nothing of the request is left, sockets and timers included */
  constructor(options: ReaderOptions, running: Set<AnswerReader>) {
    this.#options = options;
    this.#running = running;
    running.add(this);
    this.#limit = options.maxMessageBytes;
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.outcome = promise;
    this.#resolve = resolve;
  }

  start(client: HttpClient, request: HttpRequest, signal: AbortSignal): Promise<Outcome> {
    const dispatched = client.dispatch(request, this, signal);
    if (this.#mode === 'done') dispatched.abort();
    else this.#dispatched = dispatched;
    return this.outcome;
  }

  /** Ends the request from outside: the outcome is `failed`, the socket goes. */
  stop(error: TurnpikeError): void {
    this.#drop({ kind: 'failed', error });
  }

  head(status: number, headers: IncomingHttpHeaders): void {
    this.#status = status;
    this.#headers = headers;
    const { expects, maxMessageBytes } = this.#options;
    const type = mediaType(headers);
    if (status >= 300) {
      this.#mode = 'error';
      if (type !== 'application/json') this.#limit = Math.min(ERROR_BYTES, maxMessageBytes);
      return;
    }
    const refusal = this.#refuseHead(status, type);
    if (refusal !== undefined) this.#drop({ kind: 'failed', error: refusal, status });
    else if (expects === 'nothing') {
      // Events to a message that wants no answer may go on for ever; nobody waits for them.
      if (type === 'text/event-stream') this.#drop({ kind: 'accepted' });
      else {
        this.#mode = 'drain';
        this.#limit = ERROR_BYTES;
      }
    } else if (type === 'text/event-stream') {
      this.#mode = 'events';
      // Nobody reads them any more, and a stream may go on for long.
      this.#headers = {};
      const sender = `upstream '${this.#options.upstream}'`;
      this.#parser = new SseParser(({ event, data }) => this.#event(event, data), {
        sender,
        maxLineBytes: maxMessageBytes,
        maxEventBytes: maxMessageBytes,
      });
    } else this.#mode = 'json';
  }

  data(chunk: Buffer): void {
    if (this.#mode === 'events') {
      try {
        this.#parser?.push(chunk);
      } catch (error) {
        this.#drop({ kind: 'failed', error });
      }
    } else if (this.#mode === 'json' || this.#mode === 'error' || this.#mode === 'drain') this.#collect(chunk);
  }

  end(): void {
    const mode = this.#mode;
    if (mode === 'json') {
      const body = this.#body.take();
      if (body.length === 0) this.#settle({ kind: 'failed', error: invalid(this.#options.upstream, 'sent an empty answer') });
      else this.#deliverBody(body);
    } else if (mode === 'error') this.#endError();
    else if (mode === 'events') this.#settle(this.#cut());
    else if (mode === 'drain') this.#settle({ kind: 'accepted' });
    this.#free();
  }

  fail(failure: HttpFailure): void {
    if (failure.kind === 'aborted') this.#settle({ kind: 'aborted' });
    else if (this.#mode === 'events') this.#settle(this.#cut());
    // The status has said all that matters; the body only makes the text nicer.
    else if (this.#mode === 'error') this.#endError();
    else if (this.#mode === 'drain') this.#settle({ kind: 'accepted' });
    else this.#settle({ kind: 'failed', error: ofFailure(this.#options.upstream, failure) });
    this.#free();
  }

  #refuseHead(status: number, type: string): unknown {
    const { upstream, expects, onHead } = this.#options;
    const encoding = this.#headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') return invalid(upstream, 'answered in a content encoding it was not offered');
    if (expects !== 'nothing') {
      const json = expects === 'answer' && type === 'application/json';
      if (status === 202 || status === 204) return invalid(upstream, `took the request without answering it (status ${status})`);
      if (!json && type !== 'text/event-stream') return invalid(upstream, 'answered neither JSON nor an event stream');
      if (json && Number(this.#headers['content-length']) > this.#limit) return this.#tooLarge();
    }
    try {
      onHead?.(this.#headers);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  #tooLarge(): TurnpikeError {
    return invalid(this.#options.upstream, `sent a message larger than ${this.#options.maxMessageBytes} bytes`);
  }

  #collect(chunk: Buffer): void {
    if (this.#body.length + chunk.length <= this.#limit) {
      this.#body.append(chunk);
      return;
    }
    if (this.#mode === 'json') this.#drop({ kind: 'failed', error: this.#tooLarge() });
    else if (this.#mode === 'drain') this.#drop({ kind: 'accepted' });
    else {
      this.#body.append(chunk.subarray(0, this.#limit - this.#body.length));
      this.#drop(this.#statusOutcome(this.#body.take()));
    }
  }

  #event(event: string, data: Buffer): void {
    // An event without data only carries an id to resume by (SEP-1699).
    if (event !== 'message' || data.length === 0) return;
    let answered: boolean;
    try {
      answered = this.#options.deliver(data);
    } catch (error) {
      this.#drop({ kind: 'failed', error });
      return;
    }
    if (!answered || this.#mode === 'done') return;
    this.#parser?.close();
    this.#linger = this.#options.clock.after(LINGER_MS, () => this.#drop({ kind: 'answered' }));
    this.#settle({ kind: 'answered' });
  }

  #deliverBody(body: Buffer): void {
    const { deliver, upstream } = this.#options;
    try {
      if (deliver(body)) this.#settle({ kind: 'answered' });
      else this.#settle({ kind: 'failed', error: invalid(upstream, 'answered with something that is not the answer') });
    } catch (error) {
      this.#settle({ kind: 'failed', error });
    }
  }

  /** Modern servers answer errors with 4xx and a JSON-RPC body: with an id it is the answer. */
  #endError(): void {
    const body = this.#body.take();
    const owned = this.#status !== 401 && !(this.#status === 404 && this.#options.inSession);
    if (owned && this.#options.expects === 'answer' && mediaType(this.#headers) === 'application/json' && isResponse(body)) {
      try {
        if (this.#options.deliver(body)) {
          this.#settle({ kind: 'answered' });
          return;
        }
      } catch (error) {
        this.#settle({ kind: 'failed', error, status: this.#status });
        return;
      }
    }
    this.#settle(this.#statusOutcome(body));
  }

  #statusOutcome(body: Buffer): Outcome {
    const { upstream, inSession, secrets } = this.#options;
    const error = ofStatus(upstream, { status: this.#status, headers: this.#headers, body, inSession, secrets: secrets() });
    return { kind: 'failed', error, status: this.#status };
  }

  #cut(): Outcome {
    return { kind: 'cut', lastEventId: this.#parser?.lastEventId, retry: this.#parser?.retry };
  }

  #settle(outcome: Outcome): void {
    if (this.#mode === 'done') return;
    this.#mode = 'done';
    this.#resolve(outcome);
  }

  #drop(outcome: Outcome): void {
    this.#settle(outcome);
    this.#parser?.close();
    this.#dispatched?.abort();
    this.#free();
  }

  #free(): void {
    this.#linger?.cancel();
    this.#linger = undefined;
    this.#body.clear();
    this.#running.delete(this);
  }
}

function mediaType(headers: IncomingHttpHeaders): string {
  const [type = ''] = (headers['content-type'] ?? '').split(';', 1);
  return type.trim().toLowerCase();
}

function isResponse(body: Buffer): boolean {
  const parsed = parseJson(body);
  if (!parsed.ok || !isJsonObject(parsed.value)) return false;
  const { id } = parsed.value;
  return isRequestId(id) && ('error' in parsed.value || 'result' in parsed.value);
}
