import type { Clock } from '../core/clock.ts';
import type { Link } from './connection.ts';

interface Use {
  leases: number;
  /** Called when the last lease ends. */
  readonly waiters: Set<() => void>;
}

/** Who uses the gateway's own connections, which no pool counts. */
export class OwnUse {
  readonly #uses = new WeakMap<Link, Use>();
  /** Waits that are cut short when the gateway ends. */
  readonly #waits = new Set<() => void>();

  /** One more lease; the returned function, to be called once, ends it. */
  enter(link: Link): () => void {
    const use = this.#of(link);
    use.leases++;
    return () => {
      use.leases--;
      if (use.leases === 0) for (const waiter of [...use.waiters]) waiter();
    };
  }

  /** Resolves when nobody uses the connection, it ended, `ms` are over, or `cut` is called. */
  async over(link: Link, clock: Clock, ms: number): Promise<void> {
    const use = this.#of(link);
    if (use.leases === 0 || !link.alive) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        timer.cancel();
        use.waiters.delete(done);
        this.#waits.delete(done);
        link.ended.removeEventListener('abort', done);
        resolve();
      };
      const timer = clock.after(ms, done);
      use.waiters.add(done);
      this.#waits.add(done);
      link.ended.addEventListener('abort', done, { once: true });
    });
  }

  /** Ends all waits. */
  cut(): void {
    for (const done of [...this.#waits]) done();
  }

  #of(link: Link): Use {
    const known = this.#uses.get(link);
    if (known !== undefined) return known;
    const use: Use = { leases: 0, waiters: new Set() };
    this.#uses.set(link, use);
    return use;
  }
}
