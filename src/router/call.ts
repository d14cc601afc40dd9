import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, member, toJson } from '../core/json.ts';
import { type Answer, type Era, isJsonObject } from '../core/mcp.ts';
import { hasParam, paramOf } from '../core/param-value.ts';
import { type Answered, type Call, EraChanged, type RoundInput, send, type UpstreamRequest } from './attempt.ts';
import { CallLife } from './call-life.ts';
import type { State } from './carried-state.ts';
import { finish } from './finish.ts';
import { ParkedCall } from './parking/parked-call.ts';
import { Questions } from './questions/pending-questions.ts';
import { CallRelay } from './relay.ts';
import { openState } from './request-state.ts';
import { nameOf } from './results.ts';
import { MAY_ASK, type Played, playRounds, roundInput } from './rounds.ts';
import type { Services } from './services.ts';
import { sendWithTasks, withTasks } from './tasks/task-calls.ts';

/**
 * One request that goes to one upstream → its answer, whatever either side speaks (protocol.md section 10): send, play the
 * rounds of questions that the client is not to see as such, convert. A stateless client's call can be parked meanwhile.
 * Throws `TurnpikeError`, at once or later.
 */
export function callUpstream(services: Services, exchange: Exchange, request: UpstreamRequest): Promise<Answer> {
  // Who is gone already wants nothing to be run.
  exchange.signal.throwIfAborted();
  if (exchange.era === 'legacy') return callDirectly(services, exchange, request, NO_INPUT);
  if (!MAY_ASK.has(exchange.method)) {
    const given = hasParam(exchange, 'inputResponses') ? member(exchange.params, 'inputResponses', exchange.spans) : undefined;
    return callDirectly(services, exchange, request, roundInput(given, undefined));
  }
  const given = hasParam(exchange, 'inputResponses') ? inputResponsesOf(exchange) : undefined;
  const state = hasParam(exchange, 'requestState') ? openState(services, exchange, request) : undefined;
  if (state?.kind === 'park') return judged(request, services.parking.resume(exchange, state, request.upstream, given));
  const input = inputOf(state, given);
  const parkably = () => callParkably(services, exchange, request, { input, state, given });
  // A stateless upstream asks by its answer: nothing has to wait for a retry.
  if (services.connections.eraOf(request.upstream) !== 'modern' || state?.kind === 'recall') return judged(request, parkably());
  return callDirectly(services, exchange, request, input, parkably);
}

/** What the bytes of an upstream made fail is its fault. */
function judged(request: UpstreamRequest, answering: Promise<Answer>): Promise<Answer> {
  return answering.catch((error: unknown) => {
    throw ofBytes(request, error);
  });
}

/** Only the upstream's bytes can be no JSON: the client's were parsed, or scanned as strictly. */
function ofBytes({ upstream }: UpstreamRequest, error: unknown): unknown {
  if (!(error instanceof SyntaxError) && !(error instanceof RangeError)) return error;
  return new TurnpikeError('upstream/protocol', `upstream '${upstream}' sent something that is not JSON`, { upstream, reason: error.message });
}

const NO_INPUT: RoundInput = {};

/**
 * For a client that can be asked on the stream of its call, or by its answer.
 * @param otherwise for a client that cannot be asked meanwhile: what to do where the upstream turns out not to be modern
 */
async function callDirectly(
  services: Services,
  exchange: Exchange,
  request: UpstreamRequest,
  input: RoundInput,
  otherwise?: () => Promise<Answer>,
): Promise<Answer> {
  const call = newCall(services, exchange, request, undefined, otherwise && 'modern');
  try {
    call.life.follow(exchange.signal);
    const first = await send(call, input);
    return finish(call, exchange, mayGoOn(call, first) ? await playFrom(call, input, first) : first);
  } catch (error) {
    if (error instanceof EraChanged && otherwise !== undefined) return judged(request, otherwise());
    throw ofBytes(request, error);
  } finally {
    call.relay.end();
    call.life[Symbol.dispose]();
  }
}

/** For a client that can only be asked by an answer, at an upstream that asks during the call. */
function callParkably(
  services: Services,
  exchange: Exchange,
  request: UpstreamRequest,
  { input, state, given }: { readonly input: RoundInput; readonly state: State | undefined; readonly given: Buffer | undefined },
): Promise<Answer> {
  // Answers without a state answer nothing yet: they wait for their questions.
  const questions = new Questions(services.clock, services.settings.bridge.gatherWindow, state === undefined ? given : undefined);
  const call = newCall(services, exchange, request, questions, undefined);
  const playing = send(call, input).then((first) => (mayGoOn(call, first) ? playFrom(call, input, first) : first));
  const recalls = state?.kind === 'recall' ? state.round : 0;
  return new ParkedCall({ call, questions, lot: services.parking, playing, recalls }).begin(exchange);
}

function newCall(services: Services, from: Exchange, request: UpstreamRequest, questions: Questions | undefined, assumed: Era | undefined): Call {
  const { settings, deadlines } = services;
  const { upstream } = request;
  const upstreamSettings = settings.upstreams.get(upstream);
  if (upstreamSettings === undefined) throw new TurnpikeError('upstream/down', `server '${upstream}' not found in config`, { upstream });
  const life = new CallLife(deadlines, upstreamSettings.timeouts, upstream, questions === undefined ? () => nameOf(from) : nameOf(from));
  const exchange = questions === undefined ? from : detached(from, life.signal);
  const label = upstreamSettings.naming !== 'passthrough';
  const profile = services.offers.profile(from.capabilities, settings.bridge.interactive);
  const relay = new CallRelay({ services, exchange, upstream, label, profile, life, questions }, from);
  return { services, exchange, request, life, relay, profile, label, assumed, waits: upstreamSettings.waits === true };
}

/** From the first answer until the upstream has answered for good. */
function playFrom(call: Call, input: RoundInput, first: Answered): Promise<Played> {
  return withTasks(call, input, first).then((answered) => playRounds(call, answered, sendWithTasks));
}

/** Whether an answer can be anything but the last one. Cheap, and true rather once too often. */
function mayGoOn({ exchange }: Call, { answer, era, created }: Answered): boolean {
  if (created !== undefined) return true;
  if (era === 'legacy') return false;
  if (answer.kind === 'error') return exchange.era === 'legacy';
  const type = member(answer.result, 'resultType', answer.spans);
  return type !== undefined && !type.equals(COMPLETE);
}

const COMPLETE = Buffer.from('"complete"');
const NOTHING = Buffer.alloc(0);

/**
 * What a call keeps of its first request when it may outlive it: nothing that holds the client's connection, headers or body,
 * since thousands may wait. Who speaks to the client meanwhile is whoever waits for the call (`CallRelay.join`).
 */
function detached(from: Exchange, signal: AbortSignal): Exchange {
  const { clientInfo, ...who } = from.caller;
  const caller = clientInfo === undefined ? from.caller : who;
  const { era, version, id, method, capabilities, logLevel, progressToken } = from;
  const body = { name: paramOf(from, 'name'), uri: paramOf(from, 'uri') };
  return { era, version, id, method, capabilities, logLevel, progressToken, caller, params: NOTHING, body, signal, notify: ignore };
}

function ignore(): void {}

/** What a modern upstream gets of the client's answers: they pass, with those that we gave in its stead. */
function inputOf(state: State | undefined, given: Buffer | undefined): RoundInput {
  if (state?.kind !== 'relay')
    return state === undefined && given === undefined ? NO_INPUT : roundInput(state === undefined ? given : undefined, undefined);
  const { forced = {} } = state;
  const own = Object.fromEntries(Object.entries(forced).map(([key, answer]) => [key, toJson(answer)]));
  const responses = Object.keys(own).length === 0 ? given : editObject(given ?? toJson({}), own);
  return roundInput(responses, state.state);
}

/** The bytes of the client's answers: objects by key (protocol.md section 9); which keys count is the upstream's to say. */
function inputResponsesOf({ body, params, spans }: Exchange): Buffer | undefined {
  const { inputResponses: responses } = body;
  if (responses !== undefined && !(isJsonObject(responses) && Object.values(responses).every(isJsonObject)))
    throw new TurnpikeError('request/params', 'params.inputResponses must be an object whose values are objects');
  return member(params, 'inputResponses', spans);
}
