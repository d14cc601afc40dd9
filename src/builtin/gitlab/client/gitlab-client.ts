import type { Clock } from '../../../core/clock.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import type { ApiAnswer, ApiPage, ApiRequest, BoundedRequest, GitLabApi, GitLabCredential, Query } from './api.ts';
import { isApiPath } from './api-path.ts';
import { knownApiUrl } from './api-url.ts';
import { bytesOf, chunksOf } from './body.ts';
import { requestIdOf } from './error-answer.ts';
import { GitLabError } from './gitlab-error.ts';
import type { InstanceSource } from './instance-source.ts';
import type { OpenAnswer } from './open-answer.ts';
import { nextQuery, paginationOf, perPageOf, queryText } from './pagination.ts';
import { isRead } from './retry.ts';
import { Sender, type Sending } from './sender.ts';

const MIB = 1024 * 1024;
/** Bytes after decompression (gitlab.md section 3). */
const MAX_BODY = 10 * MIB;
const MAX_STREAM = 50 * MIB;
/** Pages that one iteration asks for at most, whatever GitLab says is next. */
const MAX_PAGES = 1000;

export interface GitLabClientOptions {
  /** The API URL of the instance, in any spelling. */
  readonly apiUrl: string;
  readonly credential: GitLabCredential;
  /** Where connections to the instance come from. */
  readonly instances: InstanceSource;
  readonly clock: Clock;
  /** For `User-Agent: turnpike/<version>`. */
  readonly version: string;
  /** From 0 up to 1, for the jitter of waits. Default `Math.random`. */
  readonly random?: () => number;
  /** Hears of every answer and of every request that got none (`status` 0). Must not throw. */
  readonly observe?: (seen: { readonly apiUrl: string; readonly method: string; readonly status: number }) => void;
}

type ListRequest = Parameters<GitLabApi['list']>[0];

/** One credential at one instance (gitlab.md section 3). The token is read where it is written into a request, and nowhere else. */
export class GitLabClient implements GitLabApi {
  readonly apiUrl: string;
  readonly #credential: GitLabCredential;
  readonly #agent: string;
  readonly #root: string;
  readonly #host: string;
  readonly #sender: Sender;

  /** @throws `GitLabError` `invalid_request` when the URL is none of an instance */
  constructor(options: GitLabClientOptions) {
    const { canonical, root } = knownApiUrl(options.apiUrl);
    const { credential, instances, clock, version, random = Math.random, observe = () => undefined } = options;
    this.apiUrl = canonical;
    this.#credential = credential;
    this.#agent = `turnpike/${version}`;
    this.#root = root;
    const url = new URL(root);
    this.#host = url.host;
    const isJob = credential.kind === 'job-token';
    this.#sender = new Sender({ apiUrl: canonical, root: url, instances, clock, random, observe, hidden: () => [credential.token.reveal()], isJob });
  }

  async request(request: ApiRequest): Promise<ApiAnswer> {
    const sending = this.#sending(request, 'application/json');
    return this.#sender.send(sending, async (answer) => {
      const { status, headers } = answer.head;
      if (isRead(sending)) return { status, headers, body: jsonOf(await bytesOf(answer.head, MAX_BODY), status, headers) };
      // It is done: an answer that cannot be read does not undo it.
      const bytes = await bytesOf(answer.head, MAX_BODY).catch((error: unknown) => this.#unlessCancelled(error, request.signal));
      return { status, headers, body: parsed(bytes) };
    });
  }

  async list({ keyset, ...request }: ListRequest): Promise<ApiPage> {
    const perPage = perPageOf(request.query);
    const asked: Query = { ...request.query, per_page: perPage, ...(keyset === true ? { pagination: 'keyset' } : {}) };
    const { status, headers, body } = await this.request({ ...request, query: asked });
    if (!Array.isArray(body)) throw invalid('GitLab answered no list', status, headers);
    const named = nextQuery(headers, asked, this.#host);
    // A page that names itself as the next one would never end.
    const next = named !== undefined && queryText(named) === queryText(asked) ? undefined : named;
    return { items: body.filter(isJsonObject), pagination: paginationOf(headers, perPage, next), next };
  }

  page(request: BoundedRequest): AsyncGenerator<JsonObject, void, undefined> {
    return this.#items(request, false);
  }

  keyset(request: BoundedRequest): AsyncGenerator<JsonObject, void, undefined> {
    return this.#items(request, true);
  }

  async *#items(request: BoundedRequest, keyset: boolean): AsyncGenerator<JsonObject, void, undefined> {
    let { maxItems, maxBytes } = request;
    let query = request.query;
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const page = await this.list({ ...request, keyset, ...(query === undefined ? {} : { query }) });
      for (const item of page.items) {
        maxBytes -= Buffer.byteLength(JSON.stringify(item));
        if (maxItems-- <= 0 || maxBytes < 0) return;
        yield item;
      }
      // Pages that are empty and name one another would never end.
      if (maxItems <= 0 || page.next === undefined || page.items.length === 0) return;
      query = page.next;
    }
  }

  async stream(request: ApiRequest): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly chunks: AsyncIterable<Buffer> }> {
    return this.#sender.send(this.#sending(request, '*/*'), async (answer) => {
      answer.keep();
      return { headers: answer.head.headers, chunks: streamed(answer) };
    });
  }

  async graphql(query: string, variables: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    const url = new URL(`${this.#root}/api/graphql`);
    const headers = { ...this.#headers('application/json'), 'content-type': 'application/json' };
    const body = JSON.stringify({ query, variables });
    return this.#sender.send({ method: 'POST', url, headers, body, once: true, signal }, async ({ head }) => {
      const { status } = head;
      const answer = jsonOf(await bytesOf(head, MAX_BODY), status, head.headers);
      if (!isJsonObject(answer)) throw invalid('GitLab answered no GraphQL', status, head.headers);
      return answer;
    });
  }

  #sending(request: ApiRequest, accept: string): Sending {
    const { method = 'GET', path, query, body, once = false, signal } = request;
    if (!isApiPath(path))
      throw new GitLabError('invalid_request', 'the path is not valid', { hint: 'Correct the id, name or path; nothing was sent.' });
    const content = body === undefined ? {} : { 'content-type': 'application/json' };
    return {
      method,
      url: new URL(`${this.apiUrl}${path}${queryText(query)}`),
      headers: { ...this.#headers(accept), ...content },
      body: body === undefined ? undefined : JSON.stringify(body),
      once,
      signal,
    };
  }

  #headers(accept: string): Record<string, string> {
    const { kind, token } = this.#credential;
    const credential: Record<string, string> = kind === 'job-token' ? { 'job-token': token.reveal() } : { authorization: `Bearer ${token.reveal()}` };
    return { ...credential, accept, 'accept-encoding': 'gzip, br', 'user-agent': this.#agent };
  }

  #unlessCancelled(error: unknown, signal: AbortSignal): Buffer {
    if (signal.aborted) throw error;
    return Buffer.alloc(0);
  }
}

/** The pieces of an answer; it ends with the last one, with an error, or when the reader leaves. */
async function* streamed(answer: OpenAnswer): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* chunksOf(answer.head, MAX_STREAM);
  } catch (error) {
    throw answer.failure(error);
  }
}

function jsonOf(bytes: Buffer, status: number, headers: Readonly<Record<string, string>>): unknown {
  const body = parsed(bytes);
  if (body === undefined && bytes.length > 0) throw invalid('GitLab answered something that is not JSON', status, headers);
  return body;
}

function parsed(bytes: Buffer): unknown {
  try {
    return bytes.length === 0 ? undefined : JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function invalid(message: string, status: number, headers: Readonly<Record<string, string>>): GitLabError {
  const hint = 'Check that the URL is the API of a GitLab instance, and that no proxy answers in its place.';
  return new GitLabError('invalid_response', message, { status, requestId: requestIdOf(headers), hint });
}
