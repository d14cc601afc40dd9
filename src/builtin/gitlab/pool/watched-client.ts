import type { JsonObject } from '../../../core/mcp.ts';
import { unlessAborted } from '../../../upstream/deadline.ts';
import type { ApiAnswer, ApiPage, ApiRequest, BoundedRequest, GitLabApi } from '../client/api.ts';
import { GitLabError } from '../client/gitlab-error.ts';

/**
 * The client as tools get it: an answer 401 makes the pool ask at once whether the credential is still good (gitlab.md 1.3), and
 * is passed on when that is known.
 */
export class WatchedClient implements GitLabApi {
  readonly #client: GitLabApi;
  readonly #suspect: () => Promise<void>;

  /** @param suspect resolves when the credential was asked about; never rejects */
  constructor(client: GitLabApi, suspect: () => Promise<void>) {
    this.#client = client;
    this.#suspect = suspect;
  }

  get apiUrl(): string {
    return this.#client.apiUrl;
  }

  request(request: ApiRequest): Promise<ApiAnswer> {
    return this.#watch(this.#client.request(request), request.signal);
  }

  list(request: ApiRequest & { readonly keyset?: boolean }): Promise<ApiPage> {
    return this.#watch(this.#client.list(request), request.signal);
  }

  page(request: BoundedRequest): AsyncIterable<JsonObject> {
    return this.#watched(this.#client.page(request), request.signal);
  }

  keyset(request: BoundedRequest): AsyncIterable<JsonObject> {
    return this.#watched(this.#client.keyset(request), request.signal);
  }

  async *#watched(items: AsyncIterable<JsonObject>, signal: AbortSignal): AsyncIterable<JsonObject> {
    try {
      yield* items;
    } catch (error) {
      await this.#judge(error, signal);
      throw error;
    }
  }

  stream(request: ApiRequest): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly chunks: AsyncIterable<Buffer> }> {
    return this.#watch(this.#client.stream(request), request.signal);
  }

  graphql(query: string, variables: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    return this.#watch(this.#client.graphql(query, variables, signal), signal);
  }

  async #watch<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await work;
    } catch (error) {
      await this.#judge(error, signal);
      throw error;
    }
  }

  async #judge(error: unknown, signal: AbortSignal): Promise<void> {
    if (!(error instanceof GitLabError) || error.code !== 'unauthorized') return;
    // Whoever cancels need not wait for the verdict; what is thrown is the answer nevertheless.
    await unlessAborted(this.#suspect(), signal).catch(() => {});
  }
}
