import { principalKey } from '../core/caller.ts';
import { asTurnpikeError, ERRORS } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Answer, RpcError } from '../core/mcp.ts';
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
      const { message } = JSON.parse(answer.error.toString('utf8')) as RpcError;
      this.#write('allowed', 'error', answer.code, message, answer.error.length);
      return;
    }
    const isError = answer.result.includes('"isError"') && (JSON.parse(answer.result.toString('utf8')) as { isError?: unknown }).isError === true;
    this.#write('allowed', isError ? 'error_result' : 'ok', undefined, undefined, answer.result.length);
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
    const credentialMode = this.#upstream === undefined ? undefined : settings.upstreams.get(this.#upstream)?.credentialMode;
    const durationMs = clock.monotonic() - this.#began;
    const { issuer, subject } = caller.principal;
    audit.record({
      requestId: id,
      tenant: caller.tenant,
      principal: { fingerprint: fingerprint.of('principal', principalKey(caller.principal)), issuer, subject },
      era,
      method,
      tool: this.#exposed,
      decision,
      outcome,
      durationMs,
      bytesIn: params.length,
      bytesOut,
      ...(caller.sessionId === undefined ? {} : { session: fingerprint.of('session', caller.sessionId) }),
      ...(this.#original === undefined ? {} : { original: this.#original }),
      ...(this.#upstream === undefined ? {} : { upstream: this.#upstream }),
      ...(credentialMode === undefined ? {} : { credentialMode }),
      ...(code === undefined ? {} : { code }),
      ...(error === undefined ? {} : { error }),
    });
    if (method === 'tools/call' && this.#upstream !== undefined && this.#original !== undefined) {
      instruments.tool(this.#exposed, this.#upstream).record(outcome, durationMs / 1000);
    }
  }
}
