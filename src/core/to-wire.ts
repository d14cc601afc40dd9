import { asTurnpikeError, ERRORS, type TurnpikeError } from './errors.ts';
import { toJson } from './json.ts';
import { type Answer, type Era, type JsonObject, META, RPC, type RpcError, TURNPIKE_META } from './mcp.ts';

/** An error as it leaves: HTTP status (modern front and HTTP-level refusals) and JSON-RPC error object. */
export interface WireError {
  readonly status: number;
  readonly error: RpcError;
  readonly headers: Readonly<Record<string, string>>;
}

/** The only place where an error becomes bytes for a caller. */
export function toWire(thrown: unknown, era: Era = 'modern'): WireError {
  const error = asTurnpikeError(thrown);
  const row = ERRORS[error.code];
  const code = era === 'legacy' && error.code === 'catalog/resource' ? RPC.resourceNotFound : row.rpc;
  const data = dataOf(error);
  return {
    status: row.http,
    error: { code, message: row.show ? error.message : row.sentence, ...(data === undefined ? {} : { data }) },
    headers: error.details.retryAfter === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(error.details.retryAfter))) },
  };
}

/** `serverInfo` stands on every result of ours for modern clients. The answer member for a thrown error: on `tools/call` what the model should see is a result, elsewhere an error. */
export function toAnswer(thrown: unknown, era: Era, method: string, serverInfo?: JsonObject): Answer {
  const error = asTurnpikeError(thrown);
  if (method === 'tools/call' && isToolFailure(error)) return { kind: 'result', result: toolFailure(error, era, serverInfo) };
  return toErrorAnswer(error, era);
}

export function toErrorAnswer(thrown: unknown, era: Era): Answer {
  const { error } = toWire(thrown, era);
  return { kind: 'error', error: toJson(error), code: error.code };
}

/** Refusals of policy and failures of upstreams are tool results (protocol.md section 2, "Answers"). */
function isToolFailure(error: TurnpikeError): boolean {
  const { rpc } = ERRORS[error.code];
  return error.code === 'policy/denied' || error.code.startsWith('bridge/') || (rpc <= -31001 && rpc >= -31099);
}

function toolFailure(error: TurnpikeError, era: Era, serverInfo: JsonObject | undefined): Buffer {
  const row = ERRORS[error.code];
  const text = row.show ? error.message : row.sentence;
  const refused = error.code === 'policy/denied';
  const meta = refused
    ? { [TURNPIKE_META.refusal]: error.details.data ?? { rule: error.details.rule ?? error.code } }
    : { [TURNPIKE_META.error]: upstreamData(error) };
  const kind = era === 'modern' ? { resultType: 'complete' } : {};
  const own = era === 'modern' && serverInfo !== undefined ? { [META.serverInfo]: serverInfo } : {};
  return toJson({ ...kind, content: [{ type: 'text', text }], isError: true, _meta: { ...meta, ...own } });
}

function dataOf(error: TurnpikeError): unknown {
  // What an upstream said besides its answer is for us alone: it may hold anything.
  const { rpc } = ERRORS[error.code];
  if (error.code.startsWith('upstream/') || error.code.startsWith('bridge/') || (rpc <= -31001 && rpc >= -31099)) return upstreamData(error);
  return error.details.data;
}

function upstreamData(error: TurnpikeError) {
  const { upstream, retryable = false } = error.details;
  return { code: ERRORS[error.code].rpc, ...(upstream === undefined ? {} : { upstream }), retryable };
}
