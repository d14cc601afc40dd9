import type { Clock } from '../core/clock.ts';
import type { Cap, PoolKey } from './pool-key.ts';
import type { PoolEvent } from './stats.ts';

/** All times in milliseconds. */
export interface PoolOptions<V> {
  /** For events and error texts. */
  readonly name: string;
  readonly clock: Clock;
  /** Cap on everything that holds a place. */
  readonly total: number;
  /** Time without a lease after which an entry closes, at most `sweepInterval` late. */
  readonly idleTimeout: number;
  readonly sweepInterval: number;
  /** Consecutive transport errors at which an entry retires; `Infinity` for never. */
  readonly maxErrorCount: number;
  /** How long a retired entry waits for its leases. */
  readonly closeDelay: number;
  /** How long a caller waits for a place when all are in use; 0 fails at once. */
  readonly queueTimeout: number;
  /** How long before its expiry a value is renewed in the background, and how long that may take. Default 0: never. */
  readonly renewBefore?: number;
  /** How long a close may take before its place is given away nevertheless. Default 30 s. */
  readonly closeTimeout?: number;
  /** Ends the value: called exactly once per value. May reject; the rejection is reported as `close-failed`. */
  readonly close: (value: V) => Promise<void>;
  /** Whether a value may still be handed out; checked at every hand-out. Default: always. */
  readonly usable?: (value: V) => boolean;
  /** Text of `pool/exhausted` for the cap that stands in the way (`TOTAL` for the pool's own). */
  readonly exhausted?: (key: PoolKey, cap: Cap) => string;
  /** Called synchronously; must not call the pool. */
  readonly observe?: (event: PoolEvent) => void;
}

/** How a value is retired. */
export interface RetireOptions {
  /** Closes it at once; its leases end. */
  readonly now?: boolean;
  /** Its place is free at once, for values that cost nothing while their last leases run. */
  readonly yields?: boolean;
}
