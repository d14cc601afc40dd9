import type { GitLabClientPool, GitLabClientPoolStats } from './builtin/gitlab/client/instance-pool.ts';
import type { Clock, Timer } from './core/clock.ts';

/** What a GitLab upstream holds, as far as it must be ended. */
export interface EndingParts {
  readonly clients: { close(): Promise<void> };
  /** Absent where there is no pool, since there is one instance. */
  readonly pool?: Pick<GitLabClientPool, 'stats'>;
  /** Milliseconds that calls have. */
  readonly closeDelay: number;
}

type Totals = Pick<GitLabClientPoolStats, 'hits' | 'misses' | 'evictions'>;

/** Calls are cut by their own upstream, which says why; only what other upstreams still run there is ended from here. */
const AFTER_MS = 1_000;

/** Connections of upstreams that a reload replaced or removed. */
export class FormerParts {
  readonly #clock: Clock;
  readonly #open = new Map<EndingParts, Timer>();
  /** Of those that have closed. */
  #past: Totals | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param over resolves when nobody uses it any more; it closes then, or when its time is over */
  add(parts: EndingParts, over: Promise<unknown>): void {
    this.#open.set(
      parts,
      this.#clock.after(parts.closeDelay + AFTER_MS, () => void this.#close(parts)),
    );
    void over.then(() => this.#close(parts));
  }

  /** Sums, of which only `size` falls; undefined while there was none with a pool. */
  stats(): (Totals & { readonly size: number }) | undefined {
    let sums = this.#past;
    let size = 0;
    for (const { pool } of this.#open.keys()) {
      if (pool === undefined) continue;
      const stats = pool.stats();
      sums = added(sums, stats);
      size += stats.size;
    }
    return sums && { ...sums, size };
  }

  /** Closes all at once. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((parts) => this.#close(parts)));
  }

  async #close(parts: EndingParts): Promise<void> {
    const timer = this.#open.get(parts);
    if (timer === undefined) return;
    timer.cancel();
    this.#open.delete(parts);
    if (parts.pool !== undefined) this.#past = added(this.#past, parts.pool.stats());
    await parts.clients.close();
  }
}

function added(sum: Totals = { hits: 0, misses: 0, evictions: 0 }, { hits, misses, evictions }: Totals): Totals {
  return { hits: sum.hits + hits, misses: sum.misses + misses, evictions: sum.evictions + evictions };
}
