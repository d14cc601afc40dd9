/** Everything that is counted. All but `hit` and `join` are reported to `observe` as they happen. */
export const POOL_EVENTS = [
  'hit',
  'join',
  'queued',
  'exhausted',
  'opened',
  'open-failed',
  'renewed',
  'renew-failed',
  'evicted',
  'idle',
  'expired',
  'retired',
  'forced',
  'closed',
  'close-failed',
  'close-overdue',
] as const;
export type PoolEventKind = (typeof POOL_EVENTS)[number];

/** What happened to one entry. Carries no value and no secret. */
export interface PoolEvent {
  readonly pool: string;
  readonly kind: PoolEventKind;
  readonly id: string;
  /** Why, for `retired` and `forced`. */
  readonly reason?: string;
  /** What `open` or `close` threw, for the `…-failed` kinds. */
  readonly error?: unknown;
}

export interface PoolStats {
  /** Entries that hold a place: starting, active, idle, draining or closing. */
  readonly entries: number;
  /** Entries without a lease that may be handed out or evicted. */
  readonly idle: number;
  /** Leases out now. */
  readonly leases: number;
  /** Opens that wait for a place. */
  readonly queued: number;
  /** How often each event happened since the pool was made; never falls. */
  readonly counts: Readonly<Record<PoolEventKind, number>>;
}

/** Counts events and passes them on; an observer that throws cannot break the pool. */
export class Tally {
  readonly #pool: string;
  readonly #observe: ((event: PoolEvent) => void) | undefined;
  readonly #counts = Object.fromEntries(POOL_EVENTS.map((kind) => [kind, 0])) as Record<PoolEventKind, number>;

  constructor(pool: string, observe: ((event: PoolEvent) => void) | undefined) {
    this.#pool = pool;
    this.#observe = observe;
  }

  /** Counts only: for what happens on every call. */
  count(kind: PoolEventKind): void {
    this.#counts[kind]++;
  }

  report(kind: PoolEventKind, id: string, details: { reason?: string; error?: unknown } = {}): void {
    this.#counts[kind]++;
    try {
      this.#observe?.({ pool: this.#pool, kind, id, ...details });
    } catch {
      // Telemetry must not decide whether connections are closed.
    }
  }

  get counts(): Readonly<Record<PoolEventKind, number>> {
    return { ...this.#counts };
  }
}
