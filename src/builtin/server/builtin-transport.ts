import { toJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import type { SendOptions, Transport } from '../../core/ports.ts';
import { responseMessage } from '../../upstream/envelope.ts';
import { closed, invalid, lost } from '../../upstream/http/upstream-errors.ts';
import type { BuiltinServer, ContextLease } from './builtin-server.ts';

/**
 * Who a message acts for: called for each message whose handler needs it. What it throws is thrown by `send`, so it must be nothing
 * that counts against the connection, which callers share: `auth/…`, `upstream/login`, `session/full`, never `upstream/down`,
 * `upstream/lost`, `upstream/timeout`, `upstream/protocol`.
 */
export type ContextSource<C> = (options: SendOptions, signal: AbortSignal) => ContextLease<C> | Promise<ContextLease<C>>;

/**
 * The way to a server in this process (architecture.md decision 1): an exchange, so that all that holds for upstreams over streamable
 * HTTP holds here. Nothing is shared between messages but the server, which keeps nothing.
 */
export class BuiltinTransport<C> implements Transport {
  readonly kind = 'exchange';
  onMessage: (message: Buffer) => void = () => {};
  onClose: (reason: Error) => void = () => {};
  readonly #name: string;
  readonly #server: BuiltinServer<C>;
  readonly #contexts: ContextSource<C>;
  readonly #running = new Set<AbortController>();
  #closed = false;

  /** @param name of the upstream, for texts */
  constructor(name: string, server: BuiltinServer<C>, contexts: ContextSource<C>) {
    this.#name = name;
    this.#server = server;
    this.#contexts = contexts;
  }

  /** Messages that are being answered. */
  get running(): number {
    return this.#running.size;
  }

  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  async send(message: Buffer, options: SendOptions): Promise<void> {
    options.signal.throwIfAborted();
    if (this.#closed) throw closed(this.#name);
    // The server takes no notifications, and asks nothing that is answered by a message of its own.
    if (!options.expectsAnswer) return;
    const { id, method, params = {} } = JSON.parse(message.toString('utf8')) as JsonObject;
    if ((typeof id !== 'number' && typeof id !== 'string') || typeof method !== 'string' || !isJsonObject(params))
      throw invalid(this.#name, 'was sent something that is no request');
    const controller = new AbortController();
    const onAbort = () => controller.abort(options.signal.reason);
    options.signal.addEventListener('abort', onAbort, { once: true });
    this.#running.add(controller);
    const deliver = (bytes: Buffer) => !controller.signal.aborted && options.deliver?.(bytes);
    try {
      const answer = await this.#server.answer({
        method,
        params,
        signal: controller.signal,
        flow: options.flow,
        notify: (name, said) => void deliver(toJson({ jsonrpc: '2.0', method: name, params: said })),
        context: (signal) => this.#contexts(options, signal),
      });
      controller.signal.throwIfAborted();
      deliver(answer.kind === 'result' ? responseMessage(id, 'result', answer.result) : responseMessage(id, 'error', answer.error));
    } finally {
      options.signal.removeEventListener('abort', onAbort);
      this.#running.delete(controller);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const controller of this.#running) controller.abort(lost(this.#name));
  }
}
