import type { Clock } from '../../../core/clock.ts';
import { TurnpikeError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import type { ApiAnswer, ApiPage, ApiRequest, GitLabApi, GitLabCredential } from './api.ts';
import type { InstanceSource } from './instance-source.ts';

export interface GitLabClientOptions {
  /** The canonical API URL of the instance. */
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

/** One credential at one instance (gitlab.md section 3). */
export class GitLabClient implements GitLabApi {
  readonly apiUrl: string;

  constructor(options: GitLabClientOptions) {
    this.apiUrl = options.apiUrl;
  }

  request(_request: ApiRequest): Promise<ApiAnswer> {
    throw new TurnpikeError('internal');
  }

  page(_request: ApiRequest & { readonly keyset?: boolean }): Promise<ApiPage> {
    throw new TurnpikeError('internal');
  }

  items(_request: ApiRequest & { readonly keyset?: boolean; readonly maxItems: number; readonly maxBytes: number }): AsyncIterable<JsonObject> {
    throw new TurnpikeError('internal');
  }

  stream(_request: ApiRequest): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly chunks: AsyncIterable<Buffer> }> {
    throw new TurnpikeError('internal');
  }

  graphql(_query: string, _variables: JsonObject, _signal: AbortSignal): Promise<JsonObject> {
    throw new TurnpikeError('internal');
  }
}
