import { TurnpikeError } from '../core/errors.ts';

export interface SetOptions {
  /** Milliseconds until the row is invisible; for ever when absent. */
  readonly ttl?: number;
  /** Only if there is no visible row: the way to take a lock or to accept something once. */
  readonly ifAbsent?: boolean;
}

export interface ScanOptions {
  /** At most this many rows. Default 100. */
  readonly limit?: number;
  /** Continue behind this row of an earlier scan with the same prefix. */
  readonly after?: Row;
}

/** One row of a scan. Its id is hidden in an encrypted store: what the reader must know stands in the value. */
export interface Row {
  readonly space: string;
  readonly value: Buffer;
  /** Milliseconds since the epoch. */
  readonly expiresAt?: number;
  /** Where it stands, for `after`; means nothing to anybody but the store. */
  readonly position: string;
  /** Deletes the row. Returns whether it was still there. */
  remove(): Promise<boolean>;
}

/**
 * Durable small values. A row has a `space` (plain words, visible to whoever reads the medium: `oauth/codes`) and an
 * `id` (any text, may be a secret; encrypted stores keep only its HMAC). Ids are never part of a path.
 * Expired rows are invisible to every method. All methods throw `store/failed` when the medium fails.
 */
export interface Store {
  get(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined>;
  /** Returns false when `ifAbsent` was given and there is a row. */
  set(space: string, id: string, value: Buffer, options?: SetOptions, signal?: AbortSignal): Promise<boolean>;
  /** Reads and deletes in one step: of two who take the same row, one gets it. */
  take(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined>;
  /** Returns whether there was a row. */
  delete(space: string, id: string, signal?: AbortSignal): Promise<boolean>;
  /** The rows of `prefix` and of the spaces below it (`oauth` holds `oauth/codes`, not `oauth2`), in a stable order. */
  scan(prefix: string, options?: ScanOptions, signal?: AbortSignal): Promise<readonly Row[]>;
}

export const DEFAULT_SCAN_LIMIT = 100;
/** Bytes. Ids above it are never stored, so they are never found. */
export const MAX_ID_BYTES = 4096;
/** Bytes: the store blocks the loop while it writes. */
export const MAX_VALUE_BYTES = 8 * 1024 * 1024;

const SPACE = /^[A-Za-z0-9_.:-]{1,128}(\/[A-Za-z0-9_.:-]{1,128}){0,7}$/;

/** Spaces are chosen by code, so a bad one is our own mistake. */
export function checkSpace(space: string): void {
  if (!SPACE.test(space)) throw new TurnpikeError('internal', undefined, { reason: `not a space of the store: ${JSON.stringify(space)}` });
}

/** Whether a row of this id can exist. A lone surrogate has no UTF-8, so two such ids would share one row. */
export function storableId(id: string): boolean {
  return id.isWellFormed() && Buffer.byteLength(id) <= MAX_ID_BYTES;
}

/** For `set`: what cannot be stored is refused. */
export function checkRow(space: string, id: string, value: Buffer, ttl: number | undefined): void {
  checkSpace(space);
  const fault = !storableId(id)
    ? `id is not UTF-8 text of at most ${MAX_ID_BYTES} bytes`
    : value.length > MAX_VALUE_BYTES
      ? `value is larger than ${MAX_VALUE_BYTES} bytes`
      : ttl !== undefined && !(ttl > 0)
        ? `ttl is ${ttl}, must be above 0`
        : undefined;
  if (fault !== undefined) throw new TurnpikeError('store/failed', undefined, { reason: `${space}: ${fault}` });
}

/** Whether a space is `prefix` or lies below it. */
export function isBelow(space: string, prefix: string): boolean {
  return space === prefix || space.startsWith(`${prefix}/`);
}
