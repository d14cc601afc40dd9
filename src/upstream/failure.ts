import { asTurnpikeError, type TurnpikeError } from '../core/errors.ts';
import { HttpFailure } from './http/http-failure.ts';
import { isLastingStartFailure } from './process/start-failure.ts';
import { statusOf } from './refusal.ts';

/** Cause of an error that says: the upstream answered, but in no revision that we speak. */
export class NoCommonRevision extends Error {
  override readonly name = 'NoCommonRevision';
}

/** What waiting does not mend: no such command, TLS, missing secret, no common protocol (aggregator.md section 1, "failed"). */
export function isLasting(error: unknown): boolean {
  const { code, details } = asTurnpikeError(error);
  if (details.cause instanceof NoCommonRevision || code.startsWith('config/')) return true;
  return isLastingStartFailure(error) || (details.cause instanceof HttpFailure && details.cause.kind === 'tls');
}

const MAX_SHOWN = 200;

/** Why an upstream failed, for everybody who may see the upstream: no URL, no path, nothing that the upstream wrote. */
export function statusText(upstream: string, error: unknown): string {
  const failure = asTurnpikeError(error);
  const status = statusOf(failure);
  if (failure.code === 'upstream/login') return `upstream '${upstream}' asks for a sign-in`;
  if (failure.code === 'upstream/session') return `upstream '${upstream}' lost its session`;
  if (status !== undefined) return `upstream '${upstream}' answered with status ${status}`;
  return failure.message
    .replaceAll(/[a-z][a-z0-9+.-]*:\/\/\S+/gi, '…')
    .replaceAll(/(^|[\s'"(=])[.~]{0,2}\/\S+/g, '$1…')
    .slice(0, MAX_SHOWN);
}

/** The same for operators, with what the log needs to find the cause. */
export function operatorText(error: unknown): string {
  const { message, details } = asTurnpikeError(error);
  return details.reason === undefined || details.reason.startsWith(message) ? (details.reason ?? message) : `${message}: ${details.reason}`;
}

/** Whether an attempt failed for the place it was made at, so that another endpoint may do better. */
export function isOfEndpoint(error: TurnpikeError): boolean {
  return error.code === 'upstream/down' || error.code === 'upstream/lost' || error.code === 'upstream/timeout';
}

/** Whether certainly nothing of the attempt reached the upstream. */
export function isUnsent({ code, details }: TurnpikeError): boolean {
  return code === 'upstream/down' && details.retryable === true && details.cause instanceof HttpFailure && !details.cause.sent;
}
