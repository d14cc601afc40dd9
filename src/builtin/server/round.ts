import { TurnpikeError } from '../../core/errors.ts';
import { canonicalJson, toJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { sha256Key } from '../../core/secret.ts';
import { compileSchema, type Validator } from './schema.ts';
import type { ElicitAnswer } from './server.ts';

/** What `BuiltinCall.ask` throws: the run is over, the client is asked. */
export class InputRequired extends Error {
  override readonly name = 'InputRequired';
}

interface Question {
  readonly key: string;
  readonly message: string;
  readonly schema: JsonObject;
  readonly digest: string;
}

/** An answer, and the question that it was given to. */
interface Answered {
  readonly digest: string;
  readonly answer: ElicitAnswer;
}

const KEY = /^[A-Za-z0-9_.-]{1,64}$/;
/** Longest state that is taken: upstreams may send 64 KiB (protocol.md section 9). */
const MAX_STATE = 64 * 1024;

/**
 * One round of a call that may ask (2026-07-28, "Multi round-trip requests"). The handler runs from its beginning in each round; earlier
 * answers come from the state. An answer counts only for the question to which it was given, word for word, and only if that was put
 * before: an answer that nobody asked for, or to a question that reads differently by now, is none.
 *
 * The state is plain: the gateway seals it, bound to principal, upstream, method and arguments, and gives it back to nobody else
 * (protocol.md section 9); a server in this process is reached in no other way.
 */
export class Round {
  /** What the client is to be asked. */
  pending: Question | undefined;
  readonly #what: unknown;
  readonly #asked: JsonObject;
  readonly #known: Record<string, Answered>;
  readonly #given: JsonObject;

  /**
   * @param params of the request
   * @param what names the call: method and arguments
   * @throws `request/params` for responses of the wrong shape, `state/invalid` for a state that is not of this call
   */
  constructor(params: JsonObject, what: unknown) {
    const { inputResponses = {}, requestState } = params;
    if (!isJsonObject(inputResponses) || !Object.values(inputResponses).every(isJsonObject))
      throw new TurnpikeError('request/params', 'inputResponses must be an object of objects');
    this.#given = inputResponses;
    this.#what = what;
    // Without a state nothing was asked, so that nothing can have been answered.
    const state = requestState === undefined ? undefined : opened(requestState, subjectOf(what));
    this.#asked = state?.asked ?? {};
    this.#known = { ...state?.known };
  }

  /** As `BuiltinCall.ask`, for a client that can be asked. */
  ask(key: string, message: string, schema: JsonObject): ElicitAnswer {
    if (!KEY.test(key)) throw new TypeError(`no key of a question: ${JSON.stringify(key)}`);
    const fits = compileSchema({ ...schema, additionalProperties: false });
    const digest = sha256Key(JSON.stringify([message, schema]));
    const known = Object.hasOwn(this.#known, key) ? this.#known[key] : undefined;
    if (known?.digest === digest) return known.answer;
    const wasAsked = Object.hasOwn(this.#asked, key) && this.#asked[key] === digest;
    const answer = wasAsked && Object.hasOwn(this.#given, key) ? answerOf(this.#given[key] as JsonObject, fits) : undefined;
    if (answer !== undefined) {
      this.#known[key] = { digest, answer };
      return answer;
    }
    delete this.#known[key];
    this.pending = { key, message, schema, digest };
    throw new InputRequired('the client is asked');
  }

  /** Members of the `input_required` result. */
  result({ key, message, schema, digest }: Question): JsonObject {
    const request = { method: 'elicitation/create', params: { mode: 'form', message, requestedSchema: schema } };
    const state = { subject: subjectOf(this.#what), asked: { [key]: digest }, known: this.#known };
    const requestState = Buffer.from(JSON.stringify(state)).toString('base64url');
    if (requestState.length > MAX_STATE) throw new TurnpikeError('request/params', 'The answers are too long. Answer more briefly.');
    return { resultType: 'input_required', inputRequests: { [key]: request }, requestState };
  }
}

function subjectOf(what: unknown): string {
  return sha256Key(canonicalJson(toJson(what)));
}

function opened(text: unknown, subject: string): { readonly asked: JsonObject; readonly known: Readonly<Record<string, Answered>> } {
  const wrong = () => new TurnpikeError('state/invalid', 'Invalid or expired request state');
  if (typeof text !== 'string' || text.length > MAX_STATE) throw wrong();
  let state: unknown;
  try {
    state = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    throw wrong();
  }
  if (!isJsonObject(state) || state.subject !== subject || !isJsonObject(state.asked) || !isJsonObject(state.known)) throw wrong();
  return { asked: state.asked, known: state.known as Readonly<Record<string, Answered>> };
}

/** Undefined for an answer that does not fit: it is asked for again. */
function answerOf({ action, content = {} }: JsonObject, fits: Validator): ElicitAnswer | undefined {
  if (action === 'decline' || action === 'cancel') return { action };
  if (action !== 'accept' || !isJsonObject(content)) return undefined;
  return fits(content).length === 0 ? { action, content } : undefined;
}
