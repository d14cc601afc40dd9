import type { Entry } from './entry.ts';
import { type Cap, type PoolKey, TOTAL } from './pool-key.ts';

/**
 * Counts who occupies the caps and finds room. A place is held from before the open until the value is gone, so a cap
 * bounds what really exists (processes, sockets), the ones being closed included.
 */
export class Places<V> {
  readonly #total: Cap;
  readonly #used = new Map<string, number>();
  #count = 0;
  /** Entries without a lease, least recently used first: insertion order is the order in which their last leases ended. */
  readonly spare = new Set<Entry<V>>();
  /** Entries that are going away and whose place nobody has claimed. */
  readonly leaving = new Set<Entry<V>>();

  constructor(total: number) {
    this.#total = { name: TOTAL, limit: total };
  }

  take(entry: Entry<V>): void {
    entry.placed = true;
    this.#count++;
    for (const { name } of entry.key.groups) this.#used.set(name, (this.#used.get(name) ?? 0) + 1);
  }

  /** Idempotent: a place that was claimed by a successor is not given back again when its first holder is gone. */
  give(entry: Entry<V>): void {
    if (!entry.placed) return;
    entry.placed = false;
    this.#count--;
    for (const { name } of entry.key.groups) {
      const used = (this.#used.get(name) ?? 0) - 1;
      if (used > 0) this.#used.set(name, used);
      else this.#used.delete(name);
    }
  }

  /** The cap that stands in the way, the narrowest kind first; undefined when there is room. */
  obstacle(key: PoolKey): Cap | undefined {
    return this.#caps(key).find((cap) => this.#excess(cap) > 0);
  }

  /**
   * Whose places together make room for `key`: none, when there is room already; undefined when even that is not
   * enough. What is going away anyway is preferred, then the same owner's least recently used, then anybody's.
   */
  plan(key: PoolKey): readonly Entry<V>[] | undefined {
    const chosen: Entry<V>[] = [];
    for (const cap of this.#caps(key)) {
      let missing = this.#excess(cap) - chosen.filter((entry) => this.#countsAgainst(entry, cap)).length;
      for (; missing > 0; missing--) {
        const next = this.#candidate(key, cap, chosen);
        if (next === undefined) return undefined;
        chosen.push(next);
      }
    }
    return chosen;
  }

  #candidate(key: PoolKey, cap: Cap, chosen: readonly Entry<V>[]): Entry<V> | undefined {
    const fits = (entry: Entry<V>) => this.#countsAgainst(entry, cap) && !chosen.includes(entry);
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
  #excess(cap: Cap): number {
    const used = cap === this.#total ? this.#count : (this.#used.get(cap.name) ?? 0);
    return used + 1 - cap.limit;
  }

  #countsAgainst(entry: Entry<V>, cap: Cap): boolean {
    return cap === this.#total || entry.key.groups.some((group) => group.name === cap.name);
  }
}
