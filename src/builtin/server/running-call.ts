import { TurnpikeError } from '../../core/errors.ts';
import { isJsonObject, isLogLevel, type JsonObject, LOG_LEVELS, type LogLevel, META, type ProgressToken } from '../../core/mcp.ts';
import type { Flow } from '../../core/ports.ts';
import type { Round } from './round.ts';
import type { BuiltinCall, ElicitAnswer } from './server.ts';

/** How a call reaches its client. */
export interface CallPorts {
  readonly signal: AbortSignal;
  notify(method: string, params: JsonObject): void;
  readonly flow?: Flow | undefined;
}

/** One call as its handler sees it. Says nothing any more once its signal aborted, which it does when the call is over, too. */
export class RunningCall<C> implements BuiltinCall<C> {
  readonly context: C;
  readonly signal: AbortSignal;
  readonly canElicit: boolean;
  readonly #ports: CallPorts;
  readonly #round: Round;
  readonly #token: ProgressToken | undefined;
  readonly #level: LogLevel | undefined;
  #last = Number.NEGATIVE_INFINITY;

  constructor(context: C, ports: CallPorts, round: Round, meta: JsonObject) {
    this.context = context;
    this.signal = ports.signal;
    this.#ports = ports;
    this.#round = round;
    const { [META.progressToken]: token, [META.logLevel]: level, [META.clientCapabilities]: capabilities } = meta;
    this.#token = typeof token === 'string' || typeof token === 'number' ? token : undefined;
    this.#level = isLogLevel(level) ? level : undefined;
    this.canElicit = isJsonObject(capabilities) && takesForms(capabilities.elicitation);
  }

  get wantsProgress(): boolean {
    return this.#token !== undefined;
  }

  progress(progress: number, total?: number, message?: string): void {
    // A client that does not read misses a step, and gets the next one.
    if (this.#token === undefined || this.signal.aborted || this.#ports.flow?.full === true || !(progress > this.#last)) return;
    this.#last = progress;
    this.#ports.notify('notifications/progress', {
      progressToken: this.#token,
      progress,
      ...(total === undefined ? {} : { total }),
      ...(message === undefined ? {} : { message }),
    });
  }

  log(level: LogLevel, data: unknown): void {
    if (this.#level === undefined || this.signal.aborted || LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.#level)) return;
    this.#ports.notify('notifications/message', { level, data });
  }

  ask(key: string, message: string, schema: JsonObject): ElicitAnswer {
    if (!this.canElicit) {
      throw new TurnpikeError('request/capability', 'the client lacks a capability that the call needs: elicitation', {
        data: { requiredCapabilities: { elicitation: {} } },
      });
    }
    return this.#round.ask(key, message, schema);
  }
}

/** `elicitation` without a mode means forms (2026-07-28, "Elicitation"). */
function takesForms(elicitation: unknown): boolean {
  if (!isJsonObject(elicitation)) return false;
  return isJsonObject(elicitation.form) || !isJsonObject(elicitation.url);
}
