import { errors } from '../../net/undici-parts.ts';

/**
 * Where a request failed. `connect`, `dns`, `tls`, `proxy`, `closed` and `request` come before the first byte was
 * written; `reset` and `response` after it; `redirect` is an answer that is never followed; `aborted` may be both.
 */
export type FailureKind = 'connect' | 'dns' | 'tls' | 'proxy' | 'closed' | 'request' | 'reset' | 'response' | 'redirect' | 'aborted';

/** A request that got no answer. The message names host and cause, never path, query or headers. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly kind: FailureKind;
  /** False only when certainly no byte of the request reached the upstream: then it may be sent again. */
  readonly sent: boolean;
  /** Of a redirect. */
  readonly status?: number;

  constructor(kind: FailureKind, sent: boolean, message: string, details: { readonly cause?: unknown; readonly status?: number } = {}) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    Error.stackTraceLimit = limit;
    this.kind = kind;
    this.sent = sent;
    if (details.status !== undefined) this.status = details.status;
  }
}

/**
 * Sorts an error of undici or of a socket.
 *
 * @param started whether undici had begun to write the request
 * @param host `host[:port]` of the URL, for the message
 */
export function classifyFailure(error: unknown, started: boolean, host: string): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const code = codeOf(error);
  if (started) {
    // undici's proxy agent reports the proxy's own refusal this way; the upstream never saw the request.
    if (code === 'UND_ERR_INVALID_ARG') return new HttpFailure('proxy', false, `the proxy refused the request to ${host} (407)`, { cause: error });
    if (code === 'UND_ERR_HEADERS_OVERFLOW')
      return new HttpFailure('response', true, `${host} sent response headers that are too large`, { cause: error });
    if (error instanceof errors.HTTPParserError)
      return new HttpFailure('response', true, `${host} sent something that is not HTTP: ${error.message}`, { cause: error });
    return new HttpFailure('reset', true, `${host} closed the connection (${reset(code)})`, { cause: error });
  }
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED')
    return new HttpFailure('closed', false, 'the HTTP client is closed', { cause: error });
  if (code === 'UND_ERR_INVALID_ARG')
    return new HttpFailure('request', false, `the request to ${host} is not valid: ${textOf(error)}`, { cause: error });
  // Only the tunnel through a proxy has a time-out for headers.
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return new HttpFailure('proxy', false, `the proxy did not connect to ${host} in time`, { cause: error });
  if (code === 'UND_ERR_PRX_TLS' || code === 'UND_ERR_ABORTED' || code === 'UND_ERR_PRX_CONN')
    return new HttpFailure('proxy', false, `the proxy did not connect to ${host}: ${textOf(error)}`, { cause: error });
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EAI_FAIL')
    return new HttpFailure('dns', false, `the name of ${host} cannot be resolved (${code})`, { cause: error });
  if (isTlsCode(code)) return new HttpFailure('tls', false, `TLS with ${host} failed (${code})`, { cause: error });
  const why = code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT' ? 'timed out' : code || textOf(error);
  return new HttpFailure('connect', false, `cannot connect to ${host} (${why})`, { cause: error });
}

function reset(code: string): string {
  return code === 'UND_ERR_SOCKET' || code === '' ? 'before the answer was complete' : code;
}

/** Codes of OpenSSL's verification, of node:tls and of handshakes that speak no TLS. */
function isTlsCode(code: string): boolean {
  return /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|EPROTO$)/.test(
    code,
  );
}

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
