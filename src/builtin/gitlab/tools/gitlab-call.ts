import type { JsonObject } from '../../../core/mcp.ts';
import type { Secret } from '../../../core/secret.ts';
import type { ElicitAnswer } from '../../server/server.ts';
import type { GitLabApi } from '../client/api.ts';

/** One caller: a credential at an instance. */
export interface GitLabContext {
  readonly api: GitLabApi;
  /** Names the principal, for what is kept for each of them. */
  readonly principal: string;
  /** The caller's own secrets, for masking. */
  readonly secrets: readonly Secret[];
}

/** What a handler sees of a call; a `BuiltinCall` is one, and completions make one that cannot ask. */
export interface GitLabCall {
  readonly context: GitLabContext;
  readonly signal: AbortSignal;
  readonly canElicit: boolean;
  progress(progress: number, total?: number, message?: string): void;
  ask(key: string, message: string, schema: JsonObject): ElicitAnswer;
}
