import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, toJson } from '../core/json.ts';
import { type Answer, type Era, isJsonObject, isLogLevel, type JsonObject, LOG_LEVELS, META, RPC } from '../core/mcp.ts';
import type { Relay } from '../core/ports.ts';
import type { Profile } from '../upstream/profile.ts';
import type { Deadline } from './deadline.ts';
import { editMeta, labelled, notificationParams } from './edits.ts';
import { allows, NEEDS } from './interactions.ts';

export interface RelayOptions {
  readonly exchange: Exchange;
  readonly upstream: string;
  readonly label: boolean;
  /** What the client declared and the configuration allows. */
  readonly profile: Profile;
  readonly deadline: Deadline;
  readonly dropped: (reason: string) => void;
}

/** What an upstream says during one call, on its way to the client of that call. */
export class CallRelay implements Relay {
  readonly #options: RelayOptions;
  #refused: string | undefined;
  #reached = false;
  #ended = false;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** The capability that the upstream asked for and the client could not be asked, if any. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** Whether anything of the call has reached the client: then it cannot be made again unseen. */
  get reached(): boolean {
    return this.#reached;
  }

  /** After the answer nothing leaves any more. */
  end(): void {
    this.#ended = true;
  }

  notification(method: string, params: Buffer): void {
    const { exchange, deadline, dropped } = this.#options;
    if (this.#ended) {
      dropped('late');
    } else if (method === 'notifications/progress') {
      deadline.restart();
      if (exchange.progressToken === undefined) dropped('progress not wanted');
      else this.#notify(method, notificationParams(params, { [META.progressToken]: toJson(exchange.progressToken) }));
    } else if (method === 'notifications/message' && !this.#wantsLog(params)) {
      dropped('log level');
    } else {
      this.#notify(method, notificationParams(params));
    }
  }

  #notify(method: string, params: Buffer): void {
    this.#reached = true;
    this.#options.exchange.notify(method, params);
  }

  async request(method: string, params: Buffer, signal: AbortSignal): Promise<Answer> {
    const { exchange, upstream, label, profile, deadline } = this.#options;
    const capability = NEEDS.get(method);
    if (capability === undefined) return refusal(RPC.methodNotFound, `${method} is not carried`);
    const body = JSON.parse(params.toString('utf8')) as JsonObject;
    if (exchange.era === 'modern' || exchange.ask === undefined || !allows(profile, method, body)) {
      if (exchange.era === 'legacy' && method === 'roots/list') return { kind: 'result', result: toJson({ roots: [] }) };
      this.#refused ??= capability;
      return refusal(exchange.era === 'modern' ? RPC.methodNotFound : RPC.invalidRequest, `the client cannot be asked for ${capability}`);
    }
    const edits = editMeta(params, {});
    const clean = Object.keys(edits).length === 0 ? params : editObject(params, edits);
    // The time of a person is not the time of the call.
    deadline.pause();
    this.#reached = true;
    try {
      return await exchange.ask(method, label ? labelled(method, clean, upstream) : clean, signal);
    } finally {
      deadline.resume();
    }
  }

  /** Modern: only at or above the level of the request. Session clients: of the session, or everything when none was set. */
  #wantsLog(params: Buffer): boolean {
    const { exchange } = this.#options;
    if (exchange.logLevel === undefined) return exchange.era === 'legacy';
    const { level } = JSON.parse(params.toString('utf8')) as { level?: unknown };
    return !isLogLevel(level) || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(exchange.logLevel);
  }
}

/** The error for a call that failed after its upstream asked what the client could not be asked. */
export function refusedInteraction(capability: string, exchange: Exchange, upstream: string, upstreamEra: Era, name: string): TurnpikeError {
  if (exchange.era === 'modern' && !isJsonObject(exchange.capabilities[capability])) {
    return new TurnpikeError('request/capability', `the client lacks a capability that the call needs: ${capability}`, {
      data: { requiredCapabilities: { [capability]: {} } },
    });
  }
  if (exchange.era === 'modern' && upstreamEra === 'legacy') {
    return new TurnpikeError(
      'bridge/interaction',
      `'${name}' asks its client for ${capability}, which is not carried from a ${exchange.version} client to a session upstream yet.`,
      { upstream },
    );
  }
  const lacks = isJsonObject(exchange.capabilities[capability])
    ? 'which cannot be asked on a connection that takes JSON only'
    : 'which your client does not offer';
  return new TurnpikeError('bridge/interaction', `This tool needs ${capability}, ${lacks}.`, { upstream });
}

function refusal(code: number, message: string): Answer {
  return { kind: 'error', error: toJson({ code, message }), code };
}
