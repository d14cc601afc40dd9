import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, type MemberSpan, toJson } from '../core/json.ts';
import { type Answer, isJsonObject, isLogLevel, type JsonObject, LOG_LEVELS, RPC, TURNPIKE_META } from '../core/mcp.ts';
import { textIn } from '../core/param-value.ts';
import type { Connection, Flow, Relay, Seen } from '../core/ports.ts';
import type { Profile } from '../upstream/profile.ts';
import type { CallLife } from './call-life.ts';
import { editMeta, labelled, notificationParams, progressParams } from './edits.ts';
import { allows, NEEDS, type Need, needOf } from './interactions.ts';
import { judge } from './questions/judged-questions.ts';
import type { Questions } from './questions/pending-questions.ts';
import type { Services } from './services.ts';

/** What holds the bytes of a request. */
interface Sent {
  params: Buffer;
}

const NOTHING = Buffer.alloc(0);

export interface RelayOptions {
  readonly services: Services;
  /** The request that began the call. */
  readonly exchange: Exchange;
  readonly upstream: string;
  readonly label: boolean;
  /** What the client declared and the configuration allows. */
  readonly profile: Profile;
  readonly life: CallLife;
  /** Where questions wait whose client can only be asked by the answer to its request. */
  readonly questions?: Questions | undefined;
}

/** What an upstream says and asks during one call, on its way to the client of that call. */
export class CallRelay implements Relay, Flow {
  readonly readsSpans = true;
  readonly #options: RelayOptions;
  /** The requests that wait for the call now, the newest last: none while it is parked. */
  #visitors: readonly Exchange[];
  #connection: Connection | undefined;
  #sent: readonly Sent[] = [];
  #refused: Need | undefined;
  #reached = false;
  #ended = false;
  /** What the client heard last: an upstream that is asked again after a round may count from the beginning. */
  #progress = Number.NEGATIVE_INFINITY;
  #token: { readonly exchange: Exchange; readonly bytes: Buffer | undefined } | undefined;

  /** @param visitor the request that waits for the call first, where `exchange` is not that itself */
  constructor(options: RelayOptions, visitor = options.exchange) {
    this.#options = options;
    this.#visitors = [visitor];
  }

  get flow(): Flow {
    return this;
  }

  /** Of the request which hears the call now; a parked call is heard by nobody, and nothing fills up. */
  get full(): boolean {
    return this.#visitors.at(-1)?.flow?.full === true;
  }

  whenFree(then: () => void): void {
    const flow = this.#visitors.at(-1)?.flow;
    if (flow === undefined) then();
    else flow.whenFree(then);
  }

  /** What the upstream asked for and the client could not be asked, if anything. */
  get refused(): Need | undefined {
    return this.#refused;
  }

  /** Whether anything of the call has reached the client: then it cannot be made again unseen. */
  get reached(): boolean {
    return this.#reached;
  }

  /** A parked call is waited for again: the request's token and log level replace the old ones. */
  join(exchange: Exchange): void {
    this.#visitors = [...this.#visitors, exchange];
    const { services, life } = this.#options;
    // Nobody waits for this, and a call that is lost meanwhile says so itself.
    if (this.#connection !== undefined) services.levels.tell(this.#connection, exchange.logLevel, life.signal).catch(() => {});
  }

  /** The call is on its way: over `connection`, as `sent`. */
  sending(connection: Connection, sent: Sent, request: Sent): void {
    this.#connection = connection;
    this.#sent = [sent, request];
  }

  leave(exchange: Exchange): void {
    this.#visitors = this.#visitors.filter((visitor) => visitor !== exchange);
  }

  /** After the answer nothing leaves any more. */
  end(): void {
    this.#ended = true;
  }

  notification(method: string, params: Buffer, seen?: Seen): void {
    const exchange = this.#visitors.at(-1);
    const isProgress = method === 'notifications/progress';
    if (isProgress && !this.#ended) this.#options.life.deadline.restart();
    if (this.#ended) this.#dropped('late');
    else if (exchange === undefined) this.#dropped('parked');
    else if (isProgress) {
      const token = this.#tokenOf(exchange);
      if (token === undefined) this.#dropped('progress not wanted');
      else if (!this.#rises(seen?.progress ?? progressIn(params))) this.#dropped('progress');
      else this.#notify(exchange, method, progressParams(params, token, seen?.spans));
    } else if (method === 'notifications/message' && !wantsLog(exchange, params, seen?.spans)) this.#dropped('log level');
    else this.#notify(exchange, method, seen === undefined ? notificationParams(params) : params);
  }

  /** The bytes of the token that a request wants progress under. */
  #tokenOf(exchange: Exchange): Buffer | undefined {
    if (this.#token?.exchange !== exchange)
      this.#token = { exchange, bytes: exchange.progressToken === undefined ? undefined : toJson(exchange.progressToken) };
    return this.#token.bytes;
  }

  request(method: string, params: Buffer, signal: AbortSignal): Promise<Answer> {
    const { services, exchange, upstream, label, profile, life, questions } = this.#options;
    if (!NEEDS.has(method)) return Promise.resolve(refusal(RPC.methodNotFound, `${method} is not carried`));
    const body = JSON.parse(params.toString('utf8')) as JsonObject;
    const { ask } = exchange;
    if ((ask === undefined && questions === undefined) || !allows(profile, method, body)) return Promise.resolve(this.#refuse(method, body));
    const judged = judge(
      { services, caller: exchange.caller, era: exchange.era, upstream, profile },
      method,
      editObject(params, editMeta(params, {})),
    );
    if (judged.kind === 'answer') return Promise.resolve(judged.answer);
    const shown = label ? labelled(method, judged.params, upstream) : judged.params;
    const wished = isJsonObject(body._meta) ? body._meta[TURNPIKE_META.inputKey] : undefined;
    this.#reached = true;
    // The time of a person is not the time of the call.
    life.deadline.pause();
    // Its upstream has read it, and a person may take long.
    if (ask === undefined) for (const sent of this.#sent) sent.params = NOTHING;
    const answering =
      ask === undefined
        ? // 2026-07-28 knows no id of an elicitation: the retry is the signal.
          (questions as Questions).ask(method, editObject(shown, { elicitationId: undefined }), signal, wished)
        : ask(method, shown, signal);
    return answering.finally(() => life.deadline.resume());
  }

  #refuse(method: string, body: JsonObject): Answer {
    const { exchange, questions } = this.#options;
    const isCall = exchange.era === 'legacy' || questions !== undefined;
    if (method === 'roots/list' && (exchange.era === 'legacy' || !isCall)) return { kind: 'result', result: toJson({ roots: [] }) };
    const need = needOf(method, body);
    if (isCall) this.#refused ??= need;
    this.#options.services.instruments.bridgeRefused('capability').add();
    const code = exchange.era === 'modern' && isCall ? RPC.methodNotFound : RPC.invalidRequest;
    return refusal(code, `the client cannot be asked for ${need.name}`);
  }

  #dropped(reason: string): void {
    this.#options.services.instruments.droppedNotifications(reason).add();
  }

  #rises(progress: unknown): boolean {
    if (typeof progress !== 'number' || progress <= this.#progress) return false;
    this.#progress = progress;
    return true;
  }

  #notify(exchange: Exchange, method: string, params: Buffer): void {
    this.#reached = true;
    exchange.notify(method, params);
  }
}

function progressIn(params: Buffer): unknown {
  return (JSON.parse(params.toString('utf8')) as { progress?: unknown }).progress;
}

/** Modern: only at or above the level of the request. Session clients: of the session, or everything when none was set. */
function wantsLog({ era, logLevel }: Exchange, params: Buffer, spans?: readonly MemberSpan[]): boolean {
  if (logLevel === undefined) return era === 'legacy';
  const level = (spans && textIn(params, spans, 'level')) ?? (JSON.parse(params.toString('utf8')) as { level?: unknown }).level;
  return !isLogLevel(level) || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(logLevel);
}

/** The error for a call that failed after its upstream asked what the client could not be asked. */
export function refusedInteraction(need: Need, exchange: Exchange, upstream: string, interactive: readonly string[]): TurnpikeError {
  const { name, required } = need;
  const isForbidden = !need.letters.every((letter) => interactive.includes(letter));
  if (exchange.era === 'modern') {
    if (isForbidden) return new TurnpikeError('upstream/capability', `upstream needs a capability Turnpike cannot carry: ${name}`, { upstream });
    return new TurnpikeError('request/capability', `the client lacks a capability that the call needs: ${name}`, {
      data: { requiredCapabilities: required },
    });
  }
  const lacks = isForbidden
    ? 'which this gateway does not relay'
    : isJsonObject(exchange.capabilities[need.capability]) && exchange.ask === undefined
      ? 'which cannot be asked on a connection that takes JSON only'
      : 'which your client does not offer';
  return new TurnpikeError('bridge/interaction', `This tool needs ${name}, ${lacks}.`, { upstream });
}

function refusal(code: number, message: string): Answer {
  return { kind: 'error', error: toJson({ code, message }), code };
}
