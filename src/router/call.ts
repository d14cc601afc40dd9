import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, member, toJson } from '../core/json.ts';
import { type Answer, isJsonObject } from '../core/mcp.ts';
import { profileOf } from '../upstream/profile.ts';
import { type Call, type RoundInput, send, type UpstreamRequest } from './attempt.ts';
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
 * Throws `TurnpikeError`.
 */
export async function callUpstream(services: Services, exchange: Exchange, request: UpstreamRequest): Promise<Answer> {
  // Who is gone already wants nothing to be run.
  exchange.signal.throwIfAborted();
  const mayAsk = exchange.era === 'modern' && MAY_ASK.has(exchange.method);
  if (mayAsk) checkInputResponses(exchange.body.inputResponses);
  const state = mayAsk ? openState(services, exchange, request) : undefined;
  // Of a session client nothing of the kind is expected: it would answer what was never asked.
  const given = exchange.era === 'modern' ? member(exchange.params, 'inputResponses') : undefined;
  if (state?.kind === 'park') return services.parking.resume(exchange, state, request.upstream, given);
  // Answers without a state answer nothing yet: they wait for their questions.
  const questions = mayAsk
    ? new Questions(services.clock, services.settings.bridge.gatherWindow, state === undefined ? given : undefined)
    : undefined;
  const call = newCall(services, exchange, request, questions);
  const playing = play(call, inputOf(state, given));
  if (questions !== undefined) {
    const recalls = state?.kind === 'recall' ? state.round : 0;
    const parked = new ParkedCall({ call, questions, lot: services.parking, playing, recalls });
    return parked.begin(exchange);
  }
  const leave = call.life.follow(exchange.signal);
  try {
    return finish(call, exchange, await playing);
  } finally {
    leave();
    call.relay.end();
    call.life[Symbol.dispose]();
  }
}

function newCall(services: Services, from: Exchange, request: UpstreamRequest, questions: Questions | undefined): Call {
  const { settings, clock } = services;
  const { upstream } = request;
  const upstreamSettings = settings.upstreams.get(upstream);
  if (upstreamSettings === undefined) throw new TurnpikeError('upstream/down', `server '${upstream}' not found in config`, { upstream });
  const life = new CallLife(clock, upstreamSettings.timeouts, upstream, nameOf(from));
  const exchange = questions === undefined ? from : detached(from, life.signal);
  const label = upstreamSettings.naming !== 'passthrough';
  const profile = profileOf(exchange.capabilities, settings.bridge.interactive);
  const own = { services, exchange, upstream, label, profile, life };
  const relay = new CallRelay(questions === undefined ? own : { ...own, questions }, from);
  return { services, exchange, request, life, relay, profile, label };
}

/** Until the upstream has answered for good. */
function play(call: Call, input: RoundInput): Promise<Played> {
  return send(call, input).then(async (first) => playRounds(call, await withTasks(call, input, first), sendWithTasks));
}

const NOTHING = Buffer.alloc(0);

/**
 * What a call keeps of its first request when it may outlive it: nothing that holds the client's connection, headers or body,
 * since thousands may wait. Who speaks to the client meanwhile is whoever waits for the call (`CallRelay.join`).
 */
function detached({ headers: _, caller, ...kept }: Exchange, signal: AbortSignal): Exchange {
  const { name, uri } = kept.body;
  const { clientInfo, ...who } = caller;
  return { ...kept, caller: clientInfo === undefined ? caller : who, params: NOTHING, body: { name, uri }, signal, notify: ignore };
}

function ignore(): void {}

/** What a modern upstream gets of the client's answers: they pass, with those that we gave in its stead. */
function inputOf(state: State | undefined, given: Buffer | undefined): RoundInput {
  if (state?.kind !== 'relay') return roundInput(state === undefined ? given : undefined, undefined);
  const { forced = {} } = state;
  const own = Object.fromEntries(Object.entries(forced).map(([key, answer]) => [key, toJson(answer)]));
  const responses = Object.keys(own).length === 0 ? given : editObject(given ?? toJson({}), own);
  return roundInput(responses, state.state);
}

/** Answers to input requests are objects by key (protocol.md section 9); which keys count is the upstream's to say. */
function checkInputResponses(responses: unknown): void {
  if (responses === undefined || (isJsonObject(responses) && Object.values(responses).every(isJsonObject))) return;
  throw new TurnpikeError('request/params', 'params.inputResponses must be an object whose values are objects');
}
