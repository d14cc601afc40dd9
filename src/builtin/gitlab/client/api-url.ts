import { type HostTarget, hostOf } from '../../../net/host-entry.ts';
import { originOf } from '../../../net/origin.ts';
import { GitLabError } from './gitlab-error.ts';
import { withoutSlashes } from './slashes.ts';

/** An instance of GitLab: where it is, and the URLs that follow from that. */
export interface ApiUrl {
  /** Ends in `/api/v4`; equal for all spellings of one instance. */
  readonly canonical: string;
  /** The same without `/api/v4`: the issuer of its principals. */
  readonly root: string;
  readonly target: HostTarget;
}

/** What became of a URL: an instance, 400 with a reason for the caller, or 403 with one for the log alone. */
export type ApiUrlResult =
  | { readonly kind: 'url'; readonly url: ApiUrl }
  | { readonly kind: 'invalid'; readonly reason: string }
  | { readonly kind: 'forbidden'; readonly reason: string };

const MAX_CHARACTERS = 2048;
const API = '/api/v4';

/**
 * One URL for all spellings of an instance (gitlab.md 2.2, "Header and normalisation"). What only an attacker writes is looked
 * for in the text itself, before a parser makes something harmless of it.
 */
export function parseApiUrl(input: string): ApiUrlResult {
  const text = withoutBlanks(input);
  if (text.length > MAX_CHARACTERS) return invalid(`longer than ${MAX_CHARACTERS} characters`);
  const hostile = hostileMark(text);
  if (hostile !== undefined) return { kind: 'forbidden', reason: hostile };
  const [, scheme = '', rest = ''] = /^(https?):\/\/([^/].*)$/i.exec(text) ?? [];
  if (scheme === '') return invalid(/^[a-z][a-z0-9+.-]*:/i.test(text) && !/^https?:/i.test(text) ? 'not an http or https URL' : 'not a URL');
  if (/[?#]/.test(rest)) return invalid('has a query or a fragment');
  const url = URL.parse(text);
  const host = url === null ? undefined : hostOf(url);
  if (url === null || host === undefined || url.port === '0') return invalid('not a URL');
  const path = withoutSlashes(rest.slice(rest.indexOf('/')));
  return rest.includes('/') ? withPath(url, host, path) : withPath(url, host, '');
}

/** Without blanks around it. Not by a pattern, which would follow each blank within the text: nobody has been let in yet (security class 9). */
function withoutBlanks(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text, start)) start++;
  while (start < end && isBlank(text, end - 1)) end--;
  return text.slice(start, end);
}

function isBlank(text: string, at: number): boolean {
  return text[at] === ' ' || text[at] === '\t';
}

function withPath(url: URL, host: string, path: string): ApiUrlResult {
  const at = `${path}/`.indexOf(`${API}/`);
  if (at !== -1 && at + API.length < path.length) return invalid('has text after /api/v4');
  const prefix = at === -1 ? path : withoutSlashes(path.slice(0, at));
  if (!/^(?:\/[\w.~-]+)*$/.test(prefix)) return invalid('has a path that no instance has');
  const scheme = url.protocol === 'http:' ? 'http' : 'https';
  const target: HostTarget = { scheme, host, port: url.port === '' ? (scheme === 'http' ? 80 : 443) : Number(url.port), prefix };
  return { kind: 'url', url: apiUrlOf(target) };
}

export function apiUrlOf(target: HostTarget): ApiUrl {
  const root = originOf(target) + target.prefix;
  return { canonical: root + API, root, target };
}

/**
 * A URL that was judged before, in any spelling.
 *
 * @throws `GitLabError` `invalid_request`
 */
export function knownApiUrl(text: string): ApiUrl {
  const parsed = parseApiUrl(text);
  if (parsed.kind === 'url') return parsed.url;
  throw new GitLabError('invalid_request', 'not the URL of a GitLab instance', { hint: 'Correct the URL; nothing was sent.' });
}

/** Why a URL was written by somebody who wants it to be read in two ways. */
function hostileMark(text: string): string | undefined {
  if (/\p{Cc}/u.test(text)) return 'control character';
  if (text.includes('\\')) return 'backslash';
  if (/%(?:2f|5c)/i.test(text)) return 'encoded slash';
  const rest = text.replace(/^[a-z][a-z0-9+.-]*:\/*/i, '');
  if (/^[^/?#]*@/.test(rest)) return 'user info';
  const [path = ''] = rest.split(/[?#]/);
  const segments = path.replace(/%2e/gi, '.').split('/').slice(1);
  return segments.includes('.') || segments.includes('..') ? 'dot segment' : undefined;
}

function invalid(reason: string): ApiUrlResult {
  return { kind: 'invalid', reason };
}
