import type { Clock, Timer } from '../core/clock.ts';
import { checkRow, checkSpace, DEFAULT_SCAN_LIMIT, isBelow, type Row, type ScanOptions, type SetOptions, type Store } from './store.ts';

interface Held {
  readonly value: Buffer;
  readonly expiresAt: number;
}

const SWEEP_INTERVAL = 60_000;

/** A store that ends with the process. */
export class MemoryStore implements Store {
  readonly #clock: Clock;
  readonly #spaces = new Map<string, Map<string, Held>>();
  #sweep: Timer | undefined;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async get(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    signal?.throwIfAborted();
    checkSpace(space);
    const held = this.#visible(space, id);
    return held && Buffer.from(held.value);
  }

  async set(space: string, id: string, value: Buffer, options: SetOptions = {}, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    checkRow(space, id, value, options.ttl);
    if (options.ifAbsent === true && this.#visible(space, id) !== undefined) return false;
    let rows = this.#spaces.get(space);
    if (rows === undefined) {
      rows = new Map();
      this.#spaces.set(space, rows);
    }
    // Copied: the caller keeps its buffer, which may be a slice of a large one or change later.
    rows.set(id, { value: Buffer.from(value), expiresAt: this.#clock.now() + (options.ttl ?? Number.POSITIVE_INFINITY) });
    if (options.ttl !== undefined) this.#arm();
    return true;
  }

  async take(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    signal?.throwIfAborted();
    checkSpace(space);
    const held = this.#visible(space, id);
    if (held !== undefined) this.#remove(space, id);
    return held?.value;
  }

  async delete(space: string, id: string, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    checkSpace(space);
    const held = this.#visible(space, id);
    return held !== undefined && this.#remove(space, id);
  }

  async scan(prefix: string, options: ScanOptions = {}, signal?: AbortSignal): Promise<readonly Row[]> {
    signal?.throwIfAborted();
    checkSpace(prefix);
    const rows: Row[] = [];
    for (const [space, held] of this.#spaces) {
      if (!isBelow(space, prefix)) continue;
      for (const [id, { value, expiresAt }] of held) {
        const position = `${space}\u0000${id}`;
        if (this.#visible(space, id) === undefined) continue;
        if (options.after !== undefined && position <= options.after.position) continue;
        rows.push({
          space,
          value: Buffer.from(value),
          position,
          remove: () => this.delete(space, id),
          ...(Number.isFinite(expiresAt) ? { expiresAt } : {}),
        });
      }
    }
    rows.sort((a, b) => (a.position < b.position ? -1 : 1));
    return rows.slice(0, options.limit ?? DEFAULT_SCAN_LIMIT);
  }

  /** Rows that are held, expired ones included until they are swept. */
  get size(): number {
    let size = 0;
    for (const rows of this.#spaces.values()) size += rows.size;
    return size;
  }

  close(): void {
    this.#closed = true;
    this.#sweep?.cancel();
    this.#spaces.clear();
  }

  #visible(space: string, id: string): Held | undefined {
    const held = this.#spaces.get(space)?.get(id);
    return held !== undefined && held.expiresAt > this.#clock.now() ? held : undefined;
  }

  #remove(space: string, id: string): boolean {
    const rows = this.#spaces.get(space);
    if (rows === undefined || !rows.delete(id)) return false;
    if (rows.size === 0) this.#spaces.delete(space);
    return true;
  }

  #arm(): void {
    if (this.#closed) return;
    this.#sweep ??= this.#clock.after(SWEEP_INTERVAL, () => {
      this.#sweep = undefined;
      let left = false;
      for (const [space, rows] of this.#spaces) {
        for (const [id, { expiresAt }] of rows) {
          if (expiresAt <= this.#clock.now()) this.#remove(space, id);
          else if (Number.isFinite(expiresAt)) left = true;
        }
      }
      if (left) this.#arm();
    });
  }
}
