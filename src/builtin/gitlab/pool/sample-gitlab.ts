import type { JsonObject } from '../../../core/mcp.ts';
import type { ApiAnswer, ApiRequest, GitLabApi, GitLabCredential } from '../client/api.ts';
import { GitLabError } from '../client/gitlab-error.ts';

/** What an instance answers to one request. */
export type SampleAnswer = JsonObject | GitLabError | 'hang';

/** A question that reached an instance. */
export interface SampleRequest {
  readonly apiUrl: string;
  readonly path: string;
  readonly token: string;
  readonly kind: string;
  /** Whether it must not be repeated. */
  readonly once: boolean;
  /** Of one that hangs. */
  readonly answer: (body: JsonObject) => void;
  readonly signal: AbortSignal;
}

export const unauthorized = () => new GitLabError('unauthorized', '401 Unauthorized', { status: 401 });
export const insufficientScope = (scopes: readonly string[] = ['api', 'read_api', 'read_user']) =>
  new GitLabError('insufficient_scope', 'insufficient_scope', { status: 403, scopes });
export const unavailable = () => new GitLabError('server_error', '502 Bad Gateway', { status: 502 });

/** All instances of GitLab there are, without a wire, for tests: who a token belongs to is what the test says. */
export class SampleGitLab {
  /** By token; a token that is not here is rejected. */
  readonly users = new Map<string, SampleAnswer>();
  /** Of every request, first. */
  override: ((request: SampleRequest) => SampleAnswer | undefined) | undefined;
  readonly requests: SampleRequest[] = [];
  /** Requests that are being answered, now and at most. */
  running = 0;
  peak = 0;

  /** A token of its own for a user. 26 characters, as GitLab makes them. */
  token(id: number, name = 'a'): string {
    const token = `glpat-${name.repeat(4)}${String(id).padStart(16, '0')}`;
    this.users.set(token, { id, username: `user${id}` });
    return token;
  }

  readonly clients = (apiUrl: string, credential: GitLabCredential): GitLabApi => {
    const unused = () => {
      throw new TypeError('not a sample');
    };
    return {
      apiUrl,
      request: (request) => this.#answer(apiUrl, credential, request),
      list: async (request) => {
        await this.#answer(apiUrl, credential, request);
        return unused();
      },
      page: unused,
      keyset: unused,
      stream: unused,
      graphql: unused,
    };
  };

  async #answer(apiUrl: string, { kind, token: secret }: GitLabCredential, { path, once = false, signal }: ApiRequest): Promise<ApiAnswer> {
    const token = secret.reveal();
    const { promise, resolve } = Promise.withResolvers<JsonObject>();
    const request: SampleRequest = { apiUrl, path, token, kind, once, answer: resolve, signal };
    this.requests.push(request);
    this.running++;
    this.peak = Math.max(this.peak, this.running);
    try {
      // As over a wire: not in the same turn.
      await Promise.resolve();
      const answer = this.override?.(request) ?? this.users.get(token) ?? unauthorized();
      if (answer instanceof Error) throw answer;
      if (answer !== 'hang') return { status: 200, body: answer, headers: {} };
      const aborted = Promise.withResolvers<never>();
      const onAbort = () => aborted.reject(signal.reason);
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      return { status: 200, body: await Promise.race([promise, aborted.promise]), headers: {} };
    } finally {
      this.running--;
    }
  }
}
