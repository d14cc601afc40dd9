import type { Dispatcher, Pool as UndiciPool } from 'undici';
import { Pool } from '../../net/undici-parts.ts';

/** A request to one of the pools. */
export interface PooledRequest extends Dispatcher.DispatchOptions {
  readonly origin: string;
}

/**
 * A pool for each origin. Once no socket is left, pools that nobody waits for go too: undici keeps an object for every
 * socket that a pool had at its busiest.
 */
export class OriginPools {
  readonly #options: UndiciPool.Options;
  readonly #sockets: { readonly size: number };
  readonly #pools = new Map<string, UndiciPool>();

  /** @param sockets those of all pools, connecting ones included */
  constructor(options: UndiciPool.Options, sockets: { readonly size: number }) {
    this.#options = options;
    this.#sockets = sockets;
  }

  /** Pools that exist. */
  get size(): number {
    return this.#pools.size;
  }

  /** As `Dispatcher.dispatch`. Throws when the origin is none of HTTP. */
  dispatch(request: PooledRequest, handler: Dispatcher.DispatchHandler): boolean {
    return (this.#pools.get(request.origin) ?? this.#make(request.origin)).dispatch(request, handler);
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
  }

  #make(origin: string): UndiciPool {
    const pool = new Pool(origin, this.#options);
    pool.on('disconnect', () => this.#sweep());
    this.#pools.set(origin, pool);
    return pool;
  }

  #sweep(): void {
    if (this.#sockets.size > 0) return;
    for (const [origin, pool] of this.#pools) {
      if (pool.destroyed || pool.stats.size > 0) continue;
      this.#pools.delete(origin);
      pool.close(() => undefined);
    }
  }
}
