import { resolve } from 'node:path';
import type { Clock, Timer } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import { AuditFile, type AuditFs, type AuditSink, AuditStream } from './audit-file.ts';
import { AuditLines, type AuditRecord } from './audit-lines.ts';
import type { Count } from './cells.ts';
import type { Logger } from './log.ts';
import { type Lines, WaitingLines } from './waiting-lines.ts';

/** Default size and number of files (100 MiB × 5). */
const AUDIT_MAX_BYTES = 100 * 1024 * 1024;
const AUDIT_FILES = 5;

export interface AuditOptions {
  readonly sink: AuditSink;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `telemetry.audit.onError`. */
  readonly onError: 'continue' | 'refuse';
  readonly failures: Count;
  readonly lost: Count;
  /** Masked wherever they stand in a text of foreign origin: an upstream may say in its error what it was sent. */
  readonly secrets?: readonly Secret[];
  /** Bytes of records that may wait. Default 16 MiB; `refuse` stops admitting calls at half of it. */
  readonly queueBytes?: number;
}

export interface AuditSettings extends Omit<AuditOptions, 'sink'> {
  /** `telemetry.audit.file`: a path, relative to `dir`, or `-` for `stream`. */
  readonly file: string;
  /** `store.dir`. */
  readonly dir: string;
  /** Standard error. */
  readonly stream: NodeJS.WritableStream;
  /** Bytes after which the file is rotated. Default 100 MiB. */
  readonly maxBytes?: number;
  /** Files kept, the current one included. Default 5. */
  readonly files?: number;
  readonly fs?: AuditFs;
}

/** The audit log of the configuration. Does no I/O: `open` does. */
export function createAuditLog(settings: AuditSettings): AuditLog {
  const { file, dir, stream, maxBytes = AUDIT_MAX_BYTES, files = AUDIT_FILES, clock, logger, fs } = settings;
  if (file === '-') return new AuditLog({ ...settings, sink: new AuditStream(stream) });
  const onRotateError = (error: unknown) => logger.error('the audit file cannot be rotated and grows on', { file, error });
  const path = resolve(dir, file);
  return new AuditLog({ ...settings, sink: new AuditFile({ path, clock, maxBytes, files, onRotateError, ...(fs === undefined ? {} : { fs }) }) });
}

const RETRY_MS = 1000;
const SHOUT_MS = 60_000;
/** Lines are made of so many records in a row: between calls each would cost twice as much (`core/turn.ts`, docs/adr/0020). */
const RECORDS = 64;
/** Records hold the texts of their requests until then: with large ones fewer wait. In bytes, about. */
const HELD_BYTES = 1024 * 1024;
/** A write that takes longer hangs: lines are made at once then, since their records may have to wait for long. */
const SLOW_MS = 100;
/** Records that follow each other are gathered for so long, or until there is so much of them: a write costs more than many lines. */
const GATHER_MS = 10;
const GATHER_BYTES = 64 * 1024;
const QUEUE_BYTES = 16 * 1024 * 1024;

/**
 * The audit log: one JSON line per call, which is the call's log line too (aggregator.md 9). Records wait in a bounded
 * queue and are written in order: at once after a pause, else gathered for 10 ms. While they cannot be written they are
 * kept and tried again every second; under `refuse` no call is made meanwhile.
 */
export class AuditLog {
  readonly #options: AuditOptions;
  readonly #queueBytes: number;
  readonly #lines: AuditLines;
  readonly #waiting: WaitingLines;
  /** Records without a line yet, and when they were made (ms since the epoch). */
  #records: AuditRecord[] = [];
  #times: number[] = [];
  #held = 0;
  /** Taken from the queue and not yet written. */
  #chunk: Lines | undefined;
  #pump: Promise<void> = Promise.resolve();
  #pumping = false;
  #retry: Timer | undefined;
  #gather: Timer | undefined;
  /** When the last write began (monotonic ms). */
  #wroteAt = Number.NEGATIVE_INFINITY;
  #failing = false;
  #closed = false;
  #lost = 0;
  #shoutedAt = Number.NEGATIVE_INFINITY;
  #shouted = false;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#queueBytes = options.queueBytes ?? QUEUE_BYTES;
    this.#lines = new AuditLines(options.secrets ?? []);
    this.#waiting = new WaitingLines(this.#queueBytes);
  }

  /** Whether the last attempt to write failed. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Whether a write is under way. */
  get busy(): boolean {
    return this.#pumping;
  }

  /** Opens the sink, so that a path that cannot be written is known before the first call. Shouts instead of throwing. */
  async open(): Promise<void> {
    try {
      await this.#options.sink.open();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Call it before a call is made. Throws `audit/unwritable` under `refuse`, while records cannot be written. */
  ensureWritable(): void {
    if (this.#options.onError !== 'refuse') return;
    this.#toLines();
    if (this.#failing || this.#closed || this.#waiting.bytes > this.#queueBytes / 2) throw new TurnpikeError('audit/unwritable');
  }

  /** Records one call. Never throws and never waits. */
  record(record: AuditRecord): void {
    if (this.#closed) {
      this.#giveUp(1);
      return;
    }
    this.#times.push(this.#options.clock.now());
    this.#held += heldBy(record);
    if (this.#records.push(record) >= RECORDS || this.#held > HELD_BYTES || this.#isHeldUp()) this.#toLines();
    if (!this.#pumping && !this.#failing) this.#startSoon();
  }

  /** Lines are not written, or not for a while: what is kept is bounded then, and counted exactly. */
  #isHeldUp(): boolean {
    return this.#failing || (this.#pumping && this.#options.clock.monotonic() - this.#wroteAt > SLOW_MS);
  }

  /**
   * Writes what waits, then closes the sink. One last attempt is made for records that could not be written; what
   * `deadlineMs` (default 5 s) does not suffice for is counted and said. Idempotent.
   */
  async close(deadlineMs = 5000): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#retry?.cancel();
    const { clock, sink } = this.#options;
    const { promise: late, resolve: giveUpWaiting } = Promise.withResolvers<void>();
    const timer = clock.after(deadlineMs, giveUpWaiting);
    await Promise.race([this.#finish(), late]);
    const left = (this.#chunk?.count ?? 0) + this.#waiting.count;
    this.#waiting.clear();
    if (left > 0) this.#giveUp(left);
    await Promise.race([sink.close(), late]);
    timer.cancel();
  }

  async #finish(): Promise<void> {
    this.#toLines();
    // An attempt may be under way: it takes everything along unless it fails, and then one more is made.
    await this.#pump;
    if (this.#waiting.bytes > 0) await this.#start();
  }

  /** What finds no room is lost. */
  #toLines(): void {
    if (this.#records.length === 0) return;
    const records = this.#records;
    const times = this.#times;
    this.#records = [];
    this.#times = [];
    this.#held = 0;
    let lost = 0;
    for (const [index, record] of records.entries()) if (!this.#addLine(record, times[index] as number)) lost++;
    if (lost > 0) this.#giveUp(lost);
  }

  /** Returns whether it found room. A record of which no line can be made is lost by itself: the others are of other calls. */
  #addLine(record: AuditRecord, time: number): boolean {
    try {
      return this.#waiting.add(this.#lines.of(record, time));
    } catch (error) {
      this.#options.logger.error('an audit record cannot be written', { method: record.method, error });
      return false;
    }
  }

  /** At once when nothing was written for a while or much waits; else with what else comes in. */
  #startSoon(): void {
    if (this.#waiting.bytes >= GATHER_BYTES) {
      void this.#start();
      return;
    }
    if (this.#gather !== undefined) return;
    const { clock } = this.#options;
    const left = this.#wroteAt + GATHER_MS - clock.monotonic();
    if (left > 0) this.#gather = clock.after(left, () => this.#gathered());
    else void this.#start();
  }

  #gathered(): void {
    this.#gather = undefined;
    // While writes fail it is the retry that tries again.
    if (!this.#failing) void this.#start();
  }

  #start(): Promise<void> {
    if (!this.#pumping) {
      this.#pumping = true;
      this.#gather?.cancel();
      this.#gather = undefined;
      this.#pump = this.#drain();
    }
    return this.#pump;
  }

  /** `#pumping` falls in the same turn in which no more is to be written now: a record that comes later starts anew. */
  async #drain(): Promise<void> {
    const { sink, clock } = this.#options;
    this.#wroteAt = clock.monotonic();
    this.#toLines();
    try {
      let due = this.#waiting.bytes;
      if (this.#failing && due === 0) await sink.open();
      // What comes in meanwhile is gathered again, unless it is the last.
      while (due > 0 || this.#closed) {
        this.#chunk ??= this.#waiting.take();
        if (this.#chunk === undefined) break;
        const { length } = this.#chunk.bytes;
        await sink.write(this.#chunk.bytes);
        this.#chunk = undefined;
        this.#waiting.settled(length);
        due -= length;
        this.#succeeded();
      }
      this.#pumping = false;
      this.#succeeded();
      if (this.#waiting.count > 0 || this.#records.length > 0) this.#startSoon();
    } catch (error) {
      this.#pumping = false;
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#failing = true;
    this.#toLines();
    this.#options.failures.add();
    this.#shout(error);
    if (this.#closed) return;
    this.#retry?.cancel();
    this.#retry = this.#options.clock.after(RETRY_MS, () => void this.#start());
  }

  #succeeded(): void {
    if (!this.#failing) return;
    this.#failing = false;
    if (!this.#shouted) return;
    this.#shouted = false;
    this.#options.logger.info('audit records are written again', { lost: this.#lost });
    this.#lost = 0;
  }

  #giveUp(records: number): void {
    this.#lost += records;
    this.#options.lost.add(records);
    this.#shout(undefined);
  }

  /** Once a minute, and again at the end, when it is certain that records are lost. */
  #shout(error: unknown): void {
    const now = this.#options.clock.monotonic();
    if (now - this.#shoutedAt < SHOUT_MS && !(this.#closed && this.#lost > 0)) return;
    this.#shoutedAt = now;
    this.#shouted = true;
    this.#options.logger.error('audit records cannot be written', {
      onError: this.#options.onError,
      lost: this.#lost,
      ...(error === undefined ? {} : { error: error instanceof Error ? error.message : String(error) }),
    });
  }
}

/** What a record keeps from being collected: its texts, and mostly the request that they were cut from. */
function heldBy({ requestId, tool, error, bytesIn }: AuditRecord): number {
  return bytesIn + tool.length + (typeof requestId === 'string' ? requestId.length : 0) + (error?.length ?? 0);
}
