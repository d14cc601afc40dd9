import { resolve } from 'node:path';
import type { Clock, Timer } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Era, RequestId } from '../core/mcp.ts';
import type { Secret } from '../core/secret.ts';
import { AuditFile, type AuditFs, type AuditSink, AuditStream } from './audit-file.ts';
import type { CallOutcome, Count } from './instruments.ts';
import type { Logger } from './log.ts';
import { maskValues, redactText } from './redact.ts';

/** What is recorded of one call. Arguments and results never are. */
export interface AuditRecord {
  readonly requestId: RequestId;
  readonly tenant: string;
  readonly principal: { readonly fingerprint: string; readonly issuer: string; readonly subject: string };
  /** Fingerprint of the session, when there is one. */
  readonly session?: string;
  readonly era: Era;
  readonly method: string;
  /** The name the caller used. */
  readonly tool: string;
  /** The name the upstream uses. */
  readonly original?: string;
  readonly upstream?: string;
  /** `allowed`, or the rule that refused. */
  readonly decision: string;
  readonly outcome: CallOutcome;
  /** Error code: ours as text, or the JSON-RPC one. */
  readonly code?: string | number;
  readonly error?: string;
  readonly durationMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** `auth.mode` of the upstream. */
  readonly credentialMode?: string;
}

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
const CHUNK_BYTES = 256 * 1024;
const MAX_NAME = 256;

/**
 * The audit log: one JSON line per call, which is the call's log line too (aggregator.md 9). Records wait in a bounded
 * queue and are written in order, as many at once as have come in meanwhile. While they cannot be written they are
 * kept and tried again every second; under `refuse` no call is made meanwhile.
 */
export class AuditLog {
  readonly #options: AuditOptions;
  readonly #queueBytes: number;
  #lines: Buffer[] = [];
  #waiting = 0;
  /** Taken from the queue and not yet written. */
  #chunk: { readonly bytes: Buffer; readonly records: number } | undefined;
  #pump: Promise<void> = Promise.resolve();
  #pumping = false;
  #retry: Timer | undefined;
  #failing = false;
  #closed = false;
  #lost = 0;
  #shoutedAt = Number.NEGATIVE_INFINITY;
  #shouted = false;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#queueBytes = options.queueBytes ?? 16 * 1024 * 1024;
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
    if (this.#failing || this.#closed || this.#waiting > this.#queueBytes / 2) throw new TurnpikeError('audit/unwritable');
  }

  /** Records one call. Never throws and never waits. */
  record(record: AuditRecord): void {
    const line = Buffer.from(`${JSON.stringify(lineOf(record, this.#options.clock.now(), this.#options.secrets ?? []))}\n`);
    if (this.#closed || this.#waiting + line.length > this.#queueBytes) {
      this.#giveUp(1);
      return;
    }
    this.#lines.push(line);
    this.#waiting += line.length;
    if (!this.#failing) void this.#start();
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
    const left = (this.#chunk?.records ?? 0) + this.#lines.length;
    this.#lines = [];
    if (left > 0) this.#giveUp(left);
    await Promise.race([sink.close(), late]);
    timer.cancel();
  }

  async #finish(): Promise<void> {
    // An attempt may be under way: it takes everything along unless it fails, and then one more is made.
    await this.#pump;
    if (this.#waiting > 0) await this.#start();
  }

  #start(): Promise<void> {
    if (!this.#pumping) {
      this.#pumping = true;
      this.#pump = this.#drain();
    }
    return this.#pump;
  }

  /** `#pumping` falls in the same turn in which the queue was found empty: a record that comes later starts anew. */
  async #drain(): Promise<void> {
    const { sink } = this.#options;
    try {
      if (this.#failing && this.#waiting === 0) await sink.open();
      for (;;) {
        this.#chunk ??= this.#next();
        if (this.#chunk === undefined) break;
        await sink.write(this.#chunk.bytes);
        this.#waiting -= this.#chunk.bytes.length;
        this.#chunk = undefined;
        this.#succeeded();
      }
      this.#pumping = false;
      this.#succeeded();
    } catch (error) {
      this.#pumping = false;
      this.#failed(error);
    }
  }

  #next(): { readonly bytes: Buffer; readonly records: number } | undefined {
    let size = 0;
    let records = 0;
    for (const line of this.#lines) {
      if (records > 0 && size + line.length > CHUNK_BYTES) break;
      size += line.length;
      records++;
    }
    return records === 0 ? undefined : { bytes: Buffer.concat(this.#lines.splice(0, records), size), records };
  }

  #failed(error: unknown): void {
    this.#failing = true;
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

/** How the log line names what was called (aggregator.md 9, "Metrics and logs"). */
const WORDS: Readonly<Record<string, { readonly message: string; readonly subsystem: string }>> = {
  'tools/call': { message: 'tool call', subsystem: 'MCP-Tool' },
  'prompts/get': { message: 'prompt get', subsystem: 'MCP-Prompt' },
  'resources/read': { message: 'resource read', subsystem: 'MCP-Resource' },
  'skills/get': { message: 'skill get', subsystem: 'MCP-Skill' },
  'resources/directory/read': { message: 'directory read', subsystem: 'MCP-Resource' },
  'tasks/get': { message: 'task get', subsystem: 'MCP-Task' },
  'tasks/update': { message: 'task update', subsystem: 'MCP-Task' },
  'tasks/cancel': { message: 'task cancel', subsystem: 'MCP-Task' },
};
/** Methods whose subject is a URI. */
const NAMED_BY_URI: ReadonlySet<string> = new Set(['resources/read', 'skills/get', 'resources/directory/read']);
const OTHER_WORDS = { message: 'call', subsystem: 'MCP' };

function lineOf(record: AuditRecord, now: number, secrets: readonly Secret[]): Record<string, unknown> {
  const clean = (text: string, max?: number) => redactText(maskValues(text, secrets), max);
  // What the catalog knows is clean; any other name is the caller's own text, and so is a URI, which templates let through.
  const isForeign = record.upstream === undefined || NAMED_BY_URI.has(record.method);
  return {
    time: new Date(now).toISOString(),
    ...(WORDS[record.method] ?? OTHER_WORDS),
    requestId: typeof record.requestId === 'string' ? clean(record.requestId, MAX_NAME) : record.requestId,
    tenant: record.tenant,
    principal: record.principal,
    session: record.session,
    era: record.era,
    method: record.method.length > MAX_NAME ? clean(record.method, MAX_NAME) : record.method,
    tool: isForeign ? clean(record.tool, MAX_NAME) : record.tool,
    original: isForeign && record.original !== undefined ? clean(record.original, MAX_NAME) : record.original,
    upstream: record.upstream,
    decision: record.decision,
    outcome: record.outcome,
    code: record.code,
    error: record.error === undefined ? undefined : clean(record.error),
    duration_s: Math.round(record.durationMs * 1000) / 1e6,
    bytesIn: record.bytesIn,
    bytesOut: record.bytesOut,
    credentialMode: record.credentialMode,
  };
}
