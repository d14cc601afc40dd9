/** What went wrong, as a word that programs compare. */
export type GitLabErrorCode =
  // GitLab's answers, by status.
  | 'bad_request'
  | 'unauthorized'
  | 'forbidden'
  | 'insufficient_scope'
  | 'not_found'
  | 'method_not_allowed'
  | 'conflict'
  | 'precondition_failed'
  | 'content_too_large'
  | 'unprocessable'
  | 'rate_limited'
  | 'http_error'
  | 'server_error'
  // Refused here: GitLab was not asked.
  | 'invalid_request'
  | 'address_refused'
  | 'capacity'
  // No answer, or none that can be used.
  | 'unreachable'
  | 'timeout'
  | 'outcome_unknown'
  | 'redirected'
  | 'response_too_large'
  | 'invalid_response';

/** Members of the error as callers see them (gitlab.md section 3, "Errors"); unknown is null. */
export interface GitLabErrorFacts {
  readonly status: number | null;
  readonly code: GitLabErrorCode;
  readonly message: string;
  readonly hint: string | null;
  readonly request_id: string | null;
  readonly retry_after_seconds: number | null;
}

export interface GitLabErrorDetails {
  readonly status?: number | undefined;
  readonly hint?: string | undefined;
  readonly requestId?: string | undefined;
  /** Whole seconds. */
  readonly retryAfterSeconds?: number | undefined;
  /** Scopes that GitLab named in `insufficient_scope`. */
  readonly scopes?: readonly string[] | undefined;
}

/** Characters of a message that are kept. */
const MAX_MESSAGE = 500;

/** An answer of GitLab from status 400 on, or none at all. Holds neither headers nor token, and no cause that might. */
export class GitLabError extends Error implements GitLabErrorFacts {
  override readonly name = 'GitLabError';
  readonly code: GitLabErrorCode;
  readonly status: number | null;
  readonly hint: string | null;
  readonly request_id: string | null;
  readonly retry_after_seconds: number | null;
  readonly scopes: readonly string[];

  constructor(code: GitLabErrorCode, message: string, details: GitLabErrorDetails = {}) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message);
    Error.stackTraceLimit = limit;
    this.code = code;
    this.status = details.status ?? null;
    this.hint = details.hint ?? null;
    this.request_id = details.requestId ?? null;
    this.retry_after_seconds = details.retryAfterSeconds ?? null;
    this.scopes = details.scopes ?? [];
  }

  toJSON(): GitLabErrorFacts {
    const { status, code, message, hint, request_id, retry_after_seconds } = this;
    return { status, code, message, hint, request_id, retry_after_seconds };
  }
}
