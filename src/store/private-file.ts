import { chmodSync, closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { TurnpikeError } from '../core/errors.ts';

/** Windows has no such bits; access there is governed by the profile directory. */
const CHECKS_MODES = process.platform !== 'win32';

function failed(text: string, cause?: unknown): TurnpikeError {
  return new TurnpikeError('store/failed', text, { reason: text, ...(cause === undefined ? {} : { cause }) });
}

function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Makes the directory with mode 0700, or checks the one that is there (security.md, "Files").
 * @throws `store/failed` naming the path and the fix.
 */
export function privateDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw failed(`store directory ${path} cannot be made (${causeOf(error)}); make it yourself or set store.dir to a writable place`, error);
  }
  const stat = statSync(path);
  if (!CHECKS_MODES || (stat.mode & 0o077) === 0) return;
  throw failed(
    `store directory ${path} is open to other users (mode ${(stat.mode & 0o777).toString(8)}); run: chmod 700 ${path}, or set store.dir to a subdirectory that Turnpike may make`,
  );
}

/**
 * Makes an empty file of mode 0600 unless there is one, and narrows the mode of one that is there.
 * @throws `store/failed` naming the path and the fix.
 */
export function privateFile(path: string): void {
  try {
    const handle = openSync(path, constants.O_CREAT | constants.O_RDWR | (constants.O_NOFOLLOW ?? 0), 0o600);
    try {
      if (!fstatSync(handle).isFile()) throw new Error('not a regular file');
    } finally {
      closeSync(handle);
    }
    if (CHECKS_MODES) chmodSync(path, 0o600);
  } catch (error) {
    throw failed(`${path} cannot be opened for writing (${causeOf(error)}); make it writable for the user that runs Turnpike`, error);
  }
}

/**
 * Refuses a secret file that others may read.
 * @throws `store/failed` naming the path and the fix.
 */
export function checkPrivate(path: string, mode: number): void {
  if (!CHECKS_MODES || (mode & 0o077) === 0) return;
  throw failed(
    `${path} is open to other users (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}, and replace the key if others may have read it`,
  );
}
