import { isJsonObject, type JsonObject } from '../core/mcp.ts';
import type { SendOptions, Transport } from '../core/ports.ts';
import type { UpstreamSettings } from './settings.ts';

/** The way back for one message that was sent. */
export interface SampleStream {
  /** Sends a message: on the request's own stream of an exchange, else on the one channel. */
  say(message: unknown): void;
  /** Sends bytes as they are. */
  write(bytes: Buffer): void;
  /** Ends the exchange; a channel stays. */
  end(error?: unknown): void;
  readonly options: SendOptions;
}

export type SampleServer = (message: JsonObject, stream: SampleStream) => void;

/** A transport without a wire, for tests: a function is the upstream. */
export class SampleTransport implements Transport {
  readonly kind: 'channel' | 'exchange';
  onMessage: (message: Buffer) => void = () => {};
  onClose: (reason: Error) => void = () => {};
  /** Every message that was sent, parsed. */
  readonly sent: JsonObject[] = [];
  /** Exchanges whose stream is open. */
  streams = 0;
  opens = 0;
  closes = 0;
  readonly #server: SampleServer;
  readonly #ends = new Set<(error: unknown) => void>();

  constructor(kind: 'channel' | 'exchange', server: SampleServer) {
    this.kind = kind;
    this.#server = server;
  }

  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.opens++;
  }

  async send(bytes: Buffer, options: SendOptions): Promise<void> {
    options.signal.throwIfAborted();
    const message: unknown = JSON.parse(bytes.toString('utf8'));
    if (!isJsonObject(message)) throw new TypeError('only single messages are sent');
    this.sent.push(message);
    if (this.kind === 'channel' || !options.expectsAnswer) {
      const write = (reply: Buffer) => this.onMessage(reply);
      this.#server(message, { write, say: (reply) => write(Buffer.from(JSON.stringify(reply))), end: () => {}, options });
      return;
    }
    await this.#exchange(message, options);
  }

  /** The connection breaks. */
  break(reason: Error): void {
    this.onClose(reason);
  }

  /** A message that belongs to no request. */
  say(message: unknown): void {
    this.onMessage(Buffer.from(JSON.stringify(message)));
  }

  async close(): Promise<void> {
    this.closes++;
    for (const end of [...this.#ends]) end(new Error('closed'));
  }

  #exchange(message: JsonObject, options: SendOptions): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.streams++;
    const finish = (error?: unknown) => {
      if (!this.#ends.delete(finish)) return;
      this.streams--;
      options.signal.removeEventListener('abort', onAbort);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onAbort = () => finish(options.signal.reason);
    this.#ends.add(finish);
    options.signal.addEventListener('abort', onAbort, { once: true });
    const write = (reply: Buffer) => {
      if (this.#ends.has(finish) && options.deliver?.(reply) === true) finish();
    };
    this.#server(message, { write, say: (reply) => write(Buffer.from(JSON.stringify(reply))), end: finish, options });
    return promise;
  }
}

/** Settings with the defaults of aggregator.md, for tests. */
export function sampleSettings(overrides: Partial<UpstreamSettings> = {}): UpstreamSettings {
  return {
    name: 'S',
    target: { type: 'stdio', command: 'sample', args: [], env: {}, cwd: '/', allowUnsafeEnv: false },
    protocol: 'auto',
    timeouts: { connect: 30_000, startup: 30_000, list: 10_000 },
    health: { interval: 30_000, timeout: 5_000, failures: 3, staleFor: 600_000 },
    retry: { initial: 2_000, factor: 2, max: 120_000, jitter: 0 },
    sharing: 'session',
    pool: { idleTimeout: 1_800_000, maxErrorCount: 10, closeDelay: 60_000, maxConnections: 128 },
    ...overrides,
  };
}

export function remote(url: string, type: 'streamable-http' | 'sse' = 'streamable-http'): UpstreamSettings['target'] {
  return { type: 'remote', endpoints: [{ url, type, priority: 0, weight: 1 }], headers: {} };
}
