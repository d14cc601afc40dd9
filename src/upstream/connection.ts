import type { Clock } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { type Answer, type Era, type JsonObject, RPC } from '../core/mcp.ts';
import type { Connection, ConnectionEvent, Transport, UpstreamCall } from '../core/ports.ts';
import { SingleFlight } from '../core/single-flight.ts';
import { Peer } from './peer.ts';

/** What a handshake found out. */
export interface Handshake {
  readonly era: Era;
  readonly version: string;
  readonly serverInfo: JsonObject;
  readonly capabilities: JsonObject;
  readonly instructions?: string;
}

export interface LinkOptions {
  readonly name: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly clientInfo: JsonObject;
  readonly onDropped: (what: string) => void;
}

/**
 * One upstream connection: a transport, the peer that speaks on it, and what the handshake agreed on. A legacy session
 * that the upstream forgot is opened again once and the request, which was not processed, is sent again (aggregator.md
 * section 1, "404").
 */
export class Link implements Connection {
  onRequest: NonNullable<Connection['onRequest']> = refuseOutsideCall;
  readonly peer: Peer;
  readonly transport: Transport;
  readonly #name: string;
  readonly #listeners = new Set<(event: ConnectionEvent) => void>();
  readonly #renewal = new SingleFlight<'session', void>();
  readonly #life = new AbortController();
  #handshake: Handshake | undefined;
  #renew: ((signal: AbortSignal) => Promise<Handshake>) | undefined;
  #generation = 0;
  #dead: Error | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: LinkOptions) {
    this.#name = options.name;
    this.transport = options.transport;
    this.peer = new Peer({
      ...options,
      onNotification: (method, params) => this.#emit({ kind: 'notification', method, params }),
      onRequest: (method, params, signal) => this.onRequest(method, params, signal),
    });
    options.transport.onClose = (reason) => this.#lost(reason);
  }

  /** Called by the handshake. `renew` repeats it for a forgotten session. */
  agreed(handshake: Handshake, renew?: (signal: AbortSignal) => Promise<Handshake>): void {
    this.#handshake = handshake;
    this.#renew = renew;
    this.peer.era = handshake.era;
  }

  get era(): Era {
    return this.#known().era;
  }

  get version(): string {
    return this.#known().version;
  }

  get serverInfo(): JsonObject {
    return this.#known().serverInfo;
  }

  get capabilities(): JsonObject {
    return this.#known().capabilities;
  }

  get instructions(): string {
    return this.#known().instructions ?? '';
  }

  get alive(): boolean {
    return this.#dead === undefined;
  }

  /** Aborts when the connection is lost or closed. */
  get ended(): AbortSignal {
    return this.#life.signal;
  }

  async request(call: UpstreamCall): Promise<Answer> {
    const generation = this.#generation;
    try {
      return await this.peer.request(call);
    } catch (error) {
      if (asTurnpikeError(error).code !== 'upstream/session' || this.#renew === undefined) throw error;
      await this.#renewSession(generation, call.signal);
      return this.peer.request(call);
    }
  }

  async notify(method: string, params: Buffer): Promise<void> {
    await this.peer.notify(method, params, this.#life.signal);
  }

  subscribe(listener: (event: ConnectionEvent) => void): () => void {
    const own = (event: ConnectionEvent) => listener(event);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#lost(new TurnpikeError('upstream/lost', `the connection to upstream '${this.#name}' was closed`, { upstream: this.#name }));
      await this.transport.close();
    })();
    return this.#closing;
  }

  #renewSession(generation: number, signal: AbortSignal): Promise<void> {
    // Somebody else has renewed it since the request was sent.
    if (generation !== this.#generation) return Promise.resolve();
    return this.#renewal.run('session', signal, async (until) => {
      const handshake = await this.#renew?.(until);
      if (handshake !== undefined) this.#handshake = handshake;
      this.#generation++;
    });
  }

  #lost(reason: Error): void {
    if (this.#dead !== undefined) return;
    this.#dead = reason;
    this.peer.fail(reason);
    this.#life.abort(reason);
    this.#emit({ kind: 'closed', reason });
    this.#listeners.clear();
  }

  #emit(event: ConnectionEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  #known(): Handshake {
    if (this.#handshake === undefined) throw new TurnpikeError('internal', undefined, { reason: 'a connection was used before its handshake' });
    return this.#handshake;
  }
}

/** Nobody can be asked: roots are empty, everything else is refused (protocol.md section 10, "Attribution"). */
export const refuseOutsideCall: NonNullable<Connection['onRequest']> = async (method) => {
  if (method === 'roots/list') return { kind: 'result', result: toJson({ roots: [] }) };
  const code = RPC.invalidRequest;
  return { kind: 'error', error: toJson({ code, message: `${method} belongs to no call in flight` }), code };
};
