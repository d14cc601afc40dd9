import type { Clock, Timer } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import type { CapabilityKind, CapabilitySet, ConnectionEvent, UpstreamSnapshot, UpstreamState } from '../core/ports.ts';
import { type AllLists, listAll, sameItems, sameLists, withListing } from './capability-lists.ts';
import type { Connector } from './connect.ts';
import type { Link } from './connection.ts';
import { unlessAborted } from './deadline.ts';
import { isLasting, operatorText, statusText } from './failure.ts';
import { LinkWatch } from './link-watch.ts';
import { nextDelay } from './process/backoff.ts';
import type { ReconnectGate } from './reconnect-gate.ts';

export interface MonitorOptions {
  readonly clock: Clock;
  /** What our own connection declares, so that tools offered only to capable clients are listed. */
  readonly profile: string;
  readonly onChange: (upstream: string) => void;
  /** `error` is for operators: it may hold paths and what the upstream wrote. */
  readonly onState: (upstream: string, state: UpstreamState, error?: string) => void;
  /** Events of our own connection that somebody else may want (resource updates of shared connections). */
  readonly onEvent: (upstream: string, event: ConnectionEvent) => void;
  readonly random?: () => number;
  /** Shared by all upstreams: holds reconnects back when too many run. */
  readonly gate?: ReconnectGate;
}

/** A connection that held this long was good: its backoff starts over. */
const GOOD_AFTER_MS = 60_000;
const FAILED_RETRY_MS = 10 * 60_000;
/** Transient failures in a row that make an upstream `unreachable`. */
const UNREACHABLE_AFTER = 3;
/** States in which a call that reached the upstream shows that there is something to connect to. */
const DOWN: ReadonlySet<UpstreamState> = new Set(['stopped', 'retrying', 'unreachable', 'failed', 'auth_required']);

/**
 * One upstream seen by itself: our own connection to it, its state, what it lists. Callers' connections are separate
 * (`connections.ts`); their success and failure only inform the state.
 */
export class UpstreamMonitor {
  readonly connector: Connector;
  readonly #options: MonitorOptions;
  readonly #clock: Clock;
  readonly #life = new AbortController();
  #state: UpstreamState = 'stopped';
  #attempt: Promise<void> | undefined;
  #attempts = 0;
  #link: Link | undefined;
  #watch: LinkWatch | undefined;
  #set: CapabilitySet | undefined;
  #lastError: string | undefined;
  #failures = 0;
  #lostAt: number | undefined;
  #retryAt: Date | undefined;
  #retry: Timer | undefined;
  #good: Timer | undefined;
  #stale: Timer | undefined;
  /** The lists are those of a predecessor under the same name. */
  #inherited: boolean;

  /** @param inherited what a predecessor under the same name listed: it stays listed until the first attempt tells more */
  constructor(connector: Connector, options: MonitorOptions, inherited?: CapabilitySet) {
    this.connector = connector;
    this.#set = inherited;
    this.#inherited = inherited !== undefined;
    this.#options = options;
    this.#clock = options.clock;
  }

  get name(): string {
    return this.connector.settings.name;
  }

  get state(): UpstreamState {
    return this.#state;
  }

  get capabilities(): CapabilitySet | undefined {
    return this.#set;
  }

  /** Our own connection, once there is one. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** Lists one kind again, now; nothing happens while there is no connection. */
  async refresh(kind: CapabilityKind): Promise<void> {
    await this.#watch?.refresh(kind);
  }

  snapshot(): UpstreamSnapshot {
    return {
      status: {
        name: this.name,
        state: this.#state,
        restartCount: Math.max(0, this.#attempts - 1),
        consecutiveFailures: this.#failures,
        ...(this.#set === undefined ? {} : { era: this.#set.era }),
        ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
        ...(this.#retryAt === undefined ? {} : { nextRetryAfter: this.#retryAt }),
      },
      ...(this.#set === undefined ? {} : { capabilities: this.#set }),
    };
  }

  /**
   * Connects and lists; resolves when the attempt ended, well or not. Joins an attempt under way. Rejects only when `signal`
   * aborts, which ends the wait and not the attempt: that is bounded by `timeouts`.
   */
  start(signal: AbortSignal): Promise<void> {
    if (this.#link?.alive || this.#life.signal.aborted) return Promise.resolve();
    if (this.#attempt === undefined) {
      this.#attempt = this.#connect().finally(() => {
        this.#attempt = undefined;
      });
    }
    return unlessAborted(this.#attempt, signal);
  }

  /** A call's connection was made, or not: informs the state without touching our own connection. */
  observed(error?: unknown): void {
    if (error !== undefined || this.#life.signal.aborted) return;
    const { settings, era } = this.connector;
    if (DOWN.has(this.#state)) void this.start(this.#life.signal).catch(() => {});
    // It speaks another era than the one our lists are of: what it lists is to be asked in that.
    else if (this.#link !== undefined && era !== undefined && era !== this.#link.era && settings.protocol === 'auto') void this.#link.close();
    // A process of ours says nothing about another one.
    else if (settings.target.type === 'remote') this.#watch?.good();
  }

  /**
   * Ends the connection, the attempt under way included. Resolves when nothing is left. Idempotent. `others`: settles when the
   * callers' connections are closed, which say good-bye over the same sockets.
   */
  async stop(others: Promise<unknown> = Promise.resolve()): Promise<void> {
    if (this.#life.signal.aborted) return;
    this.#silence();
    await this.#close();
    await others.catch(() => {});
    await this.connector.close();
  }

  /** As `stop`, for an upstream that leaves a gateway that goes on: calls on its connection run until `others` settles. */
  async leave(others: Promise<unknown>): Promise<void> {
    if (this.#life.signal.aborted) return;
    this.#silence();
    await others.catch(() => {});
    await this.#close();
    await this.connector.close();
  }

  #silence(): void {
    this.#life.abort(new TurnpikeError('upstream/down', `upstream '${this.name}' is stopped`, { upstream: this.name }));
    this.#move('stopping');
    for (const timer of [this.#retry, this.#good, this.#stale]) timer?.cancel();
    this.#watch?.stop();
  }

  async #close(): Promise<void> {
    await Promise.all([this.#link?.close(), this.#attempt]);
    this.#link = undefined;
    this.#set = undefined;
    this.#retryAt = undefined;
    this.#move('stopped');
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    const { signal } = this.#life;
    const isReconnect = this.#attempts > 0;
    let leave: (() => void) | undefined;
    let link: Link | undefined;
    this.#retry?.cancel();
    try {
      if (isReconnect) leave = await this.#options.gate?.enter(signal);
      this.#attempts++;
      this.#retryAt = undefined;
      this.#move('starting');
      link = await this.connector.connect(this.#options.profile, signal);
      const { list: timeoutMs } = this.connector.settings.timeouts;
      const lists = await listAll(link, { upstream: this.name, clock: this.#clock, timeoutMs, signal });
      signal.throwIfAborted();
      this.#adopt(link, lists);
    } catch (error) {
      await link?.close();
      if (!signal.aborted) this.#failed(error);
    } finally {
      leave?.();
    }
  }

  #adopt(link: Link, { set, missing }: AllLists): void {
    // A list that cannot be had now stays as it was.
    const before = this.#set;
    const merged =
      before === undefined || this.#inherited ? set : missing.reduce((all, kind) => withListing(all, kind, { items: before.lists[kind] }), set);
    const changed = before === undefined || !sameLists(before, merged);
    if (!link.alive) throw new TurnpikeError('upstream/lost', `upstream '${this.name}' closed the connection`, { upstream: this.name });
    this.#watch?.stop();
    void this.#link?.close();
    this.#link = link;
    this.#set = merged;
    this.#inherited = false;
    this.#lostAt = undefined;
    this.#stale?.cancel();
    this.#lastError = undefined;
    this.#good = this.#clock.after(GOOD_AFTER_MS, () => {
      this.#failures = 0;
    });
    this.#watch = new LinkWatch({
      link,
      missing,
      settings: () => this.connector.settings,
      clock: this.#clock,
      random: this.#random,
      onListing: (kind, listing) =>
        this.#listed((known) => (sameItems(known.lists[kind], listing.items) ? undefined : withListing(known, kind, listing))),
      onProbe: (misses, error) => this.#probed(link, misses, error),
      onEvent: (event) => this.#heard(link, event),
    });
    this.#move('connected', changed);
  }

  #listed(change: (known: CapabilitySet) => CapabilitySet | undefined): void {
    const changed = this.#set && change(this.#set);
    if (changed === undefined) return;
    this.#set = changed;
    this.#options.onChange(this.name);
  }

  #heard(link: Link, event: ConnectionEvent): void {
    if (event.kind === 'closed') this.#lost(link, event.reason);
    else this.#options.onEvent(this.name, event);
  }

  #probed(link: Link, misses: number, error: unknown): void {
    if (misses === 0) {
      this.#lastError = undefined;
      if (this.#state === 'degraded') this.#move('connected');
      return;
    }
    this.#lastError = statusText(this.name, error);
    if (misses >= this.connector.settings.health.failures || !link.alive) this.#lost(link, error);
    else this.#move('degraded', false, error);
  }

  #lost(link: Link, reason: unknown): void {
    if (link !== this.#link || this.#life.signal.aborted) return;
    this.#link = undefined;
    this.#watch?.stop();
    this.#watch = undefined;
    this.#good?.cancel();
    void link.close();
    this.#failed(reason);
  }

  #failed(error: unknown): void {
    const { retry, health } = this.connector.settings;
    const lasting = isLasting(error) || isLogin(error);
    this.#lastError = statusText(this.name, error);
    this.#failures++;
    const wait = lasting ? FAILED_RETRY_MS : nextDelay(retry, this.#failures - 1, this.#random);
    this.#retryAt = new Date(this.#clock.now() + wait);
    this.#retry = this.#clock.after(wait, () => void this.start(this.#life.signal).catch(() => {}));
    this.#lostAt ??= this.#clock.monotonic();
    // What another server listed says nothing about one that cannot be reached.
    if (this.#inherited) this.#set = undefined;
    this.#inherited = false;
    if (this.#set !== undefined) {
      this.#stale?.cancel();
      this.#stale = this.#clock.after(Math.max(0, this.#lostAt + health.staleFor - this.#clock.monotonic()), () => {
        this.#set = undefined;
        this.#options.onChange(this.name);
      });
    }
    const state = isLogin(error) ? 'auth_required' : lasting ? 'failed' : this.#failures >= UNREACHABLE_AFTER ? 'unreachable' : 'retrying';
    this.#move(state, false, error);
  }

  #move(state: UpstreamState, listsChanged = false, error?: unknown): void {
    const before = this.#state;
    this.#state = state;
    if (before !== state) this.#options.onState(this.name, state, error === undefined ? undefined : operatorText(error));
    if (before !== state || listsChanged) this.#options.onChange(this.name);
  }

  get #random(): () => number {
    return this.#options.random ?? Math.random;
  }
}

function isLogin(error: unknown): boolean {
  return asTurnpikeError(error).code === 'upstream/login';
}
