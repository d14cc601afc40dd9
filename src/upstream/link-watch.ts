import type { Clock, Timer } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { CAPABILITY_KINDS, type CapabilityKind, type ConnectionEvent } from '../core/ports.ts';
import { announces, type Listing, listKind } from './capability-lists.ts';
import { followChanges } from './change-stream.ts';
import type { Link } from './connection.ts';
import { nextDelay } from './process/backoff.ts';
import { RelistQueue } from './relist-queue.ts';
import type { UpstreamSettings } from './settings.ts';

export interface WatchOptions {
  readonly link: Link;
  /** Those in force now. */
  readonly settings: () => UpstreamSettings;
  readonly clock: Clock;
  readonly random: () => number;
  /** Lists that could not be had at the start. */
  readonly missing: readonly CapabilityKind[];
  readonly onListing: (kind: CapabilityKind, listing: Listing) => void;
  /** A probe was answered, or missed for the `misses`th time in a row. */
  readonly onProbe: (misses: number, error?: unknown) => void;
  readonly onEvent: (event: ConnectionEvent) => void;
}

const CHANGED: Readonly<Record<string, readonly CapabilityKind[]>> = {
  'notifications/tools/list_changed': ['tools'],
  'notifications/prompts/list_changed': ['prompts'],
  'notifications/resources/list_changed': ['resources', 'templates'],
};
/** Upstreams that announce no changes are asked (aggregator.md section 1, "Lifecycle"). */
const POLL_MS = 5 * 60_000;

/** Our own connection while it lives: hears of changes, reads lists again, asks whether it still answers. */
export class LinkWatch {
  readonly #options: WatchOptions;
  readonly #relists: RelistQueue;
  readonly #unsubscribe: () => void;
  #stopped = false;
  #streams = false;
  #misses = 0;
  #lastGood: number;
  #probe: Timer | undefined;
  #poll: Timer | undefined;

  constructor(options: WatchOptions) {
    const { link, clock, settings, random, missing } = options;
    this.#options = options;
    this.#lastGood = clock.monotonic();
    const pause = (failures: number) => nextDelay(settings().retry, failures, random);
    this.#relists = new RelistQueue({ clock, pause, relist: (kind) => this.#relist(kind) });
    this.#unsubscribe = link.subscribe((event) => this.#heard(event));
    for (const kind of missing) this.#relists.later(kind);
    if (link.era === 'modern') this.#follow(pause);
    this.#scheduleProbe();
    this.#schedulePoll();
  }

  /** A call of somebody else's connection showed that the upstream answers. */
  good(): void {
    this.#lastGood = this.#options.clock.monotonic();
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#relists.stop();
    this.#probe?.cancel();
    this.#poll?.cancel();
  }

  #heard(event: ConnectionEvent): void {
    if (event.kind === 'notification') for (const kind of CHANGED[event.method] ?? []) this.#relists.soon(kind);
    this.#options.onEvent(event);
  }

  #follow(pause: (failures: number) => number): void {
    const { link, clock } = this.#options;
    this.#streams = true;
    const ended = followChanges(link, {
      clock,
      pause,
      onNotification: (method, params) => this.#heard({ kind: 'notification', method, params }),
      onResumed: () => {
        for (const kind of CAPABILITY_KINDS) if (announces(link.capabilities, kind)) this.#relists.soon(kind);
      },
    });
    void ended.then((served) => {
      this.#streams = served;
    });
  }

  /** Lists one kind again, now. */
  async refresh(kind: CapabilityKind): Promise<void> {
    await this.#relist(kind);
  }

  async #relist(kind: CapabilityKind): Promise<boolean> {
    const { link, clock, onListing } = this.#options;
    const { name, timeouts } = this.#options.settings();
    try {
      const listing = await listKind(link, kind, { upstream: name, clock, timeoutMs: timeouts.list, signal: link.ended });
      if (!this.#stopped) onListing(kind, listing);
      return true;
    } catch (error) {
      // What was listed before stays.
      if (!link.alive) this.#missed(error);
      return !link.alive;
    }
  }

  #schedulePoll(): void {
    if (this.#stopped) return;
    const { clock, link } = this.#options;
    this.#poll = clock.after(POLL_MS, () => {
      const hears = link.era === 'modern' ? this.#streams : link.hears;
      for (const kind of CAPABILITY_KINDS) if (!hears || !announces(link.capabilities, kind)) this.#relists.soon(kind);
      this.#schedulePoll();
    });
  }

  #scheduleProbe(): void {
    const { clock, settings } = this.#options;
    const { interval } = settings().health;
    if (interval === 0 || this.#stopped) return;
    this.#probe = clock.after(interval, () => void this.#ask().then(() => this.#scheduleProbe()));
  }

  async #ask(): Promise<void> {
    const { clock, link, onProbe } = this.#options;
    const { name, health } = this.#options.settings();
    if (link.alive && this.#misses === 0 && clock.monotonic() - this.#lastGood < health.interval) return;
    try {
      if (!link.alive) throw new TurnpikeError('upstream/lost', `the connection to upstream '${name}' is of no more use`);
      await link.probe(health.timeout, link.ended);
      this.#misses = 0;
      this.good();
      if (!this.#stopped) onProbe(0);
    } catch (error) {
      this.#missed(error);
    }
  }

  #missed(error: unknown): void {
    this.#misses++;
    if (!this.#stopped) this.#options.onProbe(this.#misses, error);
  }
}
