import type { Caller } from './caller.ts';
import type { Edits, MemberSpan } from './json.ts';
import type { Answer, Era, JsonObject, LogLevel } from './mcp.ts';

/** How bytes move between us and one upstream. Implemented by upstream/stdio, upstream/streamable-http, upstream/sse. */
export interface Transport {
  /**
   * `channel`: one pipe; answers arrive through `onMessage` (stdio, HTTP+SSE).
   * `exchange`: every request has its own answer stream; its messages arrive through `deliver` (streamable HTTP).
   */
  readonly kind: 'channel' | 'exchange';
  /** Messages that belong to no `send`. Set before `open`. The bytes are one message each, not yet parsed. */
  onMessage: (message: Buffer) => void;
  /** Called once when the transport ended by itself; `reason` is for operators. Set before `open`. */
  onClose: (reason: Error) => void;
  /** Connects or starts the process. Throws `upstream/down` with the cause. */
  open(signal: AbortSignal): Promise<void>;
  /**
   * Sends one message. `channel`: resolves when written. `exchange`: resolves when the answer stream ended, after all
   * its messages were delivered. Throws `upstream/down` (`retryable: true`) if the message was certainly not sent,
   * `upstream/lost` if it may have been, `upstream/session` if the upstream answered 404 to its session id,
   * `upstream/login` on 401. Aborting `signal` closes the answer stream.
   */
  send(message: Buffer, options: SendOptions): Promise<void>;
  /** Ends everything: sockets, processes, timers. Never throws; idempotent. */
  close(): Promise<void>;
}

export interface SendOptions {
  readonly signal: AbortSignal;
  /** Method of the message, absent for responses. */
  readonly method?: string;
  /** Protocol headers minted from the body (`mcp-name`, `mcp-param-*`, …); ignored by channels. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Whom it acts for, where an upstream in this process must know it. */
  readonly caller?: Caller | undefined;
  /** Whether the message is a request. */
  readonly expectsAnswer: boolean;
  /**
   * Messages of this request's own answer stream (`exchange` only). Returns true when the message was the answer: the
   * exchange is complete then, and a stream that ends without one was lost. What it throws ends the exchange.
   */
  readonly deliver?: (message: Buffer) => boolean;
  /** While it is full, the answer's stream is not read (`exchange` only). */
  readonly flow?: Flow | undefined;
}

/** Whether whoever reads keeps up: who writes reads no further meanwhile. */
export interface Flow {
  /** What was written is still to be read. */
  readonly full: boolean;
  /** Calls `then` once, when it is not full any more, or nobody reads at all. */
  whenFree(then: () => void): void;
}

/** What was seen of a notification before it is passed on. */
export interface Seen {
  /** Where the members of `params` lie. */
  readonly spans: readonly MemberSpan[];
  /** The value of a progress. */
  readonly progress: number | undefined;
}

/** What an upstream says about a call besides answering it. */
export interface Relay {
  /**
   * A notification that belongs to the call: progress (token removed), log message, task status, …
   * @param seen only where `readsSpans`, of progress and log messages without `_meta`: the token is still there
   */
  notification(method: string, params: Buffer, seen?: Seen): void;
  /** A request of the server that belongs to the call. The answer goes back to the upstream. */
  request(method: string, params: Buffer, signal: AbortSignal): Promise<Answer>;
  /** Where what is passed goes to: a stream that serves this call alone stands still while it is full. */
  readonly flow?: Flow;
  /** Reads by their spans what nobody has parsed, and puts a token of its own in the place of ours: such notifications are passed as they came. */
  readonly readsSpans?: true;
  /** Hears for a task that outlives its call: what names neither its call nor its task is not meant for it. */
  readonly forTask?: true;
}

/** One request to an upstream. `params` are complete but for the reserved `_meta` members, which the connection mints. */
export interface UpstreamCall {
  readonly method: string;
  readonly params: Buffer;
  /** Where the members of `params` lie, if that is known. */
  readonly spans?: readonly MemberSpan[] | undefined;
  /** What `params._meta` says, where it is frozen: then equal ones are one object. */
  readonly meta?: JsonObject | undefined;
  /** What is to stand in `params` besides, or instead; undefined: what is not. */
  readonly edits?: Edits | undefined;
  /** Capabilities declared for this request (modern upstreams). */
  readonly capabilities: JsonObject;
  readonly logLevel?: LogLevel | undefined;
  /** Whether progress is wanted; the token is minted by the connection. */
  readonly progress: boolean;
  /** `mcp-param-*` headers (modern upstreams over HTTP). */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly relay: Relay;
  readonly signal: AbortSignal;
  /** Whom it acts for. */
  readonly caller?: Caller | undefined;
  /** The call goes on after its answer, until this aborts: as a task, under the token of its call (2025-11-25, "Tasks", "Task Progress"). */
  readonly lasting?: AbortSignal | undefined;
  /** Called when the request was handed to the transport: from here on it may have run. */
  readonly onSent?: () => void;
}

/** What happens on a connection outside any call. */
export type ConnectionEvent =
  | { readonly kind: 'notification'; readonly method: string; readonly params: Buffer }
  | { readonly kind: 'closed'; readonly reason: Error };

/** A live link to an upstream, after its handshake. */
export interface Connection {
  readonly era: Era;
  readonly version: string;
  readonly serverInfo: JsonObject;
  readonly capabilities: JsonObject;
  readonly instructions?: string;
  request(call: UpstreamCall): Promise<Answer>;
  notify(method: string, params: Buffer): Promise<void>;
  /**
   * Server requests that belong to no call in flight (GET stream, stdio). Default: roots → `[]`, others → -32600.
   * Set by whoever owns the session behind the connection.
   */
  onRequest?: (method: string, params: Buffer, signal: AbortSignal) => Promise<Answer>;
  /** What names this task of the upstream's goes to `relay`, in whatever way it comes; the returned function ends that. */
  claimTask(taskId: string, relay: Relay): () => void;
  /** Listens to events; the returned function stops it. */
  subscribe(listener: (event: ConnectionEvent) => void): () => void;
  /** False once the link is lost or closed; such a connection is never handed out again. */
  readonly alive: boolean;
  close(): Promise<void>;
}

/** One tool, prompt, resource or template of an upstream: its identity parsed, the rest as bytes. */
export interface Capability {
  /** `name`, or `uri`, or `uriTemplate`: what the upstream calls it. */
  readonly id: string;
  readonly bytes: Buffer;
  readonly parsed: JsonObject;
}

export type CapabilityKind = 'tools' | 'prompts' | 'resources' | 'templates';
export const CAPABILITY_KINDS: readonly CapabilityKind[] = ['tools', 'prompts', 'resources', 'templates'];

/** Everything one upstream offers. */
export interface CapabilitySet {
  readonly lists: Readonly<Record<CapabilityKind, readonly Capability[]>>;
  readonly era: Era;
  readonly version: string;
  readonly serverInfo: JsonObject;
  readonly capabilities: JsonObject;
  readonly instructions?: string;
  /** Caching fields of the upstream's own list answers (modern), per kind. */
  readonly caching: Readonly<Partial<Record<CapabilityKind, { readonly ttlMs: number; readonly cacheScope: 'public' | 'private' }>>>;
}

/** States of aggregator.md section 1, "Lifecycle". */
export const UPSTREAM_STATES = [
  'stopped',
  'starting',
  'connected',
  'degraded',
  'auth_required',
  'retrying',
  'unreachable',
  'failed',
  'stopping',
] as const;
export type UpstreamState = (typeof UPSTREAM_STATES)[number];

/** What may be said about an upstream to whoever may see it. */
export interface UpstreamStatus {
  readonly name: string;
  readonly state: UpstreamState;
  readonly era?: Era;
  readonly lastError?: string;
  readonly restartCount: number;
  readonly consecutiveFailures: number;
  readonly nextRetryAfter?: Date;
}

/** Where the catalog reads what upstreams offer. */
export interface CapabilitySource {
  /** All upstreams in configuration order, with what they offered last (undefined: never listed, or stopped). */
  snapshot(): readonly UpstreamSnapshot[];
  /** Asks an upstream for one of its lists again, now; resolves when that is done or failed. */
  refresh(upstream: string, kind: CapabilityKind, signal: AbortSignal): Promise<void>;
  /** Called after any change of states or lists. Returns the way to stop listening. */
  onChange(listener: (upstream: string) => void): () => void;
}

export interface UpstreamSnapshot {
  readonly status: UpstreamStatus;
  readonly capabilities?: CapabilitySet;
}

/** The right to use a connection now. Ends with `release`, which is idempotent. */
export interface ConnectionLease {
  readonly connection: Connection;
  /** Aborts when the connection is closed under the lease. */
  readonly ended: AbortSignal;
  /** `transport-error` counts towards the error budget; JSON-RPC errors and `isError` are successes. */
  release(outcome: 'ok' | 'transport-error'): void;
}

/** Who a session's own connection belongs to: hears what the upstream says and asks outside any call. */
export interface ConnectionOwner {
  request(method: string, params: Buffer, signal: AbortSignal): Promise<Answer>;
  notification(method: string, params: Buffer): void;
}

/** Where the router gets connections. */
export interface ConnectionSource {
  /**
   * `owner` counts only for a connection that is the session's alone. Throws `upstream/down`, `upstream/timeout`,
   * `upstream/capacity`, `upstream/login`.
   */
  lease(upstream: string, caller: Caller, profile: string, signal: AbortSignal, owner?: ConnectionOwner): ConnectionLease | Promise<ConnectionLease>;
  /** The era an upstream spoke last, if it was reached. */
  eraOf(upstream: string): Era | undefined;
  /** Tells the open connections of a session something of its client (`notifications/roots/list_changed`). */
  notifySession(sessionId: string, method: string, params: Buffer): Promise<void>;
  /** Closes what belongs to a session, at once. */
  endSession(sessionId: string): Promise<void>;
}
