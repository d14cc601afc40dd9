import { isJsonObject, type JsonObject } from '../core/mcp.ts';
import type { Profile } from '../upstream/profile.ts';

/** Methods by which a server asks its client, and the client capability that each needs. */
export const NEEDS: ReadonlyMap<string, 'sampling' | 'elicitation' | 'roots'> = new Map([
  ['sampling/createMessage', 'sampling'],
  ['elicitation/create', 'elicitation'],
  ['roots/list', 'roots'],
]);

/** Whether a profile allows a question: URL elicitation and sampling with tools have letters of their own (protocol.md section 10). */
export function allows(profile: Profile, method: string, params: JsonObject): boolean {
  switch (NEEDS.get(method)) {
    case 'elicitation':
      return profile.includes(params.mode === 'url' ? 'u' : 'f');
    case 'sampling':
      return profile.includes('s') && (params.tools === undefined || profile.includes('t'));
    case 'roots':
      return profile.includes('r');
    default:
      return false;
  }
}

/** What a question needs of a client: as letters of a profile, as a capability, and as `requiredCapabilities` of -32021. */
export interface Need {
  readonly name: string;
  readonly capability: 'sampling' | 'elicitation' | 'roots';
  readonly letters: readonly string[];
  readonly required: JsonObject;
}

/** @param method one of `NEEDS` */
export function needOf(method: string, params: JsonObject): Need {
  switch (NEEDS.get(method)) {
    case 'elicitation':
      return params.mode === 'url'
        ? { name: 'elicitation.url', capability: 'elicitation', letters: ['u'], required: { elicitation: { url: {} } } }
        : { name: 'elicitation', capability: 'elicitation', letters: ['f'], required: { elicitation: {} } };
    case 'sampling':
      return params.tools === undefined
        ? { name: 'sampling', capability: 'sampling', letters: ['s'], required: { sampling: {} } }
        : { name: 'sampling.tools', capability: 'sampling', letters: ['s', 't'], required: { sampling: { tools: {} } } };
    default:
      return { name: 'roots', capability: 'roots', letters: ['r'], required: { roots: {} } };
  }
}

/** Declared capabilities without the interactions that `bridge.interactive` (`allowed`) leaves out. What is left keeps its members. */
export function permitted(capabilities: JsonObject, allowed: readonly string[]): JsonObject {
  const { elicitation, sampling, roots, ...others } = capabilities;
  const may = (letter: string) => allowed.includes(letter);
  return {
    ...others,
    ...kept('elicitation', isJsonObject(elicitation) ? modes(elicitation, may('f'), may('u')) : elicitation),
    ...kept(
      'sampling',
      may('s') ? (isJsonObject(sampling) ? without(sampling, may('t') ? [] : ['tools'], may('c') ? [] : ['context']) : sampling) : undefined,
    ),
    ...kept('roots', may('r') ? roots : undefined),
  };
}

/** `elicitation` without a mode; no mode named means forms. */
function modes(elicitation: JsonObject, form: boolean, url: boolean): JsonObject | undefined {
  const hasUrl = isJsonObject(elicitation.url);
  const hasForm = isJsonObject(elicitation.form) || !hasUrl;
  if ((form || !hasForm) && (url || !hasUrl)) return elicitation;
  const left = { ...(form && hasForm ? { form: {} } : {}), ...(url && hasUrl ? { url: elicitation.url } : {}) };
  return Object.keys(left).length === 0 ? undefined : left;
}

function without(object: JsonObject, ...keys: readonly (readonly string[])[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.flat().includes(key)));
}

function kept(key: string, value: unknown): JsonObject {
  return value === undefined ? {} : { [key]: value };
}
