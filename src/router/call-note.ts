import { asTurnpikeError, ERRORS } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import type { MemberSpan } from '../core/json.ts';
import type { Answer, RpcError } from '../core/mcp.ts';
import { lengthOf } from '../core/pieced-result.ts';
import type { CallOutcome } from '../telemetry/instruments.ts';
import type { Services } from './services.ts';

/** What is noted of one call while it runs; written once at its end as audit record, log line and metrics. */
export class CallNote {
  readonly #services: Services;
  readonly #exchange: Exchange;
  readonly #began: number;
  #exposed = '';
  #original: string | undefined;
  #upstream: string | undefined;

  constructor(services: Services, exchange: Exchange) {
    this.#services = services;
    this.#exchange = exchange;
    this.#began = services.clock.monotonic();
  }

  /** The name the caller used. */
  exposed(name: string): void {
    this.#exposed = name;
  }

  /** Where it led. */
  resolved(upstream: string, original: string): void {
    this.#upstream = upstream;
    this.#original = original;
  }

  answered(answer: Answer): void {
    if (answer.kind === 'error') {
      const { message } = JSON.parse(answer.error.toString('utf8')) as Partial<RpcError>;
      this.#write('allowed', 'error', answer.code, typeof message === 'string' ? message : undefined, answer.error.length);
      return;
    }
    this.#write(
      'allowed',
      (answer.failed ?? isErrorResult(answer.result, answer.spans)) ? 'error_result' : 'ok',
      undefined,
      undefined,
      lengthOf(answer),
    );
  }

  failed(thrown: unknown): void {
    const error = asTurnpikeError(thrown);
    const { reason } = error.details;
    // What the upstream wrote is for operators: neither the caller nor the audit record has it.
    if (error.code.startsWith('upstream/') && reason !== undefined && reason !== error.message)
      this.#services.logger.warn('call failed', { upstream: this.#upstream, method: this.#exchange.method, code: error.code, reason });
    const refused = error.code === 'policy/denied' || error.code === 'auth/scope' || error.code.startsWith('catalog/');
    const outcome: CallOutcome = error.code === 'request/cancelled' ? 'cancelled' : refused ? 'refused' : 'error';
    this.#write(
      refused ? (error.details.rule ?? error.code) : 'allowed',
      outcome,
      error.code,
      ERRORS[error.code].show ? error.message : ERRORS[error.code].sentence,
      0,
    );
  }

  #write(decision: string, outcome: CallOutcome, code: string | number | undefined, error: string | undefined, bytesOut: number): void {
    const { audit, instruments, fingerprint, clock, settings } = this.#services;
    const { caller, era, method, id, params } = this.#exchange;
    const upstream = this.#upstream;
    const original = this.#original;
    const durationMs = clock.monotonic() - this.#began;
    // One shape for every record, and nothing made that is only read when the line is.
    audit.record({
      requestId: id,
      tenant: caller.tenant,
      principal: fingerprint.principal(caller.principal),
      session: caller.sessionId === undefined ? undefined : fingerprint.of('session', caller.sessionId),
      era,
      method,
      tool: this.#exposed,
      original,
      upstream,
      decision,
      outcome,
      code,
      error,
      durationMs,
      bytesIn: params.length,
      bytesOut,
      credentialMode: upstream === undefined ? undefined : settings.upstreams.get(upstream)?.credentialMode,
    });
    if (method === 'tools/call' && upstream !== undefined && original !== undefined) {
      instruments.tool(this.#exposed, upstream).record(outcome, durationMs / 1000);
    }
  }
}

const IS_ERROR = Buffer.from('"isError"');
const TRUE = Buffer.from('true');

/** Whether a result says `isError: true`. Where its members are known it is not read again. */
function isErrorResult(result: Buffer, spans: readonly MemberSpan[] | undefined): boolean {
  if (spans === undefined) return result.includes(IS_ERROR) && (JSON.parse(result.toString('utf8')) as { isError?: unknown }).isError === true;
  const span = spans.findLast(({ key }) => key === 'isError');
  return span !== undefined && span.end - span.valueStart === TRUE.length && result.compare(TRUE, 0, TRUE.length, span.valueStart, span.end) === 0;
}
