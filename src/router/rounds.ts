import { randomUUID } from 'node:crypto';
import { sleep } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, member, memberSpans, objectOf, parseJson, repeatedMember, toJson } from '../core/json.ts';
import { LinkedAbort } from '../core/linked-abort.ts';
import { type Answer, isJsonObject, type JsonObject, wordOf } from '../core/mcp.ts';
import type { Answered, Call, RoundInput } from './attempt.ts';
import { editMeta, labelled } from './edits.ts';
import { allows, NEEDS, needOf } from './interactions.ts';
import { cancelAnswer } from './questions/answers.ts';
import { judge } from './questions/judged-questions.ts';
import { MAX_PENDING } from './questions/pending-questions.ts';
import { refusedInteraction } from './relay.ts';

/** Requests whose result may ask for input (2026-07-28, "Multi round-trip requests"). */
export const MAY_ASK: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);

/** Longest state of an upstream that is carried (protocol.md section 9). */
const MAX_STATE_BYTES = 64 * 1024;
/** The same as it is sealed for a stateless client: written as JSON, where some characters are six. A sealed text is 128 KiB at most. */
const MAX_WRITTEN_BYTES = 90 * 1024;
/** How long a round without questions waits, so that an upstream that is not ready is not asked without pause. */
const IDLE_ROUND_MS = 250;
/** The first session revision whose elicitations have modes. */
const FIRST_MODES = '2025-11-25';

/** One of its questions; what must not be asked of this client is cut from its params. */
interface Question {
  readonly key: string;
  readonly method: string;
  readonly params: Buffer;
}

/** What an `input_required` result says, judged. */
export interface Asking {
  /** For the client. */
  readonly questions: readonly Question[];
  /** Answers that we give in its stead. */
  readonly forced: Readonly<Record<string, Buffer>>;
  readonly state?: string;
}

/** The last answer of an upstream, and what it asks of a client without a session. */
export interface Played extends Answered {
  readonly asking?: Asking;
}

/** The body of a modern result that asks for input, if it is one. */
function askingBody({ answer, era }: Answered): JsonObject | undefined {
  if (era !== 'modern' || answer.kind === 'error' || !answer.result.includes('"input_required"')) return undefined;
  const body = JSON.parse(answer.result.toString('utf8')) as JsonObject;
  return body.resultType === 'input_required' ? body : undefined;
}

/** Throws `upstream/protocol` for what is no valid question, and when it was not offered to the upstream. */
export function readAsking(call: Call, result: Buffer, body: JsonObject): Asking {
  const { services, exchange, request, profile } = call;
  const { upstream } = request;
  const wrong = (what: string) => new TurnpikeError('upstream/protocol', `upstream '${upstream}' ${what}`, { upstream });
  if (!MAY_ASK.has(exchange.method)) throw wrong(`asked for input during ${exchange.method}`);
  const { requestState: state } = body;
  if (typeof state === 'string' && Buffer.byteLength(state) > MAX_STATE_BYTES) throw wrong('sent a request state above 64 KiB');
  if (exchange.era === 'modern' && state !== undefined && Buffer.byteLength(JSON.stringify(state)) > MAX_WRITTEN_BYTES)
    throw wrong('sent a request state that is too long to be carried');
  const requests = isJsonObject(body.inputRequests) ? member(result, 'inputRequests') : undefined;
  checkReadable(result, requests, wrong);
  const questions: Question[] = [];
  const forced: Record<string, Buffer> = {};
  for (const { key, valueStart, end } of requests === undefined ? [] : memberSpans(requests)) {
    const question = (requests as Buffer).subarray(valueStart, end);
    const parsed = JSON.parse(question.toString('utf8')) as unknown;
    if (isJsonObject(parsed) && repeatedMember(question) !== undefined) throw wrong(AMBIGUOUS);
    const method = isJsonObject(parsed) ? parsed.method : undefined;
    const { params: given = {} } = isJsonObject(parsed) ? parsed : {};
    const params = isJsonObject(given) ? given : {};
    if (typeof method !== 'string' || !NEEDS.has(method)) throw wrong(`asked for what it was not offered: ${wordOf(method)}`);
    if (!allows(profile, method, params) || !isKnown(exchange, method, params)) {
      if (exchange.era === 'legacy') throw refusedInteraction(needOf(method, params), exchange, upstream, services.settings.bridge.interactive);
      throw wrong(`asked for what it was not offered: ${method}`);
    }
    if (given !== params) throw wrong(`asked for ${method} with params that are no object`);
    const bytes = member(question, 'params') ?? toJson({});
    const verdict = judge(
      { services, caller: exchange.caller, era: exchange.era, upstream, profile },
      method,
      editObject(bytes, editMeta(bytes, {})),
    );
    if (verdict.kind === 'ask') questions.push({ key, method, params: verdict.params });
    else if (verdict.answer.kind === 'result') forced[key] = verdict.answer.result;
    else throw wrong(`asked by a form that cannot be shown: ${messageOf(verdict.answer)}`);
  }
  return { questions, forced, ...(typeof state === 'string' ? { state } : {}) };
}

/** Links and models that use tools came with 2025-11-25: an older session client that declares them means something else. */
function isKnown({ era, version }: Exchange, method: string, params: JsonObject): boolean {
  if (era === 'modern' || version >= FIRST_MODES) return true;
  return method === 'elicitation/create' ? params.mode !== 'url' : params.tools === undefined;
}

const AMBIGUOUS = 'asked in a way that can be read twice';

/** Throws for what two readers may take for two things: the client could show what was not judged. */
function checkReadable(result: Buffer, requests: Buffer | undefined, wrong: (what: string) => TurnpikeError): void {
  if (memberSpans(result).filter(({ key }) => key === 'inputRequests').length > 1) throw wrong(AMBIGUOUS);
  if (requests === undefined) return;
  if (repeatedMember(requests) !== undefined) throw wrong(AMBIGUOUS);
  // As the name of a member it is something else to many a program, ours included.
  if (memberSpans(requests).some(({ key }) => key === '__proto__')) throw wrong('asked under a key that cannot be carried');
}

/**
 * Plays the rounds of a modern upstream that its client is not to see: all of a session client, which is asked by requests on
 * the stream of its call (protocol.md section 10, "LM"); of a stateless one those in which every question is answered in its stead.
 * Throws `bridge/rounds`, `bridge/interaction`, and as `send`.
 */
export async function playRounds(call: Call, first: Answered, send: (call: Call, input: RoundInput) => Promise<Answered>): Promise<Played> {
  const { services, exchange, life } = call;
  let answered = first;
  for (let round = 1; ; round++) {
    const body = askingBody(answered);
    if (body === undefined || answered.answer.kind === 'error') return answered;
    const asking = readAsking(call, answered.answer.result, body);
    const { questions, forced, state } = asking;
    if (exchange.era === 'modern' && (questions.length > 0 || Object.keys(forced).length === 0)) return { ...answered, asking };
    if (round > services.settings.bridge.maxRounds) throw tooManyRounds(call);
    services.instruments.bridgeRounds(exchange.era, 'modern').add();
    if (questions.length === 0 && Object.keys(forced).length === 0) await sleep(services.clock, IDLE_ROUND_MS, life.signal);
    const responses = objectOf({ ...forced, ...(await askAll(call, questions)) });
    life.deadline.restart();
    answered = await send(call, roundInput(responses, state));
  }
}

export function roundInput(responses: Buffer | undefined, state: string | undefined): RoundInput {
  return { ...(responses === undefined ? {} : { responses }), ...(state === undefined ? {} : { state }) };
}

/** One request to the client for each question, all at once. What it need not answer any more is taken back. */
export async function askAll(call: Call, questions: readonly Question[]): Promise<Record<string, Buffer>> {
  using open = new LinkedAbort(call.life.signal);
  const ask = async (question: Question, at: number) =>
    [question.key, at < MAX_PENDING ? await askOne(call, question, open.signal) : inItsStead(call, question, cancelAnswer(question.method))] as const;
  try {
    return Object.fromEntries(await Promise.all(questions.map(ask)));
  } catch (error) {
    open.abort(error);
    throw error;
  }
}

async function askOne(call: Call, question: Question, signal: AbortSignal): Promise<Buffer> {
  const { services, exchange, request, life, label } = call;
  const { method } = question;
  if (exchange.ask === undefined) throw refusedInteraction(needOf(method, {}), exchange, request.upstream, services.settings.bridge.interactive);
  const params = asked(exchange, method, label ? labelled(method, question.params, request.upstream) : question.params);
  life.deadline.pause();
  try {
    const answer = await exchange.ask(method, params, signal);
    life.signal.throwIfAborted();
    return answer.kind === 'result' ? answer.result : inItsStead(call, question, answer);
  } finally {
    life.deadline.resume();
  }
}

/** A question as a session revision writes it. */
function asked({ version }: Exchange, method: string, params: Buffer): Buffer {
  if (method !== 'elicitation/create') return params;
  const { mode } = JSON.parse(params.toString('utf8')) as JsonObject;
  if (mode === 'url') return editObject(params, { elicitationId: toJson(randomUUID()) });
  return version < FIRST_MODES ? editObject(params, { mode: undefined }) : params;
}

/** `inputResponses` holds results only: what stands there when the client answered with an error, or was not asked. */
function inItsStead({ exchange, request }: Call, { method }: Question, answer: Answer): Buffer {
  if (method !== 'sampling/createMessage') {
    const own = cancelAnswer(method);
    if (own.kind === 'result') return own.result;
  }
  throw new TurnpikeError('bridge/interaction', `${exchange.method} needs an answer to ${method}, and the client gave none: ${messageOf(answer)}`, {
    upstream: request.upstream,
  });
}

export function tooManyRounds({ services, request: { upstream } }: Call): TurnpikeError {
  services.instruments.bridgeRefused('rounds').add();
  return new TurnpikeError('bridge/rounds', 'The upstream asked for input too many times.', { upstream });
}

function messageOf(answer: Answer): string {
  const parsed = answer.kind === 'error' ? parseJson(answer.error) : undefined;
  return parsed?.ok && isJsonObject(parsed.value) && typeof parsed.value.message === 'string' ? parsed.value.message : 'no reason given';
}
