import type { Caller } from './caller.ts';
import type { MemberSpan } from './json.ts';
import type { Answer, Era, JsonObject, LogLevel, ProgressToken, RequestId } from './mcp.ts';
import type { ConnectionOwner, Flow } from './ports.ts';

/** Why a call was cancelled, as the reason of its `AbortSignal`. */
export const CLIENT_GONE = 'the client is gone';

/**
 * One request being served: what the front knows about it. The router reads it and answers with an `Answer`;
 * it never learns whether bytes travel over HTTP or a pipe.
 */
export interface Exchange {
  readonly era: Era;
  /** The client's protocol revision. */
  readonly version: string;
  readonly id: RequestId;
  readonly method: string;
  /** The bytes of `params`; `{}` when the request has none. */
  readonly params: Buffer;
  /** Where the members of `params` lie, if that is known. */
  readonly spans?: readonly MemberSpan[] | undefined;
  /** What `params._meta` says. The same object for all requests that say the same, if it is frozen. */
  readonly meta?: JsonObject | undefined;
  /** The same, read by the full parser; decisions are taken on this, or on `spans`, which agree with it. */
  readonly body: JsonObject;
  readonly caller: Caller;
  /** Aborts when the client cancels or is gone, or the gateway ends. */
  readonly signal: AbortSignal;
  /** What the client declared: per request (modern) or for its session (legacy). */
  readonly capabilities: JsonObject;
  /** Modern: of this request. Legacy: of the session. Absent: no log message leaves. */
  readonly logLevel?: LogLevel | undefined;
  readonly progressToken?: ProgressToken | undefined;
  /** Request headers by lower-case name, where there are any (HTTP); only `mcp-param-*` and `x-turnpike-*` are ever read from here. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>> | undefined;
  /** Sends a notification that belongs to this request. Nothing leaves after the answer or a cancel. */
  notify(method: string, params: Buffer): void;
  /** Whether the client reads what `notify` sends. Absent: nobody knows. */
  readonly flow?: Flow | undefined;
  /**
   * Sends a request to the client on this request's stream and waits for its answer. Absent when the client cannot be
   * asked: a modern client, or a connection that takes JSON only.
   */
  ask?(method: string, params: Buffer, signal: AbortSignal): Promise<Answer>;
  /** The session behind the request, for what upstreams say outside any call. Absent for stateless clients. */
  readonly owner?: ConnectionOwner;
}

/** The same request with something else in it. A front's exchange may read its body late, so it cannot be spread. */
export function exchangeWith(exchange: Exchange, changes: Partial<Exchange>): Exchange {
  const { era, version, id, method, params, spans, meta, caller, signal, capabilities, logLevel, progressToken, headers, flow, ask, owner } =
    exchange;
  return {
    ...{
      era,
      version,
      id,
      method,
      params,
      spans: changes.params === undefined ? spans : undefined,
      meta: changes.params === undefined ? meta : undefined,
      caller,
      signal,
      capabilities,
      logLevel,
      progressToken,
      headers,
      flow,
    },
    ...(ask === undefined ? {} : { ask }),
    ...(owner === undefined ? {} : { owner }),
    get body() {
      return exchange.body;
    },
    notify: (notified, said) => exchange.notify(notified, said),
    ...changes,
  };
}
