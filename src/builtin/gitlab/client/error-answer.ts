import { isJsonObject } from '../../../core/mcp.ts';
import { GitLabError, type GitLabErrorCode } from './gitlab-error.ts';

interface Row {
  readonly code: GitLabErrorCode;
  readonly text: string;
  readonly hint?: string;
}

/** What GitLab means by a status, and what to do about it (gitlab.md section 3, "Errors"). */
const ROWS: Readonly<Record<number, Row>> = {
  400: { code: 'bad_request', text: 'GitLab refused the request' },
  401: { code: 'unauthorized', text: 'GitLab rejected the token', hint: 'The token is wrong, expired or revoked: send a valid one.' },
  403: {
    code: 'forbidden',
    text: 'GitLab forbids this',
    hint: "The token lacks a scope or its user the role: check the token's scopes and the membership in the project or group.",
  },
  404: {
    code: 'not_found',
    text: 'GitLab does not find this',
    hint: 'It does not exist, or the token may not see it: check the id or path, and what the token may read.',
  },
  405: {
    code: 'method_not_allowed',
    text: 'GitLab does not allow this now',
    hint: 'The merge request cannot be merged as it is: look at its detailed_merge_status, draft, conflicts, pipeline and approvals.',
  },
  409: {
    code: 'conflict',
    text: 'It conflicts with what is there',
    hint: 'It changed meanwhile, or exists already: when a sha was sent, the branch moved; read it again and decide anew.',
  },
  412: { code: 'precondition_failed', text: 'It changed since it was read', hint: 'Read it again, then repeat with what is there now.' },
  413: { code: 'content_too_large', text: 'The content is too large for GitLab', hint: 'Send less at once.' },
  422: { code: 'unprocessable', text: 'GitLab refused the values', hint: 'Correct what the message names; the same values will be refused again.' },
  429: { code: 'rate_limited', text: 'GitLab limits the rate of requests', hint: 'Wait retry_after_seconds (else a minute), then repeat.' },
};

const SERVER_HINT = 'GitLab is in trouble or being updated: try again later.';
const JOB_HINT =
  'The token of a CI/CD job opens only what GitLab names for jobs (artifacts, releases, environments, deployments), while the job runs: for the rest use a personal access token.';
const SCOPE_HINT = 'The token lacks a scope: make one that has it.';

/**
 * The error for a status of 400 and above.
 *
 * @param body its bytes, maybe none
 * @param hidden what GitLab may have echoed and nobody may see
 * @param now milliseconds since the epoch, for a `Retry-After` that is a date
 * @param isJob whether the credential is that of a CI/CD job
 */
export function errorOfAnswer(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
  hidden: readonly string[],
  now: number,
  isJob = false,
): GitLabError {
  const parsed = lenient(body);
  const isScope = status === 403 && isJsonObject(parsed) && parsed.error === 'insufficient_scope';
  const row =
    ROWS[status] ??
    (status >= 500 ? { code: 'server_error', text: 'GitLab failed', hint: SERVER_HINT } : { code: 'http_error', text: 'GitLab refused' });
  const said = clean(messageOf(parsed), hidden);
  return new GitLabError(isScope ? 'insufficient_scope' : row.code, said === '' ? `${row.text} (${status})` : said, {
    status,
    hint: isScope ? SCOPE_HINT : status === 401 && isJob ? JOB_HINT : row.hint,
    requestId: requestIdOf(headers),
    retryAfterSeconds: retryAfterOf(headers['retry-after'], now),
    scopes: isScope && typeof parsed.scope === 'string' ? parsed.scope.split(/[\s,]+/).filter((scope) => /^\w{1,40}$/.test(scope)) : [],
  });
}

/** `Retry-After` in whole seconds (RFC 9110 section 10.2.3); undefined when it is neither a number nor a date. */
export function retryAfterOf(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text);
  // Only what begins with the name of a day is a date: `Date.parse` reads much else.
  const date = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}

export function requestIdOf(headers: Readonly<Record<string, string>>): string | undefined {
  const id = headers['x-request-id'];
  return id !== undefined && /^[\w.:-]{1,100}$/.test(id) ? id : undefined;
}

function lenient(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** GitLab's forms: `message` or `error` as a text, a list of texts, or lists of texts by field. Pages in HTML say nothing. */
function messageOf(body: unknown): string {
  if (!isJsonObject(body)) return '';
  const { message, error, error_description: description } = body;
  if (message !== undefined && message !== null) return flat(message);
  return [flat(error), flat(description)].filter((text) => text !== '').join(': ');
}

/** Depth and number of parts that are looked at: the rest would be cut anyway. */
const MAX_DEPTH = 4;
const MAX_PARTS = 50;

function flat(value: unknown, depth = 0): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (depth >= MAX_DEPTH) return '';
  if (Array.isArray(value))
    return parts(
      value.slice(0, MAX_PARTS).map((item) => flat(item, depth + 1)),
      ', ',
    );
  if (!isJsonObject(value)) return '';
  const members = Object.entries(value).slice(0, MAX_PARTS);
  return parts(
    members.map(([key, member]) => `${key} ${flat(member, depth + 1)}`.trim()),
    '; ',
  );
}

function parts(texts: readonly string[], separator: string): string {
  return texts.filter((text) => text !== '').join(separator);
}

/** Characters that are looked at; hidden values go before anything is cut, so that no part of one is left. */
const READ = 65_536;

/** One line without invisible characters and without what must not be seen. */
function clean(text: string, hidden: readonly string[]): string {
  let line = text
    .slice(0, READ)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  for (const value of hidden) if (value !== '') line = line.replaceAll(value, '[MASKED]');
  return line;
}
