import type { Clock, Timer } from '../core/clock.ts';
import type { LogFields, Logger } from './log.ts';

/** A limiter of lines; `TokenBuckets` with rate 1 and burst 5 is what identity.md 6 asks for. */
export interface LineLimiter {
  take(key: string): { readonly allowed: boolean };
}

interface Suppressed {
  readonly kind: string;
  count: number;
}

const SUMMARY_MS = 60_000;
const MAX_KEYS = 10_000;

/**
 * Security log lines, limited per address and kind (identity.md 6). What is held back is counted and said: with the
 * next line of the same address and kind, or in a summary within a minute.
 */
export class SecurityLog {
  readonly #logger: Logger;
  readonly #limiter: LineLimiter;
  readonly #clock: Clock;
  readonly #suppressed = new Map<string, Suppressed>();
  #timer: Timer | undefined;

  constructor(logger: Logger, limiter: LineLimiter, clock: Clock) {
    this.#logger = logger;
    this.#limiter = limiter;
    this.#clock = clock;
  }

  /** Warns about one event. `address` is the key of `limit/address.ts`; `kind` one of a fixed set, such as an error code. */
  warn(kind: string, address: string, message: string, fields: LogFields = {}): void {
    const key = `${kind} ${address}`;
    if (!this.#limiter.take(key).allowed) {
      this.#suppress(key, kind);
      return;
    }
    const held = this.#suppressed.get(key);
    this.#suppressed.delete(key);
    this.#logger.warn(message, { kind, address, ...fields, ...(held === undefined ? {} : { suppressed: held.count }) });
  }

  /** Says what is still held back. Call it at the end. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const kinds = new Map<string, { suppressed: number; addresses: number }>();
    for (const { kind, count } of this.#suppressed.values()) {
      const sum = kinds.get(kind) ?? { suppressed: 0, addresses: 0 };
      kinds.set(kind, { suppressed: sum.suppressed + count, addresses: sum.addresses + 1 });
    }
    this.#suppressed.clear();
    for (const [kind, sum] of kinds) this.#logger.warn('security log lines were suppressed', { kind, ...sum });
  }

  #suppress(key: string, kind: string): void {
    const held = this.#suppressed.get(key);
    if (held !== undefined) {
      held.count++;
      return;
    }
    if (this.#suppressed.size >= MAX_KEYS) this.flush();
    this.#suppressed.set(key, { kind, count: 1 });
    this.#timer ??= this.#clock.after(SUMMARY_MS, () => this.flush());
  }
}
