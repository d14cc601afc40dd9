import type { IncomingHttpHeaders } from 'node:http';
import { ByteBuffer } from './byte-buffer.ts';
import { Flight } from './flight.ts';
import type { HttpFailure } from './http-failure.ts';
import { mediaType } from './media-type.ts';
import type { Route } from './route.ts';
import { SseParser } from './sse-parser.ts';
import { invalid, lost, ofFailure, ofStatus } from './upstream-errors.ts';

export interface EventStreamOptions {
  readonly upstream: string;
  readonly maxMessageBytes: number;
  readonly secrets: () => readonly string[];
  /** What it throws ends the stream. */
  readonly onEvent: (event: string, data: Buffer) => void;
  /** Called once, whatever ended the stream; its socket is free or gone then. */
  readonly onEnd: (error: Error) => void;
}

const ERROR_BYTES = 64 * 1024;

/** Reads one endless event stream with all its kinds of events. */
export class EventStreamReader extends Flight {
  readonly #options: EventStreamOptions;
  readonly #parser: SseParser;
  readonly #errorBody = new ByteBuffer();
  #refused: { readonly status: number; readonly headers: IncomingHttpHeaders } | undefined;
  #ended = false;

  constructor(route: Route, signal: AbortSignal, options: EventStreamOptions) {
    super(route, signal);
    this.#options = options;
    const { upstream, maxMessageBytes, onEvent } = options;
    this.#parser = new SseParser(({ event, data }) => onEvent(event, data), {
      sender: `upstream '${upstream}'`,
      maxLineBytes: maxMessageBytes,
      maxEventBytes: maxMessageBytes,
    });
  }

  protected head(status: number, headers: IncomingHttpHeaders): void {
    const encoding = headers['content-encoding'];
    if (status >= 300) this.#refused = { status, headers };
    else if (mediaType(headers) !== 'text/event-stream') this.#drop(invalid(this.#options.upstream, 'answered with no event stream'));
    else if (encoding !== undefined && encoding !== 'identity')
      this.#drop(invalid(this.#options.upstream, 'answered in a content encoding it was not offered'));
  }

  protected data(chunk: Buffer): void {
    if (this.#ended) return;
    if (this.#refused !== undefined) {
      this.#errorBody.append(chunk);
      if (this.#errorBody.length > ERROR_BYTES) this.#drop(this.#statusError());
      return;
    }
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#drop(error as Error);
    }
  }

  protected end(): void {
    this.#finish(this.#refused === undefined ? lost(this.#options.upstream, { reason: 'the event stream ended' }) : this.#statusError());
  }

  protected failed(failure: HttpFailure): void {
    this.#finish(this.#refused !== undefined && failure.kind !== 'aborted' ? this.#statusError() : ofFailure(this.#options.upstream, failure));
  }

  #statusError(): Error {
    const { status, headers } = this.#refused ?? { status: 0, headers: {} };
    const { upstream, secrets } = this.#options;
    return ofStatus(upstream, { status, headers, body: this.#errorBody.take(), inSession: false, secrets: secrets() });
  }

  #drop(error: Error): void {
    this.abort();
    this.#finish(error);
  }

  #finish(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parser.close();
    this.#options.onEnd(error);
  }
}
