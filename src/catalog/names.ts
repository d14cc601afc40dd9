import { sha256 } from '../core/secret.ts';
import type { NameSettings, UpstreamSettings } from './settings.ts';

/** The forms of names in a view (aggregator.md section 2). Everything here is pure. */

export const REVERSIBLE_SCHEME = 'turnpike:';
const REVERSIBLE_HEAD = 'turnpike://';
/** `_` and 8 hexadecimal digits. */
const SUFFIX_LENGTH = 9;
/** RFC 3986 section 3.1. */
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;
const META_TOOLS: ReadonlySet<string> = new Set([
  'list_tools',
  'describe_tool',
  'list_core_tools',
  'filter_tools',
  'call_tool',
  'list_resources',
  'list_prompts',
  'describe_resource',
  'describe_prompt',
  'get_resource',
  'get_prompt',
]);

type Naming = Pick<UpstreamSettings, 'name' | 'toolPrefix' | 'naming'>;

/**
 * The name under which a tool or prompt is listed and called: `{prefix}_{toolPrefix}_{tool}`, a tool that already
 * starts with `{toolPrefix}_` getting it once. Characters outside `[A-Za-z0-9_.-]` become `_`; a name over
 * `maxNameLength` is cut and ends in `_` and the first 8 hexadecimal digits of its SHA-256.
 */
export function exposedName(original: string, upstream: Naming, settings: NameSettings): string {
  if (upstream.naming === 'passthrough') return original;
  const name = `${headOf(original, upstream, settings)}${original}`.replace(/[^A-Za-z0-9_.-]/gu, '_');
  if (name.length <= settings.maxNameLength) return name;
  const kept = Math.max(0, settings.maxNameLength - SUFFIX_LENGTH);
  return `${name.slice(0, kept)}_${sha256(name)
    .toString('hex')
    .slice(0, SUFFIX_LENGTH - 1)}`;
}

/**
 * What is put before a URI or URI template where it is unique in the view: nothing if it has a scheme, else the same
 * as before a tool. URIs keep their own bytes: neither replaced nor cut, or a template could not be expanded.
 */
export function uriHead(original: string, upstream: Naming, settings: NameSettings): string {
  return upstream.naming === 'passthrough' || hasScheme(original) ? '' : headOf(original, upstream, settings);
}

function headOf(original: string, upstream: Naming, settings: NameSettings): string {
  const toolPrefix = upstream.toolPrefix ?? upstream.name;
  const head = settings.prefix === '' ? '' : `${settings.prefix}_`;
  return original.startsWith(`${toolPrefix}_`) ? head : `${head}${toolPrefix}_`;
}

export function hasScheme(uri: string): boolean {
  return SCHEME.test(uri);
}

/** `turnpike://S/<percent-encoded URI>`: names any resource of one upstream. `uri` must be well-formed UTF-16. */
export function reversibleUri(upstream: string, uri: string): string {
  return `${REVERSIBLE_HEAD}${upstream}/${encodeURIComponent(uri)}`;
}

/**
 * What stands before an ambiguous template. Its own text follows unencoded, since clients expand it: encoding the
 * result of an expansion once more is beyond them. `parseReversibleUri` tells the forms apart by the colon of the scheme, which a
 * percent-encoded URI never has.
 */
export function reversibleTemplateHead(upstream: string): string {
  return `${REVERSIBLE_HEAD}${upstream}/`;
}

/** Takes a `turnpike://` URI apart; `undefined` if it is none or its escapes are broken. */
export function parseReversibleUri(uri: string): { readonly upstream: string; readonly uri: string } | undefined {
  if (!uri.startsWith(REVERSIBLE_HEAD)) return undefined;
  const slash = uri.indexOf('/', REVERSIBLE_HEAD.length);
  if (slash === -1 || slash + 1 === uri.length) return undefined;
  const upstream = uri.slice(REVERSIBLE_HEAD.length, slash);
  const rest = uri.slice(slash + 1);
  if (hasScheme(rest)) return { upstream, uri: rest };
  try {
    return { upstream, uri: decodeURIComponent(rest) };
  } catch {
    return undefined;
  }
}

/** The built-in upstream that owns a tool name, if the name is reserved: no upstream's tool may be listed under it. */
export function reservedOwner(exposed: string): string | undefined {
  if (META_TOOLS.has(exposed)) return 'meta';
  if (exposed.startsWith('core_')) return 'core';
  if (exposed.startsWith('workflow_')) return 'workflow';
  return undefined;
}
