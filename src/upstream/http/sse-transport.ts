import type { Clock } from '../../core/clock.ts';
import type { SendOptions, Transport } from '../../core/ports.ts';
import { Secret } from '../../core/secret.ts';
import { Slots } from '../../core/slots.ts';
import { AnswerReader, type Outcome, type ReaderContext } from './answer-reader.ts';
import { EventStreamReader } from './event-stream-reader.ts';
import type { HttpClient } from './http-client.ts';
import { echoesOf } from './mask.ts';
import { Route } from './route.ts';
import { MAX_MESSAGE_BYTES, type StreamableHttpTarget } from './streamable-http-transport.ts';
import { closed, invalid, lost } from './upstream-errors.ts';

export interface SseOptions {
  /** Shared by the connections of one upstream; closed by its owner, not by this transport. */
  readonly client: HttpClient;
  readonly clock: Clock;
  /** Bytes of one message. Default 16 MiB. */
  readonly maxMessageBytes?: number;
}

/**
 * HTTP+SSE of MCP 2024-11-05: one GET stream brings a URL and then every message; messages go out by POST to that URL.
 * The stream cannot be resumed: its end is the end of the connection.
 */
export class SseTransport implements Transport {
  readonly kind = 'channel';
  onMessage: (message: Buffer) => void = () => undefined;
  onClose: (reason: Error) => void = () => undefined;

  readonly #url: URL;
  readonly #name: string;
  readonly #options: SseOptions;
  readonly #maxMessageBytes: number;
  readonly #running = new Slots<AnswerReader>();
  readonly #life = new AbortController();
  readonly #headers: Record<string, string> = {};
  readonly #postHeaders: string[];
  readonly #secrets: string[] = [];
  #endpoint: Route | undefined;
  #context: ReaderContext | undefined;
  #opened: Promise<void> | undefined;
  #ended: Error | undefined;

  /** Does no I/O. Throws a TypeError when the URL does not parse. */
  constructor(target: StreamableHttpTarget, options: SseOptions) {
    this.#url = new URL(target.url);
    this.#name = target.name;
    this.#options = options;
    this.#maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
    for (const [name, value] of Object.entries(target.headers)) {
      this.#headers[name.toLowerCase()] = value instanceof Secret ? value.reveal() : value;
      if (value instanceof Secret) this.#secrets.push(...echoesOf(value.reveal()));
    }
    this.#postHeaders = Object.entries({
      ...this.#headers,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    }).flat();
  }

  /**
   * Opens the stream and waits for its `endpoint` event. Throws `upstream/down`, `upstream/login`, and `upstream/protocol`
   * when the answer is no event stream or the endpoint is of another origin.
   */
  open(signal: AbortSignal): Promise<void> {
    this.#opened ??= this.#open(signal);
    return this.#opened;
  }

  async #open(signal: AbortSignal): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stream = new EventStreamReader(new Route(this.#url), this.#life.signal, {
      upstream: this.#name,
      maxMessageBytes: this.#maxMessageBytes,
      secrets: () => this.#secrets,
      onEvent: (event, data) => {
        if (event === 'message' && data.length > 0) this.onMessage(data);
        else if (event === 'endpoint' && this.#endpoint === undefined) {
          this.#endpoint = new Route(this.#resolveEndpoint(data.toString('utf8')));
          resolve();
        }
      },
      onEnd: (error) => {
        reject(error);
        this.#end(error);
      },
    });
    const onAbort = () => this.#life.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const headers = Object.entries({ ...this.#headers, accept: 'text/event-stream' }).flat();
    this.#options.client.dispatch(stream, { method: 'GET', headers });
    try {
      await promise;
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Resolves when the upstream took the message (any 2xx). Statuses are mapped as by `StreamableHttpTransport.send`. */
  send(message: Buffer, { signal }: SendOptions): Promise<void> {
    const endpoint = this.#endpoint;
    if (this.#ended !== undefined || endpoint === undefined) return Promise.reject(closed(this.#name));
    return new Promise((resolve, reject) => {
      const onEnd = (outcome: Outcome) => {
        if (outcome.kind === 'failed') reject(outcome.error);
        else if (outcome.kind === 'aborted') reject(signal.reason);
        else resolve();
      };
      // The session stands in the endpoint's URL: 404 says that it is forgotten.
      const options = { signal, expects: 'nothing', deliver: () => false, onHead: undefined, inSession: true, onEnd } as const;
      const reader = new AnswerReader(endpoint, this.#readerContext(endpoint), options);
      this.#options.client.dispatch(reader, { method: 'POST', headers: this.#postHeaders, body: message });
    });
  }

  async close(): Promise<void> {
    this.#ended ??= closed(this.#name);
    const reason = lost(this.#name, { reason: 'the connection was closed while the request ran' });
    this.#life.abort(reason);
    for (const reader of [...this.#running]) reader.stop(reason);
  }

  #readerContext(endpoint: Route): ReaderContext {
    this.#context ??= {
      upstream: this.#name,
      clock: this.#options.clock,
      maxMessageBytes: this.#maxMessageBytes,
      secrets: () => [...this.#secrets, ...endpoint.url.searchParams.values()],
      running: this.#running,
    };
    return this.#context;
  }

  /** The stream decides where we post, so it must not send us, and the credential in our headers, elsewhere. */
  #resolveEndpoint(text: string): URL {
    const url = URL.parse(text, this.#url.href);
    if (url === null) throw invalid(this.#name, 'named an endpoint that is not a URL');
    if (url.origin !== this.#url.origin || url.username !== '' || url.password !== '')
      throw invalid(this.#name, `named an endpoint of another origin (${url.host})`);
    return url;
  }

  #end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    if (this.#endpoint !== undefined) this.onClose(error);
  }
}
