import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { classifyFailure, HttpFailure } from './http-failure.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: URL;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** What hears an answer. `head` comes once and is final: interim answers (1xx) are skipped, redirects are failures. */
export interface ResponseSink {
  head(status: number, headers: IncomingHttpHeaders): void;
  data(chunk: Buffer): void;
  end(): void;
  fail(failure: HttpFailure): void;
}

/**
 * One request on its way through undici, which calls `onRequestStart` right before it writes the first byte: what fails
 * earlier was certainly not sent.
 */
export class Flight implements Dispatcher.DispatchHandler {
  readonly #host: string;
  readonly #url: URL;
  readonly #sink: ResponseSink;
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.#aborted();
  #controller: Dispatcher.DispatchController | undefined;
  #done = false;

  constructor(url: URL, sink: ResponseSink, signal: AbortSignal) {
    this.#url = url;
    this.#host = url.host;
    this.#sink = sink;
    this.#signal = signal;
    if (signal.aborted) this.#aborted();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  get done(): boolean {
    return this.#done;
  }

  abort(): void {
    this.#finish();
    this.#controller?.abort(new HttpFailure('aborted', true, 'aborted'));
  }

  pause(): void {
    if (!this.#done) this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  fail(failure: HttpFailure): void {
    if (!this.#finish()) return;
    this.#sink.fail(failure);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown here, undici drops the request and keeps the socket. A second start would send the request twice.
    if (this.#done || this.#controller !== undefined) throw new HttpFailure('aborted', this.#controller !== undefined, 'aborted');
    this.#controller = controller;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // One buffer for each name and value, with what they were read in: nobody reads them, and a call may wait for long.
    controller.rawHeaders = null;
    if (this.#done || status < 200) return;
    if (status >= 300 && status < 400) {
      this.#endWith(new HttpFailure('redirect', true, this.#redirect(status, headers.location), { status }));
      return;
    }
    this.#sink.head(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#done) this.#sink.data(chunk);
  }

  onResponseEnd(): void {
    if (this.#finish()) this.#sink.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#done) return;
    this.#endWith(classifyFailure(error, this.#controller !== undefined, this.#host));
  }

  #aborted(): void {
    const sent = this.#controller !== undefined;
    this.#endWith(new HttpFailure('aborted', sent, 'the request was aborted', { cause: this.#signal.reason }));
  }

  /** Fails and takes the socket down: the rest of an answer that nobody reads must not arrive on it. */
  #endWith(failure: HttpFailure): void {
    if (!this.#finish()) return;
    this.#controller?.abort(failure);
    this.#sink.fail(failure);
  }

  #finish(): boolean {
    if (this.#done) return false;
    this.#done = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    return true;
  }

  #redirect(status: number, location: string | undefined): string {
    const target = location === undefined ? null : URL.parse(location, this.#url.href);
    const where = target === null ? 'nowhere' : target.host || `a ${target.protocol} URL`;
    return `redirects to ${where} (status ${status}); redirects are never followed, configure the final URL`;
  }
}
