import type { JsonObject } from '../../../core/mcp.ts';
import type { Secret } from '../../../core/secret.ts';

/** How a credential is sent to GitLab (gitlab.md 1.1): a job token under its own header, everything else as a Bearer. */
export type CredentialKind = 'private-token' | 'job-token' | 'bearer';

export interface GitLabCredential {
  readonly kind: CredentialKind;
  readonly token: Secret;
}

export type Query = Readonly<Record<string, string | number | boolean | readonly (string | number)[] | undefined>>;

/** One request to the API of an instance. */
export interface ApiRequest {
  /** Default GET. */
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Below the API's root, beginning with `/`; made by `apiPath`, which encodes each part once. */
  readonly path: string;
  /** Lists are sent as `name[]`; undefined ones are left out. */
  readonly query?: Query;
  /** Sent as JSON, keys untouched. */
  readonly body?: JsonObject;
  /** A write is never repeated once it may have been sent, whatever its method (`merge`); a read is never repeated at all. */
  readonly once?: boolean;
  readonly signal: AbortSignal;
}

export interface ApiAnswer {
  readonly status: number;
  /** Parsed leniently: undefined when a successful write answered something that is no JSON. */
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/** What GitLab says of a list; unknown is null (gitlab.md 4, "Output"). */
export interface Pagination {
  readonly page: number | null;
  readonly per_page: number | null;
  readonly next_page: number | null;
  readonly prev_page: number | null;
  readonly total_items: number | null;
  readonly total_pages: number | null;
  readonly has_more: boolean;
}

export interface ApiPage {
  readonly items: readonly JsonObject[];
  readonly pagination: Pagination;
  /** The query of the next page: offset or keyset, whichever GitLab named. */
  readonly next: Query | undefined;
}

/** A list, up to a number of items and of bytes of JSON. */
export interface BoundedRequest extends ApiRequest {
  readonly maxItems: number;
  readonly maxBytes: number;
}

/** What tools see of a GitLab client: one credential, one instance. `GitLabClient` is it (gitlab.md section 3). */
export interface GitLabApi {
  /** The canonical API URL, which ends in `/api/v4`. */
  readonly apiUrl: string;
  /** One answer. Throws `GitLabError` for statuses from 400 on, and for what never came. */
  request(request: ApiRequest): Promise<ApiAnswer>;
  /** One page of a list. `keyset` asks for keyset pagination where GitLab has it. */
  list(request: ApiRequest & { readonly keyset?: boolean }): Promise<ApiPage>;
  /** The items of page after page, by number, until a budget is spent. */
  page(request: BoundedRequest): AsyncIterable<JsonObject>;
  /** The same by keyset, where GitLab has it. */
  keyset(request: BoundedRequest): AsyncIterable<JsonObject>;
  /** A body that may be large, in pieces as they come, at most 50 MiB; stop reading to end it. */
  stream(request: ApiRequest): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly chunks: AsyncIterable<Buffer> }>;
  /** GraphQL of the same instance. */
  graphql(query: string, variables: JsonObject, signal: AbortSignal): Promise<JsonObject>;
}
