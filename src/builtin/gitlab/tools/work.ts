import type { Clock } from '../../../core/clock.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import type { Secret } from '../../../core/secret.ts';
import type { ElicitAnswer } from '../../server/server.ts';
import type { GitLabApi } from '../client/api.ts';
import type { Masker } from '../output/masking.ts';
import type { Cursors } from './cursors.ts';
import type { ToolDeclaration } from './declaration.ts';
import type { GitLabSettings } from './settings.ts';

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

/** What a tool works with: the call was admitted, projects in `args` are numeric where there is a fence. */
export interface Work {
  readonly declaration: ToolDeclaration;
  readonly args: JsonObject;
  /** As the caller wrote them. */
  readonly asked: JsonObject;
  readonly call: GitLabCall;
  readonly api: GitLabApi;
  readonly signal: AbortSignal;
  readonly settings: GitLabSettings;
  readonly clock: Clock;
  readonly masker: Masker;
  readonly cursors: Cursors;
  /** Whether an item of another project may be shown; undefined without a fence. */
  readonly isAllowed: ((item: JsonObject) => boolean) | undefined;
  /** Refuses a project that the fence does not hold, found only while working. */
  checkProject(id: number): Promise<void>;
  /** Asks the human about a call that turns out to be destructive. */
  confirm(): void;
}
