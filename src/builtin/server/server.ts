import type { TurnpikeError } from '../../core/errors.ts';
import type { JsonObject, LogLevel } from '../../core/mcp.ts';

/**
 * What a built-in upstream offers, and what its handlers see. The server itself is `builtin-server.ts`: revision 2026-07-28,
 * stateless, answering in this process behind a `Transport` like any other upstream (architecture.md decision 1).
 *
 * `C` is what handlers work with on behalf of one caller (a client with that caller's credential). Tools, resources and prompts
 * are made once and shared by all callers; only their context differs, so that a caller costs a few hundred bytes.
 */

/** All four hints of 2026-07-28, "Tool annotations"; none is left to its default. */
export interface ToolHints {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  readonly idempotentHint: boolean;
  readonly openWorldHint: boolean;
}

export interface BuiltinTool<C = unknown> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly annotations: ToolHints;
  /** JSON Schema 2020-12 of the subset in `schema.ts`: another keyword throws when the server is made. */
  readonly inputSchema: JsonObject;
  /** As `inputSchema`. Results are held to it in tests. */
  readonly outputSchema: JsonObject;
  /** `_meta` of the definition. */
  readonly meta?: JsonObject;
  /**
   * `args` fit `inputSchema`. What it throws becomes an `isError` result: the message of a `TurnpikeError` that may be shown,
   * else `NAME failed: internal error`.
   */
  run(args: JsonObject, call: BuiltinCall<C>): Promise<ToolOutcome>;
}

/** A tool, and why it may not be called. */
export interface WithheldTool<C = unknown> {
  readonly tool: BuiltinTool<C>;
  readonly refusal: TurnpikeError;
}

export interface ToolOutcome {
  /** Content blocks. */
  readonly content: readonly JsonObject[];
  readonly structuredContent?: JsonObject;
  readonly isError?: boolean;
  /** `_meta` of the result. */
  readonly meta?: JsonObject;
}

/** One call, on behalf of one caller. */
export interface BuiltinCall<C = unknown> {
  readonly context: C;
  /** Aborts at once when the client cancels or is gone; nothing that is said or returned afterwards leaves. */
  readonly signal: AbortSignal;
  /** Whether the client asked for progress. */
  readonly wantsProgress: boolean;
  /** Nothing, unless the client asked for progress; `progress` must rise. */
  progress(progress: number, total?: number, message?: string): void;
  /** Nothing, unless the client asked for logs of this level. */
  log(level: LogLevel, data: unknown): void;
  /** Whether the client can show its user a form. */
  readonly canElicit: boolean;
  /**
   * Asks the client's user by a form: flat, at most 64 fields (2026-07-28, "Elicitation"). Until the answer is there this throws
   * what must not be caught (`InputRequired`): the run ends, and the handler runs again from its beginning with the answer, so nothing
   * that changes anything may precede it. An answer counts only for the very same message and schema, and content fits the schema.
   * @param key of the question, once per call: `A-Za-z0-9_.-`, 1 to 64
   * @throws `request/capability` (-32021) when `canElicit` is false
   */
  ask(key: string, message: string, schema: JsonObject): ElicitAnswer;
}

export type ElicitAnswer = { readonly action: 'accept'; readonly content: JsonObject } | { readonly action: 'decline' | 'cancel' };

interface Described {
  readonly name: string;
  readonly title: string;
  readonly description: string;
}

export interface BuiltinResource<C = unknown> extends Described {
  readonly uri: string;
  readonly mimeType?: string;
  read(uri: string, call: BuiltinCall<C>): Promise<ResourceOutcome>;
}

export interface BuiltinTemplate<C = unknown> extends Described {
  /** RFC 6570: `{name}` (one path segment, decoded) and `{+name}` (may hold `/`). */
  readonly uriTemplate: string;
  readonly mimeType?: string;
  /** What its variables may be completed with. */
  readonly complete?: Readonly<Record<string, Completer<C>>>;
  /** Throw `catalog/resource` for what does not exist. */
  read(uri: string, variables: Readonly<Record<string, string>>, call: BuiltinCall<C>): Promise<ResourceOutcome>;
}

export interface ResourceOutcome {
  /** `{uri, mimeType?, text}` or `{uri, mimeType?, blob}`. */
  readonly contents: readonly JsonObject[];
}

export interface PromptArgument {
  readonly name: string;
  readonly title?: string;
  readonly description: string;
  readonly required: boolean;
}

export interface BuiltinPrompt<C = unknown> extends Described {
  readonly arguments: readonly PromptArgument[];
  readonly complete?: Readonly<Record<string, Completer<C>>>;
  /** `args` are texts, the required ones are there, unknown ones are refused before. */
  get(args: Readonly<Record<string, string>>, call: BuiltinCall<C>): Promise<PromptOutcome>;
}

export interface PromptOutcome {
  readonly description?: string;
  /** `{role, content}`. */
  readonly messages: readonly JsonObject[];
}

/** Candidates for what the user has typed so far; what fails or takes longer than 5 s completes to nothing. */
export type Completer<C = unknown> = (typed: string, call: CompletionCall<C>) => Promise<readonly string[]>;

export interface CompletionCall<C = unknown> {
  readonly context: C;
  readonly signal: AbortSignal;
  /** The other arguments, as far as the client filled them in (`context.arguments`). */
  readonly known: Readonly<Record<string, string>>;
}

/** Everything a built-in upstream offers. */
export interface BuiltinOffer<C = unknown> {
  readonly serverInfo: { readonly name: string; readonly title?: string; readonly version: string };
  readonly instructions?: string;
  readonly tools: readonly BuiltinTool<C>[];
  /** Tools that nobody may call at present: in no list that a client sees, and a call hears the refusal. */
  readonly withheld?: readonly WithheldTool<C>[];
  /** Resources with fixed URIs: the same for every caller, for lists are asked without one, too. */
  readonly resources?: readonly BuiltinResource<C>[];
  readonly templates?: readonly BuiltinTemplate<C>[];
  readonly prompts?: readonly BuiltinPrompt<C>[];
  /** Items in a page of a list. Default 500. */
  readonly pageSize?: number;
  /** How long lists and resources may be kept, in milliseconds. Default 30,000 (protocol.md section 5). */
  readonly ttlMs?: number;
  /** Default `private`. */
  readonly cacheScope?: 'public' | 'private';
}
