import { isJsonObject, type JsonObject } from '../core/mcp.ts';

/**
 * Which interactions a client can serve, as letters in a fixed order: `f` form and `u` url elicitation, `s` sampling, `t`
 * sampling with tools, `c` sampling with context, `r` roots; `-` is none (protocol.md section 10, "Capability profile").
 */
export type Profile = string;

export const NO_PROFILE: Profile = '-';
const LETTERS = ['f', 'u', 's', 't', 'c', 'r'] as const;
type Letter = (typeof LETTERS)[number];

/** First revision of an upstream that knows an interaction; the others are in every revision. */
const SINCE: Readonly<Partial<Record<Letter, string>>> = { f: '2025-06-18', u: '2025-11-25', t: '2025-11-25' };

/** The profile of declared capabilities, cut to what the configuration allows. `elicitation: {}` means forms. */
export function profileOf(capabilities: JsonObject, allowed: readonly string[]): Profile {
  const { elicitation, sampling, roots } = capabilities;
  const found = new Set<Letter>();
  if (isJsonObject(elicitation)) {
    if (isJsonObject(elicitation.url)) found.add('u');
    if (isJsonObject(elicitation.form) || !isJsonObject(elicitation.url)) found.add('f');
  }
  if (isJsonObject(sampling)) {
    found.add('s');
    if (isJsonObject(sampling.tools)) found.add('t');
    if (isJsonObject(sampling.context)) found.add('c');
  }
  if (isJsonObject(roots)) found.add('r');
  const letters = LETTERS.filter((letter) => found.has(letter) && allowed.includes(letter));
  return letters.length === 0 ? NO_PROFILE : letters.join('');
}

/** Client capabilities that declare exactly a profile. `version` caps them for session upstreams; `roots.listChanged` is declared there. */
export function capabilitiesOf(profile: Profile, version: string): JsonObject {
  const has = (letter: Letter) => profile.includes(letter) && version >= (SINCE[letter] ?? '');
  const modes = version >= '2025-11-25';
  return {
    ...(has('f') || has('u') ? { elicitation: modes ? { ...(has('f') ? { form: {} } : {}), ...(has('u') ? { url: {} } : {}) } : {} } : {}),
    ...(has('s') ? { sampling: { ...(has('t') ? { tools: {} } : {}), ...(has('c') && modes ? { context: {} } : {}) } } : {}),
    ...(has('r') ? { roots: { listChanged: true } } : {}),
  };
}
