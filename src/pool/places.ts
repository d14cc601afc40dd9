import type { Entry } from './entry.ts';
import { type Cap, type PoolKey, TOTAL } from './pool-key.ts';

/** The right of a successor to what `entry` holds of one cap. */
export interface Claim<V> {
  readonly entry: Entry<V>;
  readonly cap: string;
}

/**
 * Counts who occupies the caps and finds room. A place is held from before the open until the value is gone, so a cap
 * bounds what really exists (processes, sockets), the ones being closed included.
 */
export class Places<V> {
  readonly #total: Cap;
  readonly #used = new Map<string, number>();
  /** Entries without a lease, least recently used first: insertion order is the order in which their last leases ended. */
  readonly spare = new Set<Entry<V>>();
  /** Entries that are going away and hold a place that nobody has claimed. */
  readonly leaving = new Set<Entry<V>>();

  constructor(total: number) {
    this.#total = { name: TOTAL, limit: total };
  }

  take(entry: Entry<V>): void {
    for (const { name } of this.#caps(entry.key)) {
      if (entry.held.has(name)) continue;
      entry.held.add(name);
      this.#used.set(name, this.#usedOf(name) + 1);
    }
  }

  /** Gives back whatever the entry still holds. */
  give(entry: Entry<V>): void {
    for (const name of entry.held) this.#free(entry, name);
  }

  /**
   * Executes one claim of a plan; the successor must not open before `entry` is gone. What was not claimed stays with
   * the entry, else a third one could slip in while it still exists.
   */
  transfer({ entry, cap }: Claim<V>): void {
    this.#free(entry, cap);
    if (entry.held.size === 0) this.leaving.delete(entry);
  }

  /** The cap that stands in the way, the narrowest kind first; undefined when there is room. */
  obstacle(key: PoolKey): Cap | undefined {
    return this.#caps(key).find((cap) => this.#missing(cap) > 0);
  }

  /**
   * Which places together make room for `key`: none, when there is room already; undefined when even that is not
   * enough. What is going away anyway is preferred, then the same owner's least recently used, then anybody's.
   */
  plan(key: PoolKey): readonly Claim<V>[] | undefined {
    const claims: Claim<V>[] = [];
    for (const cap of this.#caps(key)) {
      for (let missing = this.#missing(cap); missing > 0; missing--) {
        const entry = this.#candidate(key, cap, claims);
        if (entry === undefined) return undefined;
        claims.push({ entry, cap: cap.name });
      }
    }
    return claims;
  }

  #candidate(key: PoolKey, cap: Cap, claims: readonly Claim<V>[]): Entry<V> | undefined {
    const fits = (entry: Entry<V>) => entry.held.has(cap.name) && !claims.some((claim) => claim.entry === entry && claim.cap === cap.name);
    for (const { entry } of claims) if (fits(entry)) return entry;
    for (const entry of this.leaving) if (fits(entry)) return entry;
    let oldest: Entry<V> | undefined;
    for (const entry of this.spare) {
      if (!fits(entry)) continue;
      if (key.owner !== '' && entry.key.owner === key.owner) return entry;
      oldest ??= entry;
    }
    return oldest;
  }

  /** The total comes last: whoever makes room in a group makes room in the total too. */
  #caps(key: PoolKey): readonly Cap[] {
    return [...key.groups, this.#total];
  }

  /** How many places must be given up before one more fits. */
  #missing(cap: Cap): number {
    return this.#usedOf(cap.name) + 1 - cap.limit;
  }

  #usedOf(name: string): number {
    return this.#used.get(name) ?? 0;
  }

  #free(entry: Entry<V>, name: string): void {
    entry.held.delete(name);
    const used = this.#usedOf(name) - 1;
    if (used > 0) this.#used.set(name, used);
    else this.#used.delete(name);
  }
}
