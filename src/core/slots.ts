/**
 * What is there for the time of a call, in a list that is changed with every call. A `Set` or `Map` that lives long makes a new table
 * every few changes; the old one, dead but in the old generation, keeps what stood in it alive until the next full collection, and all
 * that hangs on it (docs/adr/0015). Here entries are overwritten in place.
 */
export class Slots<T> implements Iterable<T> {
  readonly #items: (T | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#items.length - this.#free.length;
  }

  /** Returns the place, by which it is removed. */
  add(item: T): number {
    const slot = this.#free.pop() ?? this.#items.length;
    this.#items[slot] = item;
    return slot;
  }

  /** Once for each `add`; a second time in a row does nothing. */
  remove(slot: number): void {
    if (this.#items[slot] === undefined) return;
    this.#items[slot] = undefined;
    this.#free.push(slot);
  }

  /** The place of an item; -1 if it has none. */
  slotOf(item: T): number {
    return this.#items.indexOf(item);
  }

  /** Those that are there when it begins and are not removed meanwhile. */
  *[Symbol.iterator](): Iterator<T> {
    for (const [, item] of this.entries()) yield item;
  }

  /** The same with their places. */
  *entries(): Generator<readonly [slot: number, item: T]> {
    for (let slot = 0, end = this.#items.length; slot < end; slot++) {
      const item = this.#items[slot];
      if (item !== undefined) yield [slot, item];
    }
  }
}

/** The least places of a table. */
const LEAST = 64;

/**
 * Entries by whole numbers from 1 to 2^53-1, such as ids that are counted up, in the order in which they came. As `Slots`, and for the
 * same reason, nothing of an entry that was removed stays.
 */
export class IdTable<T> {
  /** Open addressing with linear probing; 0 is an empty place. */
  #ids = new Float64Array(LEAST);
  #values: (T | undefined)[] = new Array<T | undefined>(LEAST).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    const at = this.#find(id);
    return at === -1 ? undefined : this.#values[at];
  }

  set(id: number, value: T): void {
    const known = this.#find(id);
    if (known !== -1) {
      this.#values[known] = value;
      return;
    }
    if (2 * (this.#size + 1) > this.#ids.length) this.#grow();
    this.#put(id, value);
    this.#size++;
  }

  /** Returns whether it was there. */
  delete(id: number): boolean {
    let hole = this.#find(id);
    if (hole === -1) return false;
    const mask = this.#ids.length - 1;
    // Whoever stands further than its own place because of this entry moves up, so that no search ends before it.
    for (let next = (hole + 1) & mask; this.#ids[next] !== 0; next = (next + 1) & mask) {
      const home = placeOf(this.#ids[next] as number, mask);
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      this.#ids[hole] = this.#ids[next] as number;
      this.#values[hole] = this.#values[next];
      hole = next;
    }
    this.#ids[hole] = 0;
    this.#values[hole] = undefined;
    this.#size--;
    return true;
  }

  /** In the order of their ids. */
  values(): T[] {
    const found: { readonly id: number; readonly value: T }[] = [];
    for (let at = 0; at < this.#ids.length; at++) {
      const value = this.#values[at];
      if (value !== undefined) found.push({ id: this.#ids[at] as number, value });
    }
    return found.sort((a, b) => a.id - b.id).map(({ value }) => value);
  }

  #find(id: number): number {
    const mask = this.#ids.length - 1;
    for (let at = placeOf(id, mask); ; at = (at + 1) & mask) {
      const there = this.#ids[at];
      if (there === id && id !== 0) return at;
      if (there === 0) return -1;
    }
  }

  #put(id: number, value: T): void {
    const mask = this.#ids.length - 1;
    let at = placeOf(id, mask);
    while (this.#ids[at] !== 0) at = (at + 1) & mask;
    this.#ids[at] = id;
    this.#values[at] = value;
  }

  #grow(): void {
    const [ids, values] = [this.#ids, this.#values];
    this.#ids = new Float64Array(2 * ids.length);
    this.#values = new Array<T | undefined>(2 * ids.length).fill(undefined);
    for (let at = 0; at < ids.length; at++) {
      const value = values[at];
      if (value !== undefined) this.#put(ids[at] as number, value);
    }
  }
}

/** Ids that are counted up have places of their own. What is no whole number of that range is found nowhere. */
function placeOf(id: number, mask: number): number {
  return (id % 0x4000_0000) & mask;
}
