import { TurnpikeError } from '../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { cachingOf } from './lists.ts';
import type { BuiltinCall, BuiltinOffer, BuiltinPrompt, ResourceOutcome } from './server.ts';
import { compileUri } from './uri-match.ts';

/** Runs for one caller; returns the members of the result. */
export type Handler<C> = (call: BuiltinCall<C>) => Promise<JsonObject>;

export interface Resources<C> {
  /**
   * @param retried a retry with answers of the user is not to be kept (protocol.md section 5)
   * @throws `catalog/resource` when neither a resource nor a template has this URI
   */
  reader(uri: string, retried: boolean): Handler<C>;
}

/** @throws TypeError for URIs given twice and templates that cannot be compiled */
export function resourcesOf<C>(offer: BuiltinOffer<C>): Resources<C> {
  const { resources = [], templates = [] } = offer;
  const fixed = new Map(resources.map((resource) => [resource.uri, resource]));
  if (fixed.size < resources.length) throw new TypeError('a URI is given twice');
  const compiled = templates.map((template) => ({ template, matcher: compileUri(template.uriTemplate) }));
  const result = (uri: string, { contents }: ResourceOutcome, retried: boolean): JsonObject => {
    // What is not there is never an empty list (protocol.md section 2, "Answers").
    if (contents.length === 0) throw notFound(uri);
    return { resultType: 'complete', contents, ...cachingOf(offer), ...(retried ? { ttlMs: 0, cacheScope: 'private' } : {}) };
  };
  return {
    reader(uri, retried) {
      const resource = fixed.get(uri);
      if (resource !== undefined) return async (call) => result(uri, await resource.read(uri, call), retried);
      for (const { template, matcher } of compiled) {
        const variables = matcher.match(uri);
        if (variables !== undefined) return async (call) => result(uri, await template.read(uri, variables, call), retried);
      }
      throw notFound(uri);
    },
  };
}

/** @throws `request/params` for arguments that the prompt does not take, or lacks */
export function promptHandler<C>(prompt: BuiltinPrompt<C>, params: JsonObject): Handler<C> {
  const { arguments: given = {} } = params;
  if (!isJsonObject(given)) throw new TurnpikeError('request/params', 'params.arguments must be an object');
  for (const { name, required, description } of prompt.arguments) {
    if (required && !Object.hasOwn(given, name)) throw wrong(prompt, `${name} is missing: ${description}`);
  }
  const names = prompt.arguments.map(({ name }) => name);
  const args: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (!names.includes(name)) throw wrong(prompt, `it takes no ${JSON.stringify(name.slice(0, 64))}; use ${names.join(', ') || 'no arguments'}`);
    if (typeof value !== 'string') throw wrong(prompt, `${name} must be a string`);
    args[name] = value;
  }
  return async (call) => {
    const { description = prompt.description, messages } = await prompt.get(args, call);
    return { resultType: 'complete', description, messages };
  };
}

function wrong({ name }: { readonly name: string }, what: string): TurnpikeError {
  return new TurnpikeError('request/params', `invalid arguments for prompt ${name}: ${what}`);
}

function notFound(uri: string): TurnpikeError {
  return new TurnpikeError('catalog/resource', `resource not found: ${uri}`);
}
