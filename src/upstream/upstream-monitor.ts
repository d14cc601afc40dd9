import { type Clock, sleep, type Timer } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import type { CapabilityKind, CapabilitySet, ConnectionEvent, UpstreamSnapshot, UpstreamState } from '../core/ports.ts';
import { SingleFlight } from '../core/single-flight.ts';
import { listAll, relist, sameLists } from './capability-lists.ts';
import type { Connector } from './connect.ts';
import type { Link } from './connection.ts';
import { ownCall, timeout } from './handshake.ts';
import { nextDelay } from './process/backoff.ts';

export interface MonitorOptions {
  readonly clock: Clock;
  /** What our own connection declares, so that tools offered only to capable clients are listed. */
  readonly profile: string;
  readonly onChange: (upstream: string) => void;
  readonly onState: (upstream: string, state: UpstreamState, error?: string) => void;
  /** Events of our own connection that somebody else may want (resource updates of shared connections). */
  readonly onEvent: (upstream: string, event: ConnectionEvent) => void;
  readonly random?: () => number;
}

const CHANGED: Readonly<Record<string, readonly CapabilityKind[]>> = {
  'notifications/tools/list_changed': ['tools'],
  'notifications/prompts/list_changed': ['prompts'],
  'notifications/resources/list_changed': ['resources', 'templates'],
};
const DEBOUNCE_MS = 250;
const RELIST_EVERY_MS = 1_000;
/** Upstreams that announce no changes are asked (aggregator.md section 1, "Lifecycle"). */
const POLL_MS = 5 * 60_000;
/** A connection that held this long was good: its backoff starts over. */
const GOOD_AFTER_MS = 60_000;
const FAILED_RETRY_MS = 10 * 60_000;
/** Transient failures in a row that make an upstream `unreachable`. */
const UNREACHABLE_AFTER = 3;

/**
 * One upstream seen by itself: our own connection to it, its state, what it lists. Callers' connections are separate
 * (`connections.ts`); their success and failure only inform the state.
 */
export class UpstreamMonitor {
  readonly connector: Connector;
  readonly #options: MonitorOptions;
  readonly #clock: Clock;
  readonly #starting = new SingleFlight<'start', void>();
  readonly #relisting = new Map<CapabilityKind, Timer>();
  readonly #life = new AbortController();
  #state: UpstreamState = 'stopped';
  #link: Link | undefined;
  #set: CapabilitySet | undefined;
  #lastError: string | undefined;
  #failures = 0;
  #missed = 0;
  #restarts = 0;
  #connectedAt = 0;
  #lastGood = 0;
  #lostAt: number | undefined;
  #retryAt: Date | undefined;
  #retry: Timer | undefined;
  #probe: Timer | undefined;
  #poll: Timer | undefined;
  #stale: Timer | undefined;
  #lastRelist = Number.NEGATIVE_INFINITY;

  constructor(connector: Connector, options: MonitorOptions) {
    this.connector = connector;
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

  snapshot(): UpstreamSnapshot {
    return {
      status: {
        name: this.name,
        state: this.#state,
        restartCount: this.#restarts,
        consecutiveFailures: this.#failures,
        ...(this.#set === undefined ? {} : { era: this.#set.era }),
        ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
        ...(this.#retryAt === undefined ? {} : { nextRetryAfter: this.#retryAt }),
      },
      ...(this.#set === undefined ? {} : { capabilities: this.#set }),
    };
  }

  /** Connects and lists; resolves when the attempt ended, well or not. Joins an attempt under way. Never rejects unless `signal` aborts. */
  start(signal: AbortSignal): Promise<void> {
    if (this.#link?.alive || this.#life.signal.aborted) return Promise.resolve();
    return this.#starting.run('start', signal, (until) => this.#connect(AbortSignal.any([until, this.#life.signal])));
  }

  /** A call's connection was made, or not: informs the state without touching our own connection. */
  observed(error?: unknown): void {
    if (error === undefined) {
      this.#lastGood = this.#clock.monotonic();
      if (this.#state === 'retrying' || this.#state === 'unreachable' || this.#state === 'failed') void this.start(this.#life.signal).catch(() => {});
    }
  }

  async stop(): Promise<void> {
    if (this.#life.signal.aborted) return;
    this.#life.abort(new TurnpikeError('upstream/down', `upstream '${this.name}' is stopped`, { upstream: this.name }));
    for (const timer of [this.#retry, this.#probe, this.#poll, this.#stale, ...this.#relisting.values()]) timer?.cancel();
    this.#relisting.clear();
    this.#move('stopping');
    await this.#link?.close();
    this.#link = undefined;
    this.#set = undefined;
    this.#move('stopped');
    await this.connector.close();
  }

  async #connect(signal: AbortSignal): Promise<void> {
    this.#retry?.cancel();
    this.#retryAt = undefined;
    this.#move('starting');
    let link: Link | undefined;
    try {
      link = await this.connector.connect(this.#options.profile, signal);
      const { list } = this.connector.settings.timeouts;
      const set = await listAll(link, this.name, AbortSignal.any([signal, timeout(this.#clock, list * 4, link.ended)]));
      this.#adopt(link, set);
    } catch (error) {
      await link?.close();
      if (!this.#life.signal.aborted) this.#failed(error);
    }
  }

  #adopt(link: Link, set: CapabilitySet): void {
    this.#link = link;
    const changed = this.#set === undefined || !sameLists(this.#set, set);
    this.#set = set;
    this.#lostAt = undefined;
    this.#stale?.cancel();
    this.#connectedAt = this.#clock.monotonic();
    this.#lastGood = this.#connectedAt;
    this.#missed = 0;
    this.#lastError = undefined;
    link.subscribe((event) => this.#onEvent(link, event));
    if (!link.alive) return this.#lost(link, new Error('connection lost'));
    this.#listen(link);
    this.#scheduleProbe(link);
    this.#schedulePoll(link, set);
    this.#move('connected', changed);
  }

  #onEvent(link: Link, event: ConnectionEvent): void {
    if (event.kind === 'closed') return this.#lost(link, event.reason);
    for (const kind of CHANGED[event.method] ?? []) this.#relistSoon(link, kind);
    this.#options.onEvent(this.name, event);
  }

  /** A modern upstream announces changes on a listen stream (protocol.md section 6). */
  #listen(link: Link): void {
    if (link.era !== 'modern') return;
    const { tools, prompts, resources } = link.capabilities as Record<string, { listChanged?: boolean } | undefined>;
    const filter = {
      ...(tools?.listChanged ? { toolsListChanged: true } : {}),
      ...(prompts?.listChanged ? { promptsListChanged: true } : {}),
      ...(resources?.listChanged ? { resourcesListChanged: true } : {}),
    };
    if (Object.keys(filter).length === 0) return;
    const relay = {
      notification: (method: string, params: Buffer) => this.#onEvent(link, { kind: 'notification', method, params }),
      request: async () => Promise.reject(new TurnpikeError('request/method')),
    };
    void (async () => {
      for (let attempt = 0; link.alive; attempt++) {
        const began = this.#clock.monotonic();
        await link.peer.request({ ...ownCall('subscriptions/listen', toJson({ notifications: filter }), link.ended), relay }).catch(() => undefined);
        if (!link.alive) return;
        if (this.#clock.monotonic() - began > GOOD_AFTER_MS) attempt = 0;
        await sleep(this.#clock, nextDelay(this.connector.settings.retry, attempt, this.#random), link.ended).catch(() => {});
        // What changed while nobody listened is found by asking.
        for (const kind of ['tools', 'prompts', 'resources'] as const) if (link.alive) this.#relistSoon(link, kind);
      }
    })();
  }

  #relistSoon(link: Link, kind: CapabilityKind): void {
    if (this.#relisting.has(kind) || link !== this.#link) return;
    const wait = Math.max(DEBOUNCE_MS, this.#lastRelist + RELIST_EVERY_MS - this.#clock.monotonic());
    this.#relisting.set(
      kind,
      this.#clock.after(wait, () => {
        this.#relisting.delete(kind);
        this.#lastRelist = this.#clock.monotonic();
        void this.#relistNow(link, kind);
      }),
    );
  }

  async #relistNow(link: Link, kind: CapabilityKind): Promise<void> {
    const before = this.#set;
    if (before === undefined || link !== this.#link) return;
    try {
      const signal = AbortSignal.any([this.#life.signal, timeout(this.#clock, this.connector.settings.timeouts.list, link.ended)]);
      const after = await relist(before, link, this.name, kind, signal);
      if (link !== this.#link || this.#set === undefined) return;
      const merged = { ...this.#set, lists: { ...this.#set.lists, [kind]: after.lists[kind] }, caching: after.caching };
      if (sameLists(this.#set, merged)) return;
      this.#set = merged;
      this.#options.onChange(this.name);
    } catch (error) {
      this.#lastError = asTurnpikeError(error).message;
    }
  }

  #schedulePoll(link: Link, set: CapabilitySet): void {
    this.#poll?.cancel();
    const { tools } = set.capabilities as Record<string, { listChanged?: boolean } | undefined>;
    if (tools?.listChanged === true) return;
    this.#poll = this.#clock.after(POLL_MS, () => {
      if (link !== this.#link) return;
      for (const kind of ['tools', 'prompts', 'resources', 'templates'] as const) void this.#relistNow(link, kind);
      this.#schedulePoll(link, set);
    });
  }

  #scheduleProbe(link: Link): void {
    this.#probe?.cancel();
    const { interval, timeout: patience, failures } = this.connector.settings.health;
    if (interval === 0) return;
    this.#probe = this.#clock.after(interval, () => {
      void (async () => {
        if (link !== this.#link) return;
        if (this.#clock.monotonic() - this.#lastGood >= interval) {
          try {
            const signal = AbortSignal.any([this.#life.signal, timeout(this.#clock, patience, link.ended)]);
            await link.request(ownCall(link.era === 'modern' ? 'server/discover' : 'ping', toJson({}), signal));
            this.#missed = 0;
            this.#lastGood = this.#clock.monotonic();
            if (this.#state === 'degraded') this.#move('connected');
          } catch (error) {
            if (link !== this.#link || this.#life.signal.aborted) return;
            this.#missed++;
            this.#lastError = asTurnpikeError(error).message;
            if (this.#missed >= failures) return void link.close();
            this.#move('degraded');
          }
        }
        this.#scheduleProbe(link);
      })();
    });
  }

  #lost(link: Link, reason: Error): void {
    if (link !== this.#link || this.#life.signal.aborted) return;
    this.#link = undefined;
    void link.close();
    if (this.#clock.monotonic() - this.#connectedAt >= GOOD_AFTER_MS) this.#failures = 0;
    this.#failed(reason);
  }

  #failed(error: unknown): void {
    const { retry, health } = this.connector.settings;
    const failure = asTurnpikeError(error);
    this.#lastError = failure.code === 'internal' && error instanceof Error ? error.message : failure.message;
    this.#failures++;
    this.#restarts++;
    const wait = isFinal(failure) ? FAILED_RETRY_MS : nextDelay(retry, this.#failures - 1, this.#random);
    this.#retryAt = new Date(this.#clock.now() + wait);
    this.#retry = this.#clock.after(wait, () => void this.start(this.#life.signal).catch(() => {}));
    this.#lostAt ??= this.#clock.monotonic();
    if (this.#set !== undefined) {
      this.#stale?.cancel();
      this.#stale = this.#clock.after(health.staleFor - (this.#clock.monotonic() - this.#lostAt), () => {
        this.#set = undefined;
        this.#options.onChange(this.name);
      });
    }
    this.#move(isFinal(failure) ? 'failed' : this.#failures >= UNREACHABLE_AFTER ? 'unreachable' : 'retrying');
  }

  #move(state: UpstreamState, listsChanged = false): void {
    const before = this.#state;
    this.#state = state;
    if (before !== state) this.#options.onState(this.name, state, this.#lastError);
    if (before !== state || listsChanged) this.#options.onChange(this.name);
  }

  get #random(): () => number {
    return this.#options.random ?? Math.random;
  }
}

/** What waiting does not mend: no such command, TLS, no common revision (aggregator.md section 1, "failed"). */
function isFinal({ code, details }: TurnpikeError): boolean {
  if (code === 'upstream/protocol') return true;
  const kind = (details.cause as { kind?: unknown; code?: unknown } | undefined)?.kind ?? (details.cause as { code?: unknown } | undefined)?.code;
  return kind === 'tls' || kind === 'ENOENT' || kind === 'EACCES';
}
