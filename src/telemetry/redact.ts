import { TurnpikeError } from '../core/errors.ts';
import { MASK, Secret } from '../core/secret.ts';
import { ValueMask } from './value-mask.ts';

/**
 * What may be printed (security class 25): secrets go by type, by the name of the field, and by their look. Every
 * pattern is linear, and only bounded pieces of text are looked at, never whole bodies.
 */

/** Longest text in a log field; foreign text is cut shorter by `redactText`. */
const MAX_TEXT = 4000;
const MAX_DEPTH = 6;
const MAX_MEMBERS = 100;
const MAX_FRAMES = 12;

/** Parts of field names, without case and separators, whose value is never printed. */
const SECRET_NAMES = [
  'authorization',
  'cookie',
  'token',
  'password',
  'passwd',
  'passphrase',
  'secret',
  'apikey',
  'privatekey',
  'encryptionkey',
  'sessionid',
];
/** Field names that hold such a part and no secret. */
const PLAIN_NAMES = new Set(['tokenendpoint', 'tokentype', 'progresstoken', 'tokenfile', 'secretname', 'tokens']);
const URL_NAMES = new Set(['url', 'uri', 'target', 'href', 'location', 'referer', 'referrer']);

/** `name: value` and `name=value` inside a text, quoted or not, JSON inside JSON included. */
const NAMED =
  /(passw(?:or)?d|passphrase|secret|token|api[-_ ]?key|private[-_ ]?key|encryption[-_ ]?key|session[-_ ]?id)((?:\\{0,3}["'])?\s{0,4}[:=]\s{0,4})(\\{0,3}"[^"]*"?|\\{0,3}'[^']*'?|[^\s"',;&<>}\]]+)/gi;
/** Headers whose whole value goes, words and all. */
const HEADER = /(authorization|cookie)((?:\\{0,3}["'])?\s{0,4}[:=]\s{0,4}(?:\\{0,3}["'])?)[^\r\n"'\\]+/gi;
const SCHEME = /\b(bearer|basic)[ \t]{1,4}[A-Za-z0-9\-._~+/=]+/gi;
const URL_TEXT = /\b([a-z][a-z0-9+.-]{0,20}:\/\/)([^\s"'<>\\]+)/gi;
/** Runs of characters that tokens consist of; each is judged once. */
const RUN = /[A-Za-z0-9_\-.~+/=:]{8,}/g;
const SHORTEST_RUN = 8;
/** Most ids and names: of all patterns only `RUN` can match. */
const WORD = /^[A-Za-z0-9_.-]*$/;
/** UUIDs and digests: no prefix of a known maker is made of these. */
const HEX = /^[0-9a-fA-F-]*$/;
const PEM = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?/g;

/** What tokens of known makers begin with, and how many characters must follow before it is more than a word. */
const PREFIXES: readonly (readonly [string, number])[] = [
  ...['glpat-', 'gloas-', 'gldt-', 'glrt-', 'glcbt-', 'glptt-', 'glft-', 'glimt-', 'glagent-', 'glsoat-'].map((prefix) => [prefix, 1] as const),
  ...['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_', 'github_pat_', 'npm_', 'pypi-', 'dop_v1_'].map((prefix) => [prefix, 6] as const),
  ...['xoxb-', 'xoxp-', 'xoxa-', 'xoxr-', 'xoxs-', 'xapp-', 'ya29.'].map((prefix) => [prefix, 6] as const),
  ['sk-', 12],
  ['hf_', 12],
  ['AKIA', 12],
  ['ASIA', 12],
  ['AIza', 20],
];

/** C0, DEL, C1, line and paragraph separators, bidirectional controls: what can end, hide or reorder a line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;

/**
 * A text of foreign origin, fit for logs, audit records and error texts: secrets masked, control characters written
 * out as `\n` or `\u….`, cut to `max` UTF-16 units with `…` as the last one.
 */
export function redactText(text: string, max = 500): string {
  if (text.length <= max && WORD.test(text)) {
    // Nothing but a token of a known maker could be in it, and no such token is shorter or of these digits alone.
    if (text.length < SHORTEST_RUN || HEX.test(text)) return text;
    const judged = judge(text);
    if (judged.length <= max) return judged;
  }
  // Cut first, so that work is bounded; a little more than `max` is kept for what masking shortens.
  const bounded = text.length > max * 2 ? text.slice(0, max * 2) : text;
  const clean = maskSecrets(bounded).replace(CONTROL, writeOut);
  return clean.length > max || bounded.length < text.length ? `${clean.slice(0, Math.max(0, max - 1))}…` : clean;
}

/** The first 8,192 characters of a text without secrets of ours. For texts that come often, a `ValueMask` is made once. */
export function maskValues(text: string, secrets: readonly Secret[]): string {
  return new ValueMask(secrets).mask(text);
}

/** Any value as plain data that may be printed. Depth, width and texts are bounded; never throws. */
export function redactValue(value: unknown): unknown {
  return visit(value, 0, new Set());
}

/** The fields of a log line, each redacted by its name and value. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return members(Object.entries(fields), 0, new Set());
}

/** Whether the name of a field says that its value is a secret. */
export function isSecretName(name: string): boolean {
  const plain = name.replace(/[-_ .]/g, '').toLowerCase();
  return !PLAIN_NAMES.has(plain) && SECRET_NAMES.some((part) => plain.includes(part));
}

function maskSecrets(text: string): string {
  return text
    .replace(PEM, MASK)
    .replace(URL_TEXT, (_match, scheme: string, rest: string) => scheme + bareUrl(rest))
    .replace(HEADER, `$1$2${MASK}`)
    .replace(NAMED, maskNamed)
    .replace(SCHEME, `$1 ${MASK}`)
    .replace(RUN, judge);
}

/** Percent-encoding undone, as far as it is one. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text.replaceAll(/%3a/gi, ':').replaceAll(/%2f/gi, '/').replaceAll(/%40/g, '@');
  }
}

function maskNamed(_match: string, name: string, separator: string, value: string): string {
  const quote = /^\\{0,3}["']/.exec(value)?.[0] ?? '';
  return `${name}${separator}${quote}${MASK}${quote === '' ? '' : quote}`;
}

/** The URI inside another one, as `turnpike://` URIs hold it: encoded or not. */
const INNER = /^([^/?#]*\/)([a-z][a-z0-9+.-]{0,20}(?::|%3a)(?:\/|%2f){2}.*)$/is;

/** What follows `scheme://`, without user info, query and fragment; a URI inside it is cleaned alike. */
function bareUrl(rest: string, depth = 0): string {
  const [, head, inner] = INNER.exec(rest) ?? [];
  if (head !== undefined && inner !== undefined && depth < 2) {
    const [, scheme = '', within = ''] = /^(.*?:\/\/)(.*)$/s.exec(decoded(inner)) ?? [];
    return head + scheme + bareUrl(within, depth + 1);
  }
  const query = rest.search(/[?#]/);
  const path = query === -1 ? rest : rest.slice(0, query);
  const slash = path.indexOf('/');
  const authority = slash === -1 ? path : path.slice(0, slash);
  // A password may hold a slash although it must not: what looks like a port and is no number was user info.
  const port = authority.slice(authority.lastIndexOf(':') + 1);
  const isTorn = authority.includes(':') && !authority.endsWith(']') && !authority.includes('@') && !/^\d*[,.;)]?$/.test(port);
  const at = isTorn ? path.lastIndexOf('@') : authority.lastIndexOf('@');
  return isTorn && at === -1 ? MASK : path.slice(at + 1);
}

function judge(run: string): string {
  let from = run.length;
  for (const [prefix, least] of PREFIXES) {
    const at = run.indexOf(prefix);
    if (at !== -1 && at < from && isWordStart(run, at) && run.length - at - prefix.length >= least) from = at;
  }
  const jwt = run.indexOf('eyJ');
  if (jwt !== -1 && jwt < from && run.indexOf('.', run.indexOf('.', jwt) + 1) > run.indexOf('.', jwt) && run.includes('.', jwt)) from = jwt;
  return from === run.length ? run : run.slice(0, from) + MASK;
}

function isWordStart(run: string, at: number): boolean {
  return at === 0 || !/[A-Za-z0-9]/.test(run.charAt(at - 1));
}

function writeOut(character: string): string {
  if (character === '\n') return '\\n';
  if (character === '\r') return '\\r';
  if (character === '\t') return '\\t';
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function visit(value: unknown, depth: number, above: Set<object>): unknown {
  if (typeof value === 'string') return redactText(value, MAX_TEXT);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Secret) return MASK;
  if (above.has(value)) return '[circular]';
  if (depth >= MAX_DEPTH) return '[deep]';
  above.add(value);
  try {
    return visitObject(value, depth, above);
  } catch {
    return '[unreadable]';
  } finally {
    above.delete(value);
  }
}

function visitObject(value: object, depth: number, above: Set<object>): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (value instanceof URL) return redactText(value.href, MAX_TEXT);
  if (value instanceof Error) return errorMembers(value, depth, above);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof Map)
    return members(
      Array.from(value, ([key, member]) => [String(key), member] as const),
      depth,
      above,
    );
  if (Array.isArray(value) || value instanceof Set) return items([...value], depth, above);
  return members(Object.entries(value), depth, above);
}

function items(list: readonly unknown[], depth: number, above: Set<object>): unknown[] {
  const kept = list.slice(0, MAX_MEMBERS).map((item) => visit(item, depth + 1, above));
  if (list.length > MAX_MEMBERS) kept.push(`[${list.length - MAX_MEMBERS} more]`);
  return kept;
}

function members(entries: readonly (readonly [string, unknown])[], depth: number, above: Set<object>): Record<string, unknown> {
  const result: Record<string, unknown> = Object.create(null);
  for (const [name, value] of entries.slice(0, MAX_MEMBERS)) {
    result[redactText(name, 100)] = member(name, value, depth, above);
  }
  if (entries.length > MAX_MEMBERS) result['…'] = `[${entries.length - MAX_MEMBERS} more]`;
  return result;
}

function member(name: string, value: unknown, depth: number, above: Set<object>): unknown {
  if (value === undefined || value === null || typeof value === 'boolean') return value;
  if (isSecretName(name)) return MASK;
  if (typeof value === 'string' && URL_NAMES.has(name.toLowerCase())) return redactText(value.split(/[?#]/, 1)[0] ?? '', MAX_TEXT);
  return visit(value, depth + 1, above);
}

/** Frames as a list, so that a pretty printer shows lines without any text holding a line break. */
function errorMembers(error: Error, depth: number, above: Set<object>): Record<string, unknown> {
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  const details = error instanceof TurnpikeError ? { reason: error.details.reason, upstream: error.details.upstream, rule: error.details.rule } : {};
  const code = 'code' in error && (typeof error.code === 'string' || typeof error.code === 'number') ? error.code : undefined;
  const all = {
    name: error.name,
    code,
    message: error.message,
    ...details,
    stack: frames.length === 0 ? undefined : frames.slice(0, MAX_FRAMES).map((line) => line.trim()),
    cause: error.cause,
  };
  const present = Object.entries(all).filter(([, value]) => value !== undefined);
  return members(present, depth, above);
}
