import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Arrival, Turn } from '../../core/turn.ts';
import { classifyFailure, HttpFailure } from './http-failure.ts';
import type { Route } from './route.ts';

const ONCE = { once: true } as const;
/** About what one read of a socket brings. */
const MAX_WAITING_BYTES = 64 * 1024;

/**
 * One request on its way through undici, which calls `onRequestStart` right before it writes the first byte: what fails
 * earlier was certainly not sent. What hears the answer extends it, so that a request is one object: `head` comes once and
 * is final (interim answers are skipped, redirects are failures), then `data`…, `end`, or at any point `fail`; nothing
 * after `end` or `fail`.
 */
export abstract class Flight implements Dispatcher.DispatchHandler, Arrival {
  readonly route: Route;
  readonly #signal: AbortSignal;
  #controller: Dispatcher.DispatchController | undefined;
  /** Where it waits until what came in with it is read (`Turn`). */
  #turn: Turn<Arrival> | undefined;
  #waits = false;
  /** The pieces that wait so, of which most answers have one; their bytes, and whether they are the last. */
  #piece: Buffer | undefined;
  #more: Buffer[] | undefined;
  #arrived = 0;
  #over = false;
  #done = false;

  /** @param signal its abort fails the request with kind `aborted` */
  constructor(route: Route, signal: AbortSignal) {
    this.route = route;
    this.#signal = signal;
  }

  protected abstract head(status: number, headers: IncomingHttpHeaders): void;
  protected abstract data(chunk: Buffer): void;
  protected abstract end(): void;
  protected abstract failed(failure: HttpFailure): void;

  /** Nothing will be heard any more. */
  get done(): boolean {
    return this.#done;
  }

  /** Called by the client first: from here on the signal is heeded. Returns whether there is still something to send. */
  begin(turn: Turn<Arrival>): boolean {
    this.#turn = turn;
    if (this.#signal.aborted) this.handleEvent();
    else this.#signal.addEventListener('abort', this, ONCE);
    return !this.#done;
  }

  /** Ends it and destroys its socket; nothing more is heard. Idempotent. */
  abort(): void {
    if (this.#finish()) this.#controller?.abort(new HttpFailure('aborted', true, 'aborted'));
  }

  /** Reads no further until `release`. */
  protected hold(): void {
    if (!this.#done) this.#controller?.pause();
  }

  protected release(): void {
    if (!this.#done) this.#controller?.resume();
  }

  /** The client cannot send it. */
  fail(failure: HttpFailure): void {
    if (this.#finish()) this.failed(failure);
  }

  /** The signal aborted. */
  handleEvent(): void {
    const sent = this.#controller !== undefined;
    this.#endWith(new HttpFailure('aborted', sent, 'the request was aborted', { cause: this.#signal.reason }));
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
    if (status >= 300 && status < 400) this.#endWith(this.#redirected(status, headers.location));
    else this.head(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#done) return;
    if (this.#piece === undefined) this.#piece = chunk;
    else if (this.#more === undefined) this.#more = [chunk];
    else this.#more.push(chunk);
    this.#arrived += chunk.length;
    // What is large must not gather.
    if (this.#arrived > MAX_WAITING_BYTES) this.#take();
    else this.#readSoon();
  }

  onResponseEnd(): void {
    this.#over = true;
    this.#readSoon();
  }

  #readSoon(): void {
    if (this.#turn === undefined) this.#take();
    else if (!this.#waits) {
      this.#waits = true;
      this.#turn.add(this);
    }
  }

  /** Called by the client: hears what came in. */
  read(): void {
    this.#waits = false;
    this.#take();
  }

  #take(): void {
    const piece = this.#piece;
    const more = this.#more;
    this.#piece = undefined;
    this.#more = undefined;
    this.#arrived = 0;
    if (piece !== undefined && !this.#done) this.data(piece);
    if (more !== undefined) for (const each of more) if (!this.#done) this.data(each);
    if (this.#over && this.#finish()) this.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#take();
    if (!this.#done) this.#endWith(classifyFailure(error, this.#controller !== undefined, this.route.host));
  }

  /** Fails and takes the socket down: the rest of an answer that nobody reads must not arrive on it. */
  #endWith(failure: HttpFailure): void {
    if (!this.#finish()) return;
    this.#controller?.abort(failure);
    this.failed(failure);
  }

  #finish(): boolean {
    if (this.#done) return false;
    this.#done = true;
    this.#signal.removeEventListener('abort', this);
    return true;
  }

  #redirected(status: number, location: string | undefined): HttpFailure {
    const target = location === undefined ? null : URL.parse(location, this.route.url.href);
    const where = target === null ? 'nowhere' : target.host || `a ${target.protocol} URL`;
    const text = `redirects to ${where} (status ${status}); redirects are never followed, configure the final URL`;
    return new HttpFailure('redirect', true, text, { status });
  }
}
