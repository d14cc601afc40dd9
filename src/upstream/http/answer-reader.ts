import type { IncomingHttpHeaders } from 'node:http';
import type { Clock, Timer } from '../../core/clock.ts';
import type { TurnpikeError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { isJsonObject, isRequestId } from '../../core/mcp.ts';
import type { Flow } from '../../core/ports.ts';
import type { Slots } from '../../core/slots.ts';
import { ByteBuffer } from './byte-buffer.ts';
import { Flight } from './flight.ts';
import type { HttpFailure } from './http-failure.ts';
import { mediaType } from './media-type.ts';
import type { Route } from './route.ts';
import { SseParser } from './sse-parser.ts';
import { invalid, ofFailure, ofStatus } from './upstream-errors.ts';

/** How one HTTP request ended. */
export type Outcome =
  | { readonly kind: 'answered' }
  /** A message without an answer was taken. */
  | { readonly kind: 'accepted' }
  | Cut
  /** `status` when it was the reason. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly status?: number }
  | { readonly kind: 'aborted' };

/** An event stream ended before the answer; `lastEventId` is there when the server offers to resume. */
export interface Cut {
  readonly kind: 'cut';
  readonly lastEventId: string | undefined;
  readonly retry: number | undefined;
}

/** What the requests of one transport share. */
export interface ReaderContext {
  readonly upstream: string;
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  readonly secrets: () => readonly string[];
  /** Where a request stands until nothing of it is left, sockets and timers included. */
  readonly running: Slots<AnswerReader>;
}

export interface ReaderOptions {
  readonly signal: AbortSignal;
  /** `answer`: JSON or events; `stream`: events only; `nothing`: any 2xx will do. */
  readonly expects: 'answer' | 'stream' | 'nothing';
  /** True when the message was the answer. */
  readonly deliver: (message: Buffer) => boolean;
  /** Sees a 2xx head before any message; what it throws ends the request. */
  readonly onHead: ((headers: IncomingHttpHeaders) => void) | undefined;
  readonly inSession: boolean;
  /** Where events go: as `SendOptions.flow`. */
  readonly flow?: Flow | undefined;
  /** Called once. */
  readonly onEnd: (outcome: Outcome) => void;
}

/** How long a stream may stay open after its answer: enough to end by itself, so that its socket is used again. */
const LINGER_MS = 1000;
/** Of an error body that is not JSON, only the beginning is ever shown. */
const ERROR_BYTES = 64 * 1024;
const ANSWERED: Outcome = { kind: 'answered' };
const ACCEPTED: Outcome = { kind: 'accepted' };
const ABORTED: Outcome = { kind: 'aborted' };
const NOW = Promise.resolve();

/** Reads one HTTP answer and delivers the messages in it. */
export class AnswerReader extends Flight {
  readonly #context: ReaderContext;
  readonly #options: ReaderOptions;
  #mode: 'head' | 'json' | 'events' | 'error' | 'drain' | 'done' = 'head';
  /** Of an error. */
  #status = 0;
  #headers: IncomingHttpHeaders | undefined;
  #body: ByteBuffer | undefined;
  #limit: number;
  #parser: SseParser | undefined;
  #linger: Timer | undefined;
  #isHeld = false;
  /** Where it stands among those that run. */
  #slot: number | undefined;

  constructor(route: Route, context: ReaderContext, options: ReaderOptions) {
    super(route, options.signal);
    this.#context = context;
    this.#options = options;
    this.#limit = context.maxMessageBytes;
    this.#slot = context.running.add(this);
  }

  /** Ends the request from outside: the outcome is `failed`, the socket goes. */
  stop(error: TurnpikeError): void {
    this.#drop({ kind: 'failed', error });
  }

  protected head(status: number, headers: IncomingHttpHeaders): void {
    const type = mediaType(headers);
    if (status >= 300) {
      this.#mode = 'error';
      this.#status = status;
      this.#headers = headers;
      if (type !== 'application/json') this.#limit = Math.min(ERROR_BYTES, this.#limit);
      return;
    }
    const refusal = this.#refuseHead(status, type, headers);
    if (refusal !== undefined) this.#drop({ kind: 'failed', error: refusal, status });
    else if (this.#options.expects === 'nothing') {
      // Events to a message that wants no answer may go on for ever; nobody waits for them.
      if (type === 'text/event-stream') this.#drop(ACCEPTED);
      else {
        this.#mode = 'drain';
        this.#limit = ERROR_BYTES;
      }
    } else if (type === 'text/event-stream') this.#readEvents();
    else {
      this.#mode = 'json';
      this.#body = new ByteBuffer(Number(headers['content-length']));
    }
  }

  #readEvents(): void {
    const { upstream, maxMessageBytes } = this.#context;
    this.#mode = 'events';
    this.#parser = new SseParser(({ event, data }) => this.#event(event, data), {
      sender: `upstream '${upstream}'`,
      maxLineBytes: maxMessageBytes,
      maxEventBytes: maxMessageBytes,
    });
  }

  protected data(chunk: Buffer): void {
    if (this.#mode === 'events') {
      try {
        this.#parser?.push(chunk);
        this.#wait();
      } catch (error) {
        this.#drop({ kind: 'failed', error });
      }
    } else if (this.#mode !== 'done') this.#collect(chunk);
  }

  /** Until whoever hears the events has read what there is of them: a stream that nobody reads must not pile up here. */
  #wait(): void {
    const { flow } = this.#options;
    if (flow?.full !== true || this.#isHeld || this.#mode !== 'events') return;
    this.#isHeld = true;
    this.hold();
    flow.whenFree(() => {
      this.#isHeld = false;
      this.release();
    });
  }

  protected end(): void {
    const mode = this.#mode;
    if (mode === 'json') this.#deliverBody();
    else if (mode === 'error') this.#endError();
    else if (mode === 'events') this.#settle(this.#cut());
    else if (mode === 'drain') this.#settle(ACCEPTED);
    this.#free();
  }

  protected failed(failure: HttpFailure): void {
    if (failure.kind === 'aborted') this.#settle(ABORTED);
    else if (this.#mode === 'events') this.#settle(this.#cut());
    // The status has said all that matters; the body only makes the text nicer.
    else if (this.#mode === 'error') this.#endError();
    else if (this.#mode === 'drain') this.#settle(ACCEPTED);
    else this.#settle({ kind: 'failed', error: ofFailure(this.#context.upstream, failure) });
    this.#free();
  }

  #refuseHead(status: number, type: string, headers: IncomingHttpHeaders): unknown {
    const { expects, onHead } = this.#options;
    const { upstream } = this.#context;
    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') return invalid(upstream, 'answered in a content encoding it was not offered');
    if (expects !== 'nothing') {
      const json = expects === 'answer' && type === 'application/json';
      if (status === 202 || status === 204) return invalid(upstream, `took the request without answering it (status ${status})`);
      if (!json && type !== 'text/event-stream') return invalid(upstream, 'answered neither JSON nor an event stream');
      if (json && Number(headers['content-length']) > this.#limit) return this.#tooLarge();
    }
    if (onHead === undefined) return undefined;
    try {
      onHead(headers);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  #tooLarge(): TurnpikeError {
    const { upstream, maxMessageBytes } = this.#context;
    return invalid(upstream, `sent a message larger than ${maxMessageBytes} bytes`);
  }

  #collect(chunk: Buffer): void {
    this.#body ??= new ByteBuffer();
    const room = this.#limit - this.#body.length;
    if (chunk.length <= room) this.#body.append(chunk);
    else if (this.#mode === 'json') this.#drop({ kind: 'failed', error: this.#tooLarge() });
    else if (this.#mode === 'drain') this.#drop(ACCEPTED);
    else {
      this.#body.append(chunk.subarray(0, room));
      this.#drop(this.#statusOutcome(this.#takeBody()));
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
    // Most streams end in the same breath: those need no timer.
    void NOW.then(() => this.#lingering());
    this.#settle(ANSWERED);
  }

  #lingering(): void {
    if (!this.done) this.#linger = this.#context.clock.after(LINGER_MS, () => this.#drop(ANSWERED));
  }

  #deliverBody(): void {
    const { upstream } = this.#context;
    const body = this.#takeBody();
    try {
      if (body.length === 0) this.#settle({ kind: 'failed', error: invalid(upstream, 'sent an empty answer') });
      else if (this.#options.deliver(body)) this.#settle(ANSWERED);
      else this.#settle({ kind: 'failed', error: invalid(upstream, 'answered with something that is not the answer') });
    } catch (error) {
      this.#settle({ kind: 'failed', error });
    }
  }

  #takeBody(): Buffer {
    return (this.#body ?? new ByteBuffer()).take();
  }

  /** Modern servers answer errors with 4xx and a JSON-RPC body: with an id it is the answer. */
  #endError(): void {
    const { expects, inSession, deliver } = this.#options;
    const body = this.#takeBody();
    const owned = this.#status !== 401 && !(this.#status === 404 && inSession);
    if (owned && expects === 'answer' && mediaType(this.#headers ?? {}) === 'application/json' && isResponse(body)) {
      try {
        if (deliver(body)) {
          this.#settle(ANSWERED);
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
    const { inSession } = this.#options;
    const { upstream, secrets } = this.#context;
    const error = ofStatus(upstream, { status: this.#status, headers: this.#headers ?? {}, body, inSession, secrets: secrets() });
    return { kind: 'failed', error, status: this.#status };
  }

  #cut(): Outcome {
    return { kind: 'cut', lastEventId: this.#parser?.lastEventId, retry: this.#parser?.retry };
  }

  #settle(outcome: Outcome): void {
    if (this.#mode === 'done') return;
    this.#mode = 'done';
    this.#options.onEnd(outcome);
  }

  #drop(outcome: Outcome): void {
    this.#settle(outcome);
    this.#parser?.close();
    this.abort();
    this.#free();
  }

  #free(): void {
    this.#linger?.cancel();
    this.#linger = undefined;
    this.#body = undefined;
    if (this.#slot === undefined) return;
    this.#context.running.remove(this.#slot);
    this.#slot = undefined;
  }
}

function isResponse(body: Buffer): boolean {
  const parsed = parseJson(body);
  if (!parsed.ok || !isJsonObject(parsed.value)) return false;
  const { id } = parsed.value;
  return isRequestId(id) && ('error' in parsed.value || 'result' in parsed.value);
}
