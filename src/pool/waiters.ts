/** A queue that serves groups in turn and the items of one group in order of arrival. */
export class FairQueue<T> {
  /** In order of turn: whoever was served last stands last. */
  readonly #lines = new Map<string, Set<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(group: string, item: T): void {
    let line = this.#lines.get(group);
    if (line === undefined) {
      line = new Set();
      this.#lines.set(group, line);
    }
    if (line.has(item)) return;
    line.add(item);
    this.#size++;
  }

  /** Returns whether the item was waiting. */
  remove(group: string, item: T): boolean {
    const line = this.#lines.get(group);
    if (line === undefined || !line.delete(item)) return false;
    this.#size--;
    if (line.size === 0) this.#lines.delete(group);
    return true;
  }

  /**
   * Takes the first item for which `servable` gives an answer, and that answer. Items that cannot be served now are
   * passed over and keep their place: one full cap never blocks those who wait for another.
   */
  take<A>(servable: (item: T) => A | undefined): { item: T; answer: A } | undefined {
    for (const [group, line] of this.#lines) {
      for (const item of line) {
        const answer = servable(item);
        if (answer === undefined) continue;
        this.remove(group, item);
        if (line.size > 0) {
          this.#lines.delete(group);
          this.#lines.set(group, line);
        }
        return { item, answer };
      }
    }
    return undefined;
  }

  /** All that wait, in no particular order between groups. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const line of this.#lines.values()) yield* line;
  }
}
