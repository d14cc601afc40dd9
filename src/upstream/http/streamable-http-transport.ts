import type { IncomingHttpHeaders } from 'node:http';
import { type Clock, sleep } from '../../core/clock.ts';
import { type Era, MODERN_VERSION } from '../../core/mcp.ts';
import { encodeHeaderValue } from '../../core/mcp-headers.ts';
import type { SendOptions, Transport } from '../../core/ports.ts';
import { Secret } from '../../core/secret.ts';
import { AnswerReader, type Outcome, type ReaderOptions } from './answer-reader.ts';
import type { HttpRequest } from './flight.ts';
import type { HttpClient } from './http-client.ts';
import { echoesOf } from './mask.ts';
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

/** What the handshake agreed on. */
export interface Protocol {
  readonly era: Era;
  readonly version: string;
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

  readonly #url: URL;
  readonly #name: string;
  readonly #client: HttpClient;
  readonly #clock: Clock;
  readonly #maxMessageBytes: number;
  /** One function for all calls: thousands may wait. */
  readonly #secretsNow = (): readonly string[] => this.#echoes();
  readonly #running = new Set<AnswerReader>();
  readonly #life = new AbortController();
  #headers: Record<string, string> = {};
  #secrets: readonly string[] = [];
  #protocol: Protocol | undefined;
  #sessionId: string | undefined;
  #sessionLost = false;
  #serverStream: ServerStream | undefined;
  #closing: Promise<void> | undefined;

  /** Does no I/O. Throws a TypeError when the URL does not parse. */
  constructor(target: StreamableHttpTarget, options: StreamableHttpOptions) {
    this.#url = new URL(target.url);
    this.#name = target.name;
    this.#client = options.client;
    this.#clock = options.clock;
    this.#maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
    this.setHeaders(target.headers);
  }

  /** The session that the upstream opened, if any. */
  get sessionId(): string | undefined {
    return this.#sessionId;
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
    this.#headers = plain;
    this.#secrets = secrets;
  }

  /** Told after the handshake, and before a probe of the modern era: decides about version, method and session headers. */
  setProtocol(protocol: Protocol): void {
    this.#protocol = protocol;
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
    const initialize = options.method === 'initialize';
    if (initialize) this.#forgetSession();
    const headers = this.#postHeaders(options);
    const inSession = headers['mcp-session-id'] !== undefined;
    const sessionId = this.#sessionId;
    const exchanged = this.#exchange({ method: 'POST', url: this.#url, headers, body: message }, options.signal, {
      expects: options.expectsAnswer ? 'answer' : 'nothing',
      deliver: options.deliver ?? refuseMessage,
      inSession,
      ...(initialize ? { onHead: (head: IncomingHttpHeaders) => this.#takeSession(head) } : {}),
    });
    return exchanged.then((outcome) => {
      if (outcome.kind === 'failed' && outcome.status === 404 && inSession && sessionId === this.#sessionId) this.#sessionLost = true;
      if (outcome.kind !== 'cut') return settle(outcome, options.signal);
      if (this.#protocol?.era === 'modern' || outcome.lastEventId === undefined)
        throw lost(this.#name, { reason: 'the stream ended before the answer' });
      return this.#resume(outcome.lastEventId, outcome.retry, options);
    });
  }

  /**
   * Opens the legacy GET stream and keeps it open while the session lives. Resolves with whether the upstream offers one,
   * as soon as that is known: a server may be slow to say so, hence a handshake does not wait for it. Modern: false.
   *
   * @param signal ends the stream
   */
  openServerStream(signal: AbortSignal): Promise<boolean> {
    if (this.#closing !== undefined || this.#protocol?.era !== 'legacy') return Promise.resolve(false);
    this.#serverStream ??= new ServerStream({
      clock: this.#clock,
      signal: AbortSignal.any([signal, this.#life.signal]),
      connect: (lastEventId, until, onOpen) =>
        this.#exchange(this.#getRequest(lastEventId), until, {
          expects: 'stream',
          deliver: (message) => {
            this.onMessage(message);
            return false;
          },
          inSession: this.#sessionId !== undefined,
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
    if (this.#sessionId === undefined || this.#sessionLost || this.#protocol?.era === 'modern') return;
    const deadline = new AbortController();
    const timer = this.#clock.after(END_MS, () => deadline.abort());
    const request: HttpRequest = { method: 'DELETE', url: this.#url, headers: this.#sessionHeaders() };
    await this.#exchange(request, deadline.signal, { expects: 'nothing', deliver: refuseMessage, inSession: true });
    timer.cancel();
  }

  #exchange(
    request: HttpRequest,
    signal: AbortSignal,
    options: Pick<ReaderOptions, 'expects' | 'deliver' | 'inSession' | 'onHead'>,
  ): Promise<Outcome> {
    const reader = new AnswerReader(
      { upstream: this.#name, clock: this.#clock, maxMessageBytes: this.#maxMessageBytes, secrets: this.#secretsNow, ...options },
      this.#running,
    );
    return reader.start(this.#client, request, signal);
  }

  /** Follows a stream by its event ids until the answer comes, into the same call. */
  async #resume(from: string, after: number | undefined, options: SendOptions): Promise<void> {
    const signal = AbortSignal.any([options.signal, this.#life.signal]);
    let lastEventId = from;
    let retry = after;
    for (let fruitless = 0; fruitless < RESUME_TRIES; ) {
      await sleep(this.#clock, Math.max(retry ?? DEFAULT_RETRY_MS, MIN_RETRY_MS), signal);
      const outcome = await this.#exchange(this.#getRequest(lastEventId), signal, {
        expects: 'stream',
        deliver: options.deliver ?? refuseMessage,
        inSession: this.#sessionId !== undefined,
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
    const resume = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    return { method: 'GET', url: this.#url, headers: { ...this.#sessionHeaders(), accept: 'text/event-stream', ...resume } };
  }

  #postHeaders(options: SendOptions): Record<string, string> {
    const content = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const { method } = options;
    if (this.#protocol?.era === 'legacy') {
      return { ...(method === 'initialize' ? this.#headers : this.#sessionHeaders()), ...content };
    }
    const headers: Record<string, string> = { ...this.#headers, ...options.headers, ...content };
    if (this.#protocol === undefined) return this.#sessionId === undefined ? headers : { ...headers, 'mcp-session-id': this.#sessionId };
    headers['mcp-protocol-version'] = MODERN_VERSION;
    if (method !== undefined) headers['mcp-method'] = encodeHeaderValue(method);
    return headers;
  }

  #sessionHeaders(): Record<string, string> {
    return {
      ...this.#headers,
      ...(this.#protocol?.era === 'legacy' ? { 'mcp-protocol-version': this.#protocol.version } : {}),
      ...(this.#sessionId === undefined ? {} : { 'mcp-session-id': this.#sessionId }),
    };
  }

  #takeSession(headers: IncomingHttpHeaders): void {
    const id = headers['mcp-session-id'];
    if (id === undefined) return;
    if (typeof id !== 'string' || !SESSION_ID.test(id)) throw invalid(this.#name, 'sent an Mcp-Session-Id that is not visible ASCII');
    this.#sessionId = id;
  }

  #forgetSession(): void {
    this.#sessionId = undefined;
    this.#sessionLost = false;
    this.#serverStream?.stop();
    this.#serverStream = undefined;
  }

  #echoes(): readonly string[] {
    return this.#sessionId === undefined ? this.#secrets : [...this.#secrets, this.#sessionId];
  }
}

function settle(outcome: Exclude<Outcome, { kind: 'cut' }>, signal: AbortSignal): void {
  if (outcome.kind === 'failed') throw outcome.error;
  if (outcome.kind === 'aborted') throw signal.reason;
}

/** Whether asking again is of no use. */
function isRefusal(status: number): boolean {
  return status < 500 && status !== 408 && status !== 429;
}

function refuseMessage(): boolean {
  return false;
}
