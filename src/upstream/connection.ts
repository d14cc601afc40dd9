import { type Clock, sleep } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { type Answer, type Era, type JsonObject, RPC } from '../core/mcp.ts';
import type { Connection, ConnectionEvent, Relay, Transport, UpstreamCall } from '../core/ports.ts';
import { unlessAborted, within } from './deadline.ts';
import { answerOutsideCall, ownCall } from './own-call.ts';
import { Peer } from './peer.ts';
import { contradicts, namesSession, refusalStatus } from './refusal.ts';
import { SessionMemory } from './session-memory.ts';
import type { Root } from './settings.ts';

/** How long an upstream may take to hear the last words of a connection. */
const LAST_WORDS_MS = 500;

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
  /** As `PeerOptions.shared`. */
  readonly shared?: boolean;
  /** What the upstream is told of roots outside any call (`bridge.roots`). */
  readonly roots?: readonly Root[];
  /** Milliseconds for opening a forgotten session again. */
  readonly renewalMs: number;
  readonly onDropped: (what: string) => void;
  /** The upstream refused a request in a way that contradicts the era of the handshake. */
  readonly onContradiction?: () => void;
  /** A request was certainly not sent: the upstream cannot be reached where this connection leads. */
  readonly onUnreachable?: () => void;
}

/**
 * One upstream connection: a transport, the peer that speaks on it, and what the handshake agreed on. A legacy session
 * that the upstream forgot is opened again once and the request, which was not processed, is sent again (aggregator.md
 * section 1, "404"). Where a connection cannot be mended and the request was certainly not processed, the error is
 * `upstream/down` with `retryable: true`, and `alive` is false: the same request may be sent once on a new one.
 */
export class Link implements Connection {
  onRequest: NonNullable<Connection['onRequest']>;
  readonly peer: Peer;
  readonly transport: Transport;
  readonly #options: LinkOptions;
  readonly #listeners = new Set<(event: ConnectionEvent) => void>();
  readonly #life = new AbortController();
  readonly #session = new SessionMemory();
  #handshake: Handshake | undefined;
  #renew: ((signal: AbortSignal) => Promise<Handshake>) | undefined;
  #renewal: Promise<void> | undefined;
  #generation = 0;
  /** Whether anything was answered since the handshake: until then a refusal is no sign that the upstream changed. */
  #used = false;
  #heardAt: number;
  #hears = true;
  /** Not handed out any more, though what runs may end. */
  #spent = false;
  /** Why it ends once nothing runs on it any more. */
  #ending: Error | undefined;
  #dead = false;
  #closing: Promise<void> | undefined;

  constructor(options: LinkOptions) {
    const { transport, clock, roots = [] } = options;
    this.#options = options;
    this.onRequest = answerOutsideCall(roots);
    this.transport = transport;
    this.#heardAt = clock.monotonic();
    this.peer = new Peer({
      ...options,
      onNotification: (method, params) => this.#emit({ kind: 'notification', method, params }),
      onRequest: (method, params, signal) => this.onRequest(method, params, signal),
    });
    transport.onClose = (reason) => this.#ended(reason);
  }

  /** Called by the handshake: whether a stream brings what belongs to no request, as soon as that is known. */
  hearing(offered: Promise<boolean>): void {
    this.#hears = false;
    offered.then(
      (hears) => {
        this.#hears = hears;
      },
      () => {},
    );
  }

  /** Whether notifications outside requests can reach us. */
  get hears(): boolean {
    return this.#hears;
  }

  /** Called by the handshake. `renew` repeats it for a forgotten session. */
  agreed(handshake: Handshake, renew?: (signal: AbortSignal) => Promise<Handshake>): void {
    this.#handshake = handshake;
    this.#renew = renew;
    this.peer.era = handshake.era;
    this.#heardAt = this.#options.clock.monotonic();
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
    return !this.#dead && !this.#spent;
  }

  /** As `Peer.busy`. */
  get busy(): boolean {
    return this.peer.busy;
  }

  /** Aborts when the connection is lost or closed. */
  get ended(): AbortSignal {
    return this.#life.signal;
  }

  /** Milliseconds since the upstream answered last; 0 while requests wait. */
  get idleFor(): number {
    return this.peer.inFlight > 0 ? 0 : this.#options.clock.monotonic() - this.#heardAt;
  }

  /** As `Peer.request`. Further errors: `upstream/session` when the upstream forgot its session twice. */
  request(call: UpstreamCall): Promise<Answer> {
    // A request that overtakes the handshake would go out without a session.
    if (this.#renewal !== undefined) return unlessAborted(this.#renewal, call.signal).then(() => this.#request(call));
    return this.#request(call);
  }

  // Without a frame that waits: thousands of calls may.
  #request(call: UpstreamCall): Promise<Answer> {
    const generation = this.#generation;
    return this.peer.request(call).then(
      (answer) => this.#answered(call, answer),
      (error: unknown) => this.#failed(call, generation, error),
    );
  }

  #answered(call: UpstreamCall, answer: Answer): Answer {
    try {
      this.#heardAt = this.#options.clock.monotonic();
      if (contradicts(this.era, answer)) this.#contradicted(answer);
      this.#used = true;
      if (this.era === 'legacy' && answer.kind === 'result') this.#session.note(call);
      return answer;
    } finally {
      this.#endWhenIdle();
    }
  }

  async #failed(call: UpstreamCall, generation: number, error: unknown): Promise<Answer> {
    let answer: Answer;
    try {
      if (!this.#forgotten(error)) throw this.#judged(error);
      if (this.#renew === undefined) throw this.#used ? this.#unprocessed(error, 'lost its session') : error;
      await this.#renewSession(generation, call.signal);
      answer = await this.peer.request(call);
    } catch (failure) {
      this.#endWhenIdle();
      throw failure;
    }
    return this.#answered(call, answer);
  }

  async notify(method: string, params: Buffer): Promise<void> {
    await this.#renewal;
    await this.peer.notify(method, params, this.#life.signal);
  }

  /** Whether the upstream answers within `ms`: `ping`, on 2026-07-28 `server/discover`. Throws as `request`, and `upstream/timeout`. */
  async probe(ms: number, signal: AbortSignal): Promise<void> {
    const { clock, name } = this.#options;
    const late = () => new TurnpikeError('upstream/timeout', `upstream '${name}' did not answer within ${ms / 1000}s`, { upstream: name });
    const method = this.era === 'modern' ? 'server/discover' : 'ping';
    await within({ clock, ms, late, signals: [signal, this.ended] }, (until) => this.request(ownCall(method, toJson({}), until)));
  }

  claimTask(taskId: string, relay: Relay): () => void {
    return this.peer.claimTask(taskId, relay);
  }

  subscribe(listener: (event: ConnectionEvent) => void): () => void {
    const own = (event: ConnectionEvent) => listener(event);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  close(): Promise<void> {
    const { name, clock } = this.#options;
    this.#closing ??= (async () => {
      const wasAlive = !this.#dead;
      this.#lost(new TurnpikeError('upstream/lost', `the connection to upstream '${name}' was closed`, { upstream: name }));
      // Cancels and last answers are on their way; what does not take them soon will not.
      const until = new AbortController();
      if (wasAlive) await Promise.race([this.peer.told(), sleep(clock, LAST_WORDS_MS, until.signal)]);
      until.abort();
      await this.transport.close();
    })();
    return this.#closing;
  }

  #forgotten(error: unknown): boolean {
    const { code } = asTurnpikeError(error);
    return code === 'upstream/session' || (this.#renew !== undefined && this.#used && namesSession(error));
  }

  /** A refusal that shows that the upstream changed, or a place that cannot be reached: the connection is of no more use. */
  #judged(error: unknown): unknown {
    const { code, details } = asTurnpikeError(error);
    if (code === 'upstream/down' && details.retryable === true) {
      if (this.#options.onUnreachable !== undefined) {
        this.#spent = true;
        this.#options.onUnreachable();
      }
      return error;
    }
    if (!this.#used || this.#handshake?.era !== 'modern' || refusalStatus(error) === undefined) return error;
    this.#options.onContradiction?.();
    return this.#unprocessed(error, `refuses ${this.version}`);
  }

  /** Only an upstream that took our revision before has changed; one that never did is asked no second time. */
  #contradicted(answer: Answer): void {
    const { name, onContradiction } = this.#options;
    if (this.#used) {
      onContradiction?.();
      throw this.#unprocessed(undefined, `does not speak ${this.version} any more`);
    }
    if (answer.kind === 'error' && answer.code === RPC.unsupportedVersion)
      throw new TurnpikeError('upstream/protocol', `upstream '${name}' refuses ${this.version}`, { upstream: name, retryable: false });
  }

  #unprocessed(error: unknown, what: string): TurnpikeError {
    const { name } = this.#options;
    this.#spent = true;
    const reason = error === undefined ? undefined : asTurnpikeError(error).message;
    return new TurnpikeError('upstream/down', `upstream '${name}' ${what}`, {
      upstream: name,
      retryable: true,
      cause: error,
      ...(reason === undefined ? {} : { reason }),
    });
  }

  /** One renewal for all who wait. Nobody's abort leaves the session half open: it ends well, or the connection ends. */
  #renewSession(generation: number, signal: AbortSignal): Promise<void> {
    // Somebody else has renewed it since the request was sent.
    if (generation !== this.#generation) return Promise.resolve();
    if (this.#renewal === undefined) {
      this.#renewal = this.#renewed().finally(() => {
        this.#renewal = undefined;
      });
      // Perhaps nobody waits any more when it fails.
      this.#renewal.catch(() => {});
    }
    return unlessAborted(this.#renewal, signal);
  }

  async #renewed(): Promise<void> {
    const { clock, name, renewalMs: ms } = this.#options;
    const late = () =>
      new TurnpikeError('upstream/timeout', `upstream '${name}' did not open a new session within ${ms / 1000}s`, { upstream: name });
    try {
      const handshake = await within({ clock, ms, late, signals: [this.ended] }, async (until) => {
        const found = await this.#renew?.(until);
        for (const { method, params } of this.#session.told()) await this.peer.request(ownCall(method, params, until));
        return found;
      });
      if (handshake !== undefined) this.#handshake = handshake;
      this.#generation++;
      // The stream that told of the end was the old session's.
      if (this.#ending !== undefined) this.#spent = false;
      this.#ending = undefined;
    } catch (error) {
      if (asTurnpikeError(error).code === 'upstream/protocol') this.#options.onContradiction?.();
      // Whoever waits here was refused unprocessed.
      const failure = this.#unprocessed(error, 'lost its session, and a new one could not be opened');
      void this.close();
      throw failure;
    }
  }

  /** A channel is gone. Of an exchange only the stream for what belongs to no request: each request still tells its own outcome. */
  #ended(reason: Error): void {
    if (this.transport.kind === 'channel') this.#lost(reason);
    else {
      this.#spent = true;
      this.#ending = reason;
      this.#endWhenIdle();
    }
  }

  #endWhenIdle(): void {
    if (this.#ending !== undefined && this.#renewal === undefined && this.peer.inFlight === 0) this.#lost(this.#ending);
  }

  #lost(reason: Error): void {
    if (this.#dead) return;
    this.#dead = true;
    this.peer.fail(reason);
    this.#life.abort(reason);
    this.#emit({ kind: 'closed', reason });
    this.#listeners.clear();
  }

  #emit(event: ConnectionEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        this.#options.onDropped(`a listener failed: ${asTurnpikeError(error).details.reason ?? ''}`);
      }
    }
  }

  #known(): Handshake {
    if (this.#handshake === undefined) throw new TurnpikeError('internal', undefined, { reason: 'a connection was used before its handshake' });
    return this.#handshake;
  }
}
