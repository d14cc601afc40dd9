/** One cap that an entry counts against, for example `upstream:files` 128, `principal:…` 32, `stdio` 64. */
export interface Cap {
  readonly name: string;
  readonly limit: number;
}

/** What an entry is for, who it belongs to, and what it counts against. */
export interface PoolKey {
  /** Equal ids share one entry. Appears in snapshots and events, so it never carries a secret: use fingerprints. */
  readonly id: string;
  /** Whose entries give way first when this one needs room (`principalKey`); empty when it is nobody's. */
  readonly owner: string;
  /** Waiters are served in turn between tenants. */
  readonly tenant: string;
  /** Caps besides the pool's total, each name once. */
  readonly groups: readonly Cap[];
  /** Milliseconds without a lease before the entry closes; the pool's `idleTimeout` when absent. */
  readonly idleTimeout?: number;
  /** Consecutive transport errors at which it retires; the pool's `maxErrorCount` when absent. */
  readonly maxErrorCount?: number;
  /** Milliseconds that it waits for its leases once retired; the pool's `closeDelay` when absent. */
  readonly closeDelay?: number;
}

/** Name under which the pool's total is reported when it is the cap that is reached; no group may have it. */
export const TOTAL = 'total';
