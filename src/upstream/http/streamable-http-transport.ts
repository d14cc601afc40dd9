import type { IncomingHttpHeaders } from 'node:http';
import { type Clock, sleep } from '../../core/clock.ts';
import { LinkedAbort } from '../../core/linked-abort.ts';
import type { SendOptions, Transport } from '../../core/ports.ts';
import { Secret } from '../../core/secret.ts';
import { Slots } from '../../core/slots.ts';
import { AnswerReader, type Cut, type Outcome, type ReaderContext, type ReaderOptions } from './answer-reader.ts';
import type { HttpClient, HttpRequest } from './http-client.ts';
import { echoesOf } from './mask.ts';
import { type Protocol, RequestHeaders } from './request-headers.ts';
import { Route } from './route.ts';
import { ServerStream } from './server-stream.ts';
import { closed, invalid, lost } from './upstream-errors.ts';

export interface StreamableHttpTarget {
  readonly url: string;
  /** Sent with every request; protocol headers win over them. */
  readonly headers: Readonly<Record<string, string | Secret>>;
  /** The upstream's name, for errors. */
  readonly name: string;
}

export interface StreamableHttpOptions {
  /** Shared by the connections of one upstream; closed by its owner, not by this transport. */
  readonly client: HttpClient;
  readonly clock: Clock;
  /** Bytes of one message. Default 16 MiB. */
  readonly maxMessageBytes?: number;
}

export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** How long the upstream may take to hear that its session ended. */
const END_MS = 2000;
/** Attempts to resume a stream that bring nothing new, before the answer counts as lost (protocol.md section 4). */
const RESUME_TRIES = 3;
/** Milliseconds before a stream is resumed, when the server named none. */
const DEFAULT_RETRY_MS = 1000;
/** A server that says `retry: 0` and closes at once must not make a busy loop. */
const MIN_RETRY_MS = 50;
const SESSION_ID = /^[\x21-\x7e]{1,1024}$/;

/**
 * Streamable HTTP of both eras: one POST per message, its answers as JSON or as an event stream (MCP 2025-11-25 and
 * 2026-07-28, "Transports"; protocol.md section 4). Sessions, the GET stream and resumption are legacy only.
 */
export class StreamableHttpTransport implements Transport {
  readonly kind = 'exchange';
  onMessage: (message: Buffer) => void = () => undefined;
  onClose: (reason: Error) => void = () => undefined;

  readonly #route: Route;
  readonly #name: string;
  readonly #client: HttpClient;
  readonly #clock: Clock;
  readonly #running = new Slots<AnswerReader>();
  readonly #context: ReaderContext;
  readonly #headers = new RequestHeaders();
  readonly #life = new AbortController();
  #secrets: readonly string[] = [];
  #sessionLost = false;
  #serverStream: ServerStream | undefined;
  #closing: Promise<void> | undefined;

  /** Does no I/O. Throws a TypeError when the URL does not parse. */
  constructor(target: StreamableHttpTarget, options: StreamableHttpOptions) {
    this.#route = new Route(new URL(target.url));
    this.#name = target.name;
    this.#client = options.client;
    this.#clock = options.clock;
    this.#context = {
      upstream: target.name,
      clock: options.clock,
      maxMessageBytes: options.maxMessageBytes ?? MAX_MESSAGE_BYTES,
      secrets: () => this.#echoes(),
      running: this.#running,
    };
    this.setHeaders(target.headers);
  }

  /** The session that the upstream opened, if any. */
  get sessionId(): string | undefined {
    return this.#headers.sessionId;
  }

  /** Replaces the configured headers, for a renewed credential: the session stays. */
  setHeaders(headers: Readonly<Record<string, string | Secret>>): void {
    const plain: Record<string, string> = {};
    const secrets: string[] = [];
    for (const [name, value] of Object.entries(headers)) {
      const text = value instanceof Secret ? value.reveal() : value;
      if (value instanceof Secret) secrets.push(...echoesOf(text));
      plain[name.toLowerCase()] = text;
    }
    this.#headers.configure(plain);
    this.#secrets = secrets;
  }

  /** Told after the handshake, and before a probe of the modern era: decides about version, method and session headers. */
  setProtocol(protocol: Protocol): void {
    this.#headers.protocol = protocol;
  }

  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#closing !== undefined) throw closed(this.#name);
  }

  /**
   * As `Transport.send`. Further errors: `upstream/protocol` for redirects, statuses below 500, messages that are too
   * large and bodies that are neither JSON nor events; `upstream/down` (not retryable) for 5xx, 408 and 429. An error
   * that a status caused has a `StatusData` as `details.data`. Rejects with the signal's reason when that aborts.
   */
  send(message: Buffer, options: SendOptions): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closed(this.#name));
    return new Promise((resolve, reject) => {
      const { method, signal, expectsAnswer, deliver = refuseMessage } = options;
      const initialize = method === 'initialize';
      if (initialize) this.#forgetSession();
      const { inSession, sessionId } = this.#headers;
      const request: HttpRequest = { method: 'POST', headers: this.#headers.ofMessage(method, options.headers), body: message };
      this.#dispatch(request, {
        signal,
        expects: expectsAnswer ? 'answer' : 'nothing',
        deliver,
        inSession,
        flow: options.flow,
        onHead: initialize ? (head) => this.#takeSession(head) : undefined,
        onEnd: (outcome) => {
          if (outcome.kind === 'answered' || outcome.kind === 'accepted') resolve();
          else if (outcome.kind === 'aborted') reject(signal.reason);
          else if (outcome.kind === 'cut') this.#resume(outcome, options).then(resolve, reject);
          else {
            if (outcome.status === 404 && inSession && sessionId === this.#headers.sessionId) this.#sessionLost = true;
            reject(outcome.error);
          }
        },
      });
    });
  }

  /**
   * Opens the legacy GET stream and keeps it open while the session lives. Resolves with whether the upstream offers one,
   * as soon as that is known: a server may be slow to say so, hence a handshake does not wait for it. Modern: false.
   *
   * @param signal ends the stream
   */
  openServerStream(signal: AbortSignal): Promise<boolean> {
    if (this.#closing !== undefined || this.#headers.protocol?.era !== 'legacy') return Promise.resolve(false);
    this.#serverStream ??= new ServerStream({
      clock: this.#clock,
      signals: [signal, this.#life.signal],
      connect: (lastEventId, until, onOpen) =>
        this.#exchange(this.#getRequest(lastEventId), {
          signal: until,
          expects: 'stream',
          deliver: (message) => {
            this.onMessage(message);
            return false;
          },
          inSession: this.#headers.sessionId !== undefined,
          onHead: onOpen,
        }),
      onDead: (error) => {
        if (this.#closing === undefined) this.onClose(error);
      },
    });
    return this.#serverStream.open();
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    const reason = lost(this.#name, { reason: 'the connection was closed while the request ran' });
    this.#life.abort(reason);
    for (const reader of [...this.#running]) reader.stop(reason);
    if (this.sessionId === undefined || this.#sessionLost || this.#headers.protocol?.era === 'modern') return;
    const deadline = new AbortController();
    const timer = this.#clock.after(END_MS, () => deadline.abort());
    const request: HttpRequest = { method: 'DELETE', headers: this.#headers.ofEnd() };
    await this.#exchange(request, { signal: deadline.signal, expects: 'nothing', deliver: refuseMessage, inSession: true, onHead: undefined });
    timer.cancel();
  }

  #dispatch(request: HttpRequest, options: ReaderOptions): void {
    this.#client.dispatch(new AnswerReader(this.#route, this.#context, options), request);
  }

  #exchange(request: HttpRequest, options: Omit<ReaderOptions, 'onEnd'>): Promise<Outcome> {
    return new Promise((onEnd) => this.#dispatch(request, { ...options, onEnd }));
  }

  /** Follows a stream by its event ids until the answer comes, into the same call. */
  async #resume({ lastEventId: from, retry: after }: Cut, options: SendOptions): Promise<void> {
    if (this.#headers.protocol?.era === 'modern' || from === undefined) throw lost(this.#name, { reason: 'the stream ended before the answer' });
    using either = new LinkedAbort(options.signal, this.#life.signal);
    const { signal } = either;
    let lastEventId = from;
    let retry = after;
    for (let fruitless = 0; fruitless < RESUME_TRIES; ) {
      await sleep(this.#clock, Math.max(retry ?? DEFAULT_RETRY_MS, MIN_RETRY_MS), signal);
      const outcome = await this.#exchange(this.#getRequest(lastEventId), {
        signal,
        expects: 'stream',
        deliver: options.deliver ?? refuseMessage,
        inSession: this.sessionId !== undefined,
        flow: options.flow,
        onHead: undefined,
      });
      if (outcome.kind === 'answered') return;
      if (outcome.kind === 'aborted') throw signal.reason;
      fruitless++;
      if (outcome.kind === 'cut') {
        // A server that polls closes after each event id; as long as ids move on, the call is alive.
        if (outcome.lastEventId !== undefined && outcome.lastEventId !== lastEventId) fruitless = 0;
        lastEventId = outcome.lastEventId ?? lastEventId;
        retry = outcome.retry ?? retry;
      } else if (outcome.kind === 'failed' && outcome.status !== undefined && isRefusal(outcome.status)) {
        throw lost(this.#name, { reason: `resuming the stream was refused with status ${outcome.status}`, cause: outcome.error });
      } else if (outcome.kind === 'failed' && this.#closing !== undefined) throw outcome.error;
    }
    throw lost(this.#name, { reason: `the stream could not be resumed in ${RESUME_TRIES} tries` });
  }

  #getRequest(lastEventId: string | undefined): HttpRequest {
    return { method: 'GET', headers: this.#headers.ofStream(lastEventId) };
  }

  #takeSession(headers: IncomingHttpHeaders): void {
    const id = headers['mcp-session-id'];
    if (id === undefined) return;
    if (typeof id !== 'string' || !SESSION_ID.test(id)) throw invalid(this.#name, 'sent an Mcp-Session-Id that is not visible ASCII');
    this.#headers.sessionId = id;
  }

  #forgetSession(): void {
    this.#headers.sessionId = undefined;
    this.#sessionLost = false;
    this.#serverStream?.stop();
    this.#serverStream = undefined;
  }

  #echoes(): readonly string[] {
    return this.sessionId === undefined ? this.#secrets : [...this.#secrets, this.sessionId];
  }
}

/** Whether asking again is of no use. */
function isRefusal(status: number): boolean {
  return status < 500 && status !== 408 && status !== 429;
}

function refuseMessage(): boolean {
  return false;
}
