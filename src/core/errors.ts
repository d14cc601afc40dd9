import { RPC } from './mcp.ts';

interface ErrorRow {
  /** HTTP status on the modern front; the legacy front answers handler errors in-band with 200. */
  readonly http: number;
  /** JSON-RPC code. */
  readonly rpc: number;
  /** Whether the message may be shown to the caller; else the sentence is shown. */
  readonly show: boolean;
  /** What the documentation says about it. */
  readonly sentence: string;
}

/**
 * Every error of Turnpike: one row each. The reference page and the pins are made from this table.
 * Codes -31001…-31099 are ours (protocol.md); the others are JSON-RPC's and MCP's.
 */
export const ERRORS = {
  'request/parse': { http: 400, rpc: RPC.parseError, show: true, sentence: 'The body is not valid UTF-8 JSON.' },
  'request/invalid': { http: 400, rpc: RPC.invalidRequest, show: true, sentence: 'The body is JSON but not one JSON-RPC 2.0 message.' },
  'request/envelope': {
    http: 400,
    rpc: RPC.invalidParams,
    show: true,
    sentence: 'A member that every request must carry is missing or has the wrong type.',
  },
  'request/params': { http: 200, rpc: RPC.invalidParams, show: true, sentence: 'The parameters of the method are missing or have the wrong type.' },
  'request/method': {
    http: 404,
    rpc: RPC.methodNotFound,
    show: true,
    sentence: 'No such method in this revision of the protocol, or not offered here.',
  },
  'request/header': {
    http: 400,
    rpc: RPC.headerMismatch,
    show: true,
    sentence: 'A required header is missing, malformed, or says something else than the body.',
  },
  'request/version': {
    http: 400,
    rpc: RPC.unsupportedVersion,
    show: true,
    sentence: 'This protocol revision is not supported; `data.supported` lists the ones that are.',
  },
  'request/capability': {
    http: 400,
    rpc: RPC.missingCapability,
    show: true,
    sentence: 'The call needs a client capability that the client did not declare.',
  },
  'request/cancelled': { http: 200, rpc: RPC.internalError, show: true, sentence: 'The client cancelled the request.' },
  'guard/host': { http: 403, rpc: RPC.invalidRequest, show: true, sentence: 'The Host header names none of `listen.allowedHosts`.' },
  'guard/origin': { http: 403, rpc: RPC.invalidRequest, show: true, sentence: 'The Origin header names none of `listen.allowedOrigins`.' },
  'guard/target': { http: 404, rpc: RPC.invalidRequest, show: true, sentence: 'Nothing is served at this path.' },
  'guard/method': { http: 405, rpc: RPC.invalidRequest, show: true, sentence: 'This path does not take this HTTP method.' },
  'guard/size': { http: 413, rpc: RPC.invalidRequest, show: true, sentence: 'The body is larger than `listen.maxBodyBytes`.' },
  'guard/type': { http: 415, rpc: RPC.invalidRequest, show: true, sentence: 'The body must be application/json.' },
  'guard/accept': {
    http: 406,
    rpc: RPC.invalidRequest,
    show: true,
    sentence: 'The Accept header names neither application/json nor text/event-stream.',
  },
  'auth/missing': { http: 401, rpc: RPC.invalidRequest, show: true, sentence: 'The request carries no credential.' },
  'auth/invalid': { http: 401, rpc: RPC.invalidRequest, show: true, sentence: 'The credential is malformed, unknown, expired or revoked.' },
  'auth/conflict': { http: 400, rpc: RPC.invalidRequest, show: true, sentence: 'The request carries two credentials that conflict.' },
  'auth/scope': { http: 403, rpc: RPC.invalidRequest, show: true, sentence: 'The credential lacks a scope that the call needs.' },
  'auth/unavailable': { http: 503, rpc: RPC.internalError, show: true, sentence: 'The credential could not be checked now.' },
  'limit/ip': { http: 429, rpc: RPC.invalidRequest, show: true, sentence: 'Too many requests from this address.' },
  'limit/failures': { http: 429, rpc: RPC.invalidRequest, show: true, sentence: 'Too many failed authentications from this address.' },
  'limit/user': { http: 429, rpc: RPC.invalidRequest, show: true, sentence: 'Too many requests of this principal.' },
  'session/required': {
    http: 400,
    rpc: RPC.invalidRequest,
    show: true,
    sentence: 'A request of a session revision needs the Mcp-Session-Id header.',
  },
  'session/unknown': { http: 404, rpc: RPC.invalidRequest, show: true, sentence: "The session is unknown, ended, expired, or another principal's." },
  'session/version': {
    http: 400,
    rpc: RPC.invalidRequest,
    show: true,
    sentence: 'The MCP-Protocol-Version header names a revision that this session does not speak.',
  },
  'session/stream': { http: 409, rpc: RPC.invalidRequest, show: true, sentence: 'The session has an open GET stream already.' },
  'session/instance': { http: 409, rpc: RPC.invalidRequest, show: true, sentence: 'The session is bound to another GitLab instance.' },
  'session/full': { http: 503, rpc: RPC.internalError, show: true, sentence: 'The session cap is reached; retry later.' },
  'gateway/draining': { http: 503, rpc: RPC.internalError, show: true, sentence: 'The gateway is shutting down; retry later.' },
  'catalog/tool': { http: 200, rpc: RPC.invalidParams, show: true, sentence: "No tool of this name is in the caller's view." },
  'catalog/prompt': { http: 200, rpc: RPC.invalidParams, show: true, sentence: "No prompt of this name is in the caller's view." },
  'catalog/resource': {
    http: 200,
    rpc: RPC.invalidParams,
    show: true,
    sentence: "No resource of this URI is in the caller's view (-32002 on session revisions).",
  },
  'catalog/ambiguous': { http: 200, rpc: RPC.invalidParams, show: true, sentence: 'Several upstreams claim this name; none of them gets it.' },
  'catalog/cursor': { http: 200, rpc: RPC.invalidParams, show: true, sentence: 'The cursor is not one this gateway gave to this caller.' },
  'policy/denied': { http: 200, rpc: RPC.invalidParams, show: true, sentence: 'A rule of the policy refuses the call.' },
  'state/invalid': { http: 200, rpc: RPC.invalidParams, show: true, sentence: 'The request state is forged, expired, spent, or of another call.' },
  'task/unknown': { http: 200, rpc: RPC.invalidParams, show: true, sentence: "The task id is unknown, or another principal's." },
  'upstream/down': { http: 200, rpc: -31001, show: true, sentence: 'The upstream cannot be reached.' },
  'upstream/timeout': { http: 200, rpc: -31002, show: true, sentence: 'The upstream did not answer in time; the call was cancelled there.' },
  'upstream/lost': { http: 200, rpc: -31003, show: true, sentence: 'The connection ended after the request was sent; whether it ran is unknown.' },
  'upstream/capacity': { http: 200, rpc: -31004, show: true, sentence: 'No capacity: a cap of connections, streams or parked calls is reached.' },
  'upstream/busy': { http: 200, rpc: -31004, show: true, sentence: 'Another call of the same caller waits for input on this connection.' },
  'upstream/login': { http: 200, rpc: -31005, show: true, sentence: 'The upstream asks for a sign-in.' },
  'upstream/protocol': {
    http: 200,
    rpc: RPC.internalError,
    show: true,
    sentence: 'The upstream answered something that is not valid in its protocol revision.',
  },
  'upstream/header': {
    http: 200,
    rpc: RPC.internalError,
    show: true,
    sentence: 'The upstream refused the headers that were computed from its own schema, twice.',
  },
  'upstream/session': { http: 200, rpc: -31001, show: true, sentence: 'The upstream forgot its session twice in a row.' },
  'upstream/capability': {
    http: 200,
    rpc: RPC.internalError,
    show: true,
    sentence: 'The upstream needs a client capability that Turnpike cannot carry.',
  },
  'bridge/interaction': {
    http: 200,
    rpc: RPC.internalError,
    show: true,
    sentence: 'The upstream needs an answer of the client that it cannot get: the client does not offer it, or gave none.',
  },
  'bridge/rounds': { http: 200, rpc: RPC.internalError, show: true, sentence: 'The upstream asked for input more often than `bridge.maxRounds`.' },
  'audit/unwritable': {
    http: 200,
    rpc: -31007,
    show: true,
    sentence: 'The audit record cannot be written and `telemetry.audit.onError` is `refuse`.',
  },
  'pool/exhausted': { http: 200, rpc: -31004, show: true, sentence: 'Every entry of the pool is in use.' },
  'pool/closed': { http: 200, rpc: -31001, show: true, sentence: 'The pool is closed.' },
  'store/failed': { http: 503, rpc: RPC.internalError, show: false, sentence: 'The store cannot be reached or its content cannot be decrypted.' },
  'config/invalid': {
    http: 500,
    rpc: RPC.internalError,
    show: true,
    sentence: 'The configuration is invalid; the message names file, line, column and field.',
  },
  'config/refused': { http: 500, rpc: RPC.internalError, show: true, sentence: 'The configuration is valid but too dangerous to start with.' },
  internal: { http: 500, rpc: RPC.internalError, show: false, sentence: 'Internal error.' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetails {
  /** Goes to the log, never to the caller. */
  readonly reason?: string;
  /** `data` member of the JSON-RPC error. */
  readonly data?: unknown;
  /** Seconds, for Retry-After. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
  /** The upstream that the error is about. */
  readonly upstream?: string;
  /** Whether the same call may be sent again without running twice. */
  readonly retryable?: boolean;
  /** The rule that decided, for refusals. */
  readonly rule?: string;
}

/** The one error class. `code` is a row of `ERRORS`; `message` is for the caller when the row says so. */
export class TurnpikeError extends Error {
  override readonly name = 'TurnpikeError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string = ERRORS[code].sentence, details: ErrorDetails = {}) {
    // Expected errors carry no stack: it costs more than the rest of a refused call (performance.md, "Chores").
    const limit = Error.stackTraceLimit;
    if (code !== 'internal') Error.stackTraceLimit = 0;
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    Error.stackTraceLimit = limit;
    this.code = code;
    this.details = details;
  }
}

/** Any thrown value as a `TurnpikeError`; what is not one becomes `internal`, its text kept for the log only. */
export function asTurnpikeError(error: unknown): TurnpikeError {
  if (error instanceof TurnpikeError) return error;
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new TurnpikeError('internal', ERRORS.internal.sentence, { reason, cause: error });
}
