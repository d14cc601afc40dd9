import type { Principal } from '../../../core/caller.ts';
import type { Clock } from '../../../core/clock.ts';
import { isJsonObject } from '../../../core/mcp.ts';
import { unlessAborted, within } from '../../../upstream/deadline.ts';
import type { CredentialKind, GitLabApi } from '../client/api.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import { CredentialRejectedError, InvalidUrlError, PoolCapacityError, UpstreamUnavailableError } from './errors.ts';

/** Who a credential belongs to. */
export interface Identity {
  /** Issuer: the root of the instance. Subject: the user's id, or `job:<project id>:<job id>`. */
  readonly principal: Principal;
  /** Display only; absent for jobs. */
  readonly username?: string;
}

/** Milliseconds for one question (gitlab.md 1.2). */
const PATIENCE_MS = 5_000;

/** Ends work that takes longer than 5 s with `UpstreamUnavailableError`. */
export function patiently<T>(clock: Clock, signal: AbortSignal, work: (until: AbortSignal) => Promise<T>): Promise<T> {
  const late = () => new UpstreamUnavailableError(undefined, `no answer within ${PATIENCE_MS} ms`);
  return within({ clock, ms: PATIENCE_MS, late, signals: [signal] }, work);
}

/**
 * Asks GitLab whose credential it is: `GET /user`, of a job `GET /job`; once (gitlab.md 1.2).
 *
 * @throws `CredentialRejectedError`, `InvalidUrlError` for an address that must not be reached, `PoolCapacityError`, else
 * `UpstreamUnavailableError`; the reason of `signal`
 */
export async function askIdentity(client: GitLabApi, kind: CredentialKind, signal: AbortSignal): Promise<Identity> {
  const path = kind === 'job-token' ? '/job' : '/user';
  let body: unknown;
  try {
    const answer = await unlessAborted(client.request({ path, once: true, signal }), signal);
    body = answer.body;
  } catch (error) {
    signal.throwIfAborted();
    throw verdictOf(error, kind);
  }
  const identity = identityOf(client.apiUrl, kind, body);
  if (identity === undefined) throw new UpstreamUnavailableError(undefined, `${path} answered something else`);
  return identity;
}

/** gitlab.md 1.2, the table. */
function verdictOf(error: unknown, kind: CredentialKind): Error {
  if (error instanceof UpstreamUnavailableError) return error;
  if (!(error instanceof GitLabError)) return new UpstreamUnavailableError(undefined, error instanceof Error ? error.message : String(error));
  switch (error.code) {
    case 'unauthorized':
    case 'forbidden':
      return new CredentialRejectedError();
    case 'insufficient_scope':
      return new CredentialRejectedError(error.scopes);
    case 'address_refused':
      return new InvalidUrlError({ kind: 'forbidden', reason: 'address' });
    case 'capacity':
      return new PoolCapacityError(/\((max [^)]*)\)/.exec(error.message)?.[1] ?? 'all instances');
    case 'not_found':
      if (kind === 'job-token') return new CredentialRejectedError();
  }
  return new UpstreamUnavailableError(error.retry_after_seconds ?? undefined, `${error.code} ${error.status ?? ''}`.trim());
}

function identityOf(apiUrl: string, kind: CredentialKind, body: unknown): Identity | undefined {
  if (!isJsonObject(body) || !isId(body.id)) return undefined;
  const issuer = apiUrl.replace(/\/api\/v4$/, '');
  if (kind !== 'job-token') {
    const { id, username } = body;
    return { principal: { issuer, subject: String(id) }, ...(typeof username === 'string' ? { username } : {}) };
  }
  const { id, pipeline } = body;
  if (!isJsonObject(pipeline) || !isId(pipeline.project_id)) return undefined;
  return { principal: { issuer, subject: `job:${pipeline.project_id}:${id}` } };
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
