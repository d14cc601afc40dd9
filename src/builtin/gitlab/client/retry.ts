import { GitLabError } from './gitlab-error.ts';
import { NoAnswer } from './http-attempt.ts';

export const MAX_ATTEMPTS = 3;
/** Seconds of `Retry-After` that are waited for. */
const MAX_RETRY_AFTER = 30;
const FIRST_WAIT_MS = 500;

export interface Repeatable {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** A write is never repeated once it may have been sent; a read never at all. */
  readonly once: boolean;
}

export function isRead({ method }: Repeatable): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Whether the same request may be sent again after this failure (gitlab.md section 3, "Retry"). */
export function mayRepeat(request: Repeatable, failure: unknown): boolean {
  if (failure instanceof NoAnswer) {
    if (!failure.sent) return failure.kind === 'connect' && !(request.once && isRead(request));
    return failure.kind === 'lost' && isRead(request) && !request.once;
  }
  if (!(failure instanceof GitLabError) || failure.status === null || request.once || request.method === 'POST') return false;
  const passing = failure.status === 502 || failure.status === 503 || failure.status === 504;
  return passing || (failure.status === 429 && isRead(request));
}

/**
 * Milliseconds before the next attempt: what GitLab asks for, else half a second, doubled each time, with full jitter.
 * Undefined when GitLab asks for more than is waited for.
 *
 * @param made attempts so far, from 1
 * @param random from 0 up to 1
 */
export function waitBefore(made: number, failure: unknown, random: number): number | undefined {
  const asked = failure instanceof GitLabError ? failure.retry_after_seconds : null;
  if (asked === null) return random * FIRST_WAIT_MS * 2 ** (made - 1);
  return asked > MAX_RETRY_AFTER ? undefined : asked * 1000;
}
