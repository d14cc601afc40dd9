import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { TurnpikeError } from '../../core/errors.ts';

/** Causes that time does not heal: somebody must change the configuration or the machine. */
const LASTING = new Set(['ENOENT', 'EACCES', 'EPERM', 'ENOTDIR', 'ENOEXEC', 'E2BIG', 'ELOOP', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE']);

/** Whether a child failed to start for a reason that trying again does not change (state `failed`, aggregator.md section 1). */
export function isLastingStartFailure(error: unknown): boolean {
  return error instanceof TurnpikeError && error.code === 'upstream/down' && LASTING.has(codeOf(error.details.cause));
}

/**
 * The error for a child that could not be started. Its message names the cause and neither command nor path, for
 * callers may read it; `details.reason` names them for the log.
 */
export async function startFailure(upstream: string, command: string, cwd: string, cause: unknown): Promise<TurnpikeError> {
  const text = await describe(codeOf(cause), cwd);
  return new TurnpikeError('upstream/down', `upstream '${upstream}' could not be started: ${text}`, {
    reason: `${text}; command ${JSON.stringify(command)}, working directory ${JSON.stringify(cwd)}: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
    upstream,
    retryable: true,
  });
}

async function describe(code: string, cwd: string): Promise<string> {
  // The system says ENOENT and EACCES without saying of what, so the working directory is looked at first.
  const directory = await stat(cwd).catch((error: NodeJS.ErrnoException) => error);
  if (directory instanceof Error) {
    return directory.code === 'ENOENT' ? 'its working directory does not exist' : `its working directory cannot be used (${directory.code})`;
  }
  if (!directory.isDirectory()) return 'its working directory is not a directory';
  if (
    await access(cwd, constants.X_OK).then(
      () => false,
      () => true,
    )
  )
    return 'its working directory may not be entered (permission denied)';
  switch (code) {
    case 'ENOENT':
      return 'its command, or the interpreter that it names, was not found';
    case 'EACCES':
    case 'EPERM':
      return 'its command may not be executed (permission denied)';
    case 'E2BIG':
      return 'its arguments and environment are too long';
    case 'EAGAIN':
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
      return `the system has no room for another process (${code})`;
    default:
      return `the system refused (${code})`;
  }
}

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code ?? 'unknown cause';
}
