import type { IncomingHttpHeaders } from 'node:http';
import { type ErrorDetails, TurnpikeError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import type { HttpFailure } from './http-failure.ts';
import { maskText } from './mask.ts';

/**
 * `details.data` of an error that an HTTP status caused: for the era prober and the credential resolver. It holds what
 * the upstream said unmasked, so whoever shows the error to a caller replaces it.
 */
export interface StatusData {
  readonly status: number;
  /** The body, if it was a JSON object. */
  readonly body?: JsonObject;
  readonly wwwAuthenticate?: string;
}

/** `upstream/lost`: aggregator.md section 1 gives the text. */
export function lost(upstream: string, details: ErrorDetails = {}): TurnpikeError {
  const text = `upstream '${upstream}' closed the connection after the request was sent; the outcome is unknown`;
  return new TurnpikeError('upstream/lost', text, { upstream, retryable: false, ...details });
}

export function closed(upstream: string): TurnpikeError {
  return new TurnpikeError('upstream/down', `the connection to upstream '${upstream}' is closed`, { upstream, retryable: true });
}

export function invalid(upstream: string, what: string, details: ErrorDetails = {}): TurnpikeError {
  return new TurnpikeError('upstream/protocol', `upstream '${upstream}' ${what}`, { upstream, ...details });
}

/** A request that got no answer. What was certainly not sent is `upstream/down` and may be sent again. Host and cause go to the log. */
export function ofFailure(upstream: string, failure: HttpFailure): TurnpikeError {
  const details = { upstream, reason: failure.message, cause: failure };
  if (failure.kind === 'redirect') {
    const what = `redirects (status ${failure.status}); redirects are never followed, configure the final URL`;
    return invalid(upstream, what, { ...details, data: { status: failure.status } });
  }
  if (failure.kind === 'response') return invalid(upstream, 'sent something that is not valid HTTP', details);
  if (failure.kind === 'request') return new TurnpikeError('internal', undefined, details);
  if (failure.sent) return lost(upstream, details);
  return new TurnpikeError('upstream/down', `upstream '${upstream}' cannot be reached`, { ...details, retryable: true });
}

export interface StatusAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The request carried an `Mcp-Session-Id`, or went to a session's own URL. */
  readonly inSession: boolean;
  /** Values of ours that the body may echo. */
  readonly secrets: readonly string[];
}

/** An HTTP status that is no answer. Only a forgotten session is retryable: everything else may have run. */
export function ofStatus(upstream: string, answer: StatusAnswer): TurnpikeError {
  const { status, headers } = answer;
  const parsed = parseJson(answer.body);
  const challenge = headers['www-authenticate'];
  const data: StatusData = {
    status,
    ...(parsed.ok && isJsonObject(parsed.value) ? { body: parsed.value } : {}),
    ...(challenge === undefined ? {} : { wwwAuthenticate: challengesOf(challenge) }),
  };
  const details = { upstream, data, retryable: false };
  if (status === 401) return new TurnpikeError('upstream/login', `upstream '${upstream}' asks for a sign-in`, details);
  if (status === 404 && answer.inSession)
    return new TurnpikeError('upstream/session', `upstream '${upstream}' lost its session`, { ...details, retryable: true });
  const shown = maskText(answer.body.toString('utf8'), answer.secrets);
  const text = `upstream '${upstream}' answered with status ${status}`;
  // What a foreign server writes into an error page is for operators: it may be a stack trace or another tenant's data.
  const reason = shown === '' ? {} : { reason: `${text}: ${shown}` };
  const after = Number(headers['retry-after']);
  const wait = (status === 429 || status === 503) && after >= 0 ? { retryAfter: after } : {};
  const code = status >= 500 || status === 408 || status === 429 ? 'upstream/down' : 'upstream/protocol';
  return new TurnpikeError(code, text, { ...details, ...reason, ...wait });
}

/** `node:http` declares one value, undici gives a list when the header was repeated. */
function challengesOf(challenge: string | readonly string[]): string {
  return typeof challenge === 'string' ? challenge : challenge.join(', ');
}
