import type { JsonObject } from '../../../core/mcp.ts';
import type { Secret } from '../../../core/secret.ts';
import type { ElicitAnswer } from '../../server/server.ts';
import type { CredentialKind, GitLabApi } from '../client/api.ts';

/** One caller: a credential at an instance. */
export interface GitLabContext {
  readonly api: GitLabApi;
  /** Names the principal, for what is kept for each of them. */
  readonly principal: string;
  /** Of the credential; a job reaches less than a person. */
  readonly kind?: CredentialKind;
  /** The caller's own secrets, for masking. */
  readonly secrets: readonly Secret[];
  /** What this caller writes to call one of our tools; undefined where it may not. Default: as they are called here. */
  readonly callOf?: (tool: string) => ToolCall | undefined;
}

/** A tool under the name that a caller knows, and arguments of the way to it, such as the member of a family. */
export interface ToolCall {
  readonly name: string;
  readonly args: JsonObject;
}

/** What a handler sees of a call; a `BuiltinCall` is one, and completions make one that cannot ask. */
export interface GitLabCall {
  readonly context: GitLabContext;
  readonly signal: AbortSignal;
  readonly canElicit: boolean;
  progress(progress: number, total?: number, message?: string): void;
  ask(key: string, message: string, schema: JsonObject): ElicitAnswer;
}
