import { editObject, elements, member, memberSpans, parseJson, repeatedMember, toJson } from '../../core/json.ts';
import { type Answer, isJsonObject, RPC } from '../../core/mcp.ts';
import type { Profile } from '../../upstream/profile.ts';
import { formOf } from './form-schema.ts';
import { asksForSecret } from './secret-forms.ts';

export interface QuestionRules {
  /** What the client declared and the configuration allows. */
  readonly profile: Profile;
  /** `bridge.blockSecretForms`. */
  readonly blockSecretForms: boolean;
}

/** What becomes of a question: it is carried with these `params`, or answered in place of the client. */
export type Verdict =
  | { readonly kind: 'ask'; readonly params: Buffer }
  | { readonly kind: 'answer'; readonly answer: Answer; readonly why: 'secret-form' | 'form-schema' };

/** Largest `requestedSchema`, in bytes. */
const MAX_SCHEMA_BYTES = 64 * 1024;
/** Longest `message` of a form, in characters: all of it is searched for secrets while others wait. */
const MAX_MESSAGE = 64 * 1024;

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;

/**
 * Judges what a server asks of its client before it is carried, in every pairing of eras (protocol.md section 10, "Limits
 * and refusals"; security class 17). Whether the client can be asked at all is `allows` in `interactions.ts`.
 * `params` are bytes that `parseJson` has accepted; those of questions that are not judged pass byte for byte.
 */
export function guardQuestion(method: string, params: Buffer, rules: QuestionRules): Verdict {
  if (method === 'sampling/createMessage') return { kind: 'ask', params: rules.profile.includes('c') ? params : withoutContext(params) };
  return method === 'elicitation/create' ? guardElicitation(params, rules) : { kind: 'ask', params };
}

const INCLUDE_CONTEXT = 'includeContext';

/** A client that does not offer its context is asked for none. */
function withoutContext(params: Buffer): Buffer {
  if (!isJsonObject(bodyOf(params))) return params;
  const given = memberSpans(params).filter(({ key }) => key === INCLUDE_CONTEXT);
  // All that stand there are looked at: which one counts is up to the client.
  const isNone = given.every(({ valueStart, end }) => bodyOf(params.subarray(valueStart, end)) === 'none');
  return isNone ? params : editObject(params, { [INCLUDE_CONTEXT]: toJson('none') });
}

function guardElicitation(params: Buffer, { blockSecretForms }: QuestionRules): Verdict {
  const body = bodyOf(params);
  if (!isJsonObject(body)) return malformed('params must be an object');
  const repeated = repeatedMember(params);
  if (repeated !== undefined) return malformed(`${JSON.stringify(repeated)} stands twice in params`);
  if (body.mode === 'url') return { kind: 'ask', params };
  // A client may take any other mode for a form.
  if (body.mode !== undefined && body.mode !== 'form') return malformed('mode must be form or url');
  const schema = member(params, 'requestedSchema');
  if (schema === undefined) return malformed('requestedSchema is missing');
  if (schema.length > MAX_SCHEMA_BYTES) return malformed(`requestedSchema has ${schema.length} bytes; ${MAX_SCHEMA_BYTES} is the most`);
  const { message } = body;
  if (typeof message === 'string' && message.length > MAX_MESSAGE)
    return malformed(`message has ${message.length} characters; ${MAX_MESSAGE} is the most`);
  const form = formOf(body.requestedSchema);
  if (!form.ok) return malformed(form.error);
  const twice = repeatedWithin(schema);
  if (twice !== undefined) return malformed(`${JSON.stringify(twice)} stands twice in requestedSchema`);
  if (!blockSecretForms || !asksForSecret(body, form.value)) return { kind: 'ask', params };
  return { kind: 'answer', answer: { kind: 'result', result: toJson({ action: 'decline' }) }, why: 'secret-form' };
}

/** How deep a form goes: schema, `properties`, field, list of choices or kinds, choice. */
const DEPTH = 5;

/** A name that stands twice in the form: the client may show the one that was not judged. */
function repeatedWithin(value: Buffer, depth = DEPTH): string | undefined {
  const [first] = value;
  if (depth === 0 || (first !== OPEN_OBJECT && first !== OPEN_ARRAY)) return undefined;
  const repeated = first === OPEN_OBJECT ? repeatedMember(value) : undefined;
  if (repeated !== undefined) return repeated;
  const inner = first === OPEN_ARRAY ? elements(value) : memberSpans(value).map(({ valueStart, end }) => value.subarray(valueStart, end));
  for (const one of inner) {
    const found = repeatedWithin(one, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function malformed(problem: string): Verdict {
  const error = { code: RPC.invalidParams, message: `The form cannot be shown: ${problem}.` };
  return { kind: 'answer', answer: { kind: 'error', error: toJson(error), code: error.code }, why: 'form-schema' };
}

function bodyOf(bytes: Buffer): unknown {
  const parsed = parseJson(bytes);
  return parsed.ok ? parsed.value : undefined;
}
