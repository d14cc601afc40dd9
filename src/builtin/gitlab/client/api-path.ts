import { GitLabError } from './gitlab-error.ts';

/** A part of a path that is encoded already. */
export class EncodedPart {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type PathPart = string | number | EncodedPart;

/**
 * Path of an API request: the template is taken as it stands, each value becomes one encoded part, so that `feature/x` is
 * `feature%2Fx`. Numbers must be whole and not negative.
 *
 * @example apiPath`/projects/${projectOrGroup(id)}/repository/branches/${branch}`
 * @throws `GitLabError` `invalid_request` for empty values, `.` and `..` segments, control characters (gitlab.md section 3)
 */
export function apiPath(texts: TemplateStringsArray, ...parts: readonly PathPart[]): string {
  let path = texts[0] ?? '';
  for (const [index, part] of parts.entries()) path += encodedPart(part) + (texts[index + 1] ?? '');
  return path;
}

/**
 * A project or a group as callers write it: a numeric id, `group/app`, or `group%2Fapp`.
 *
 * @throws `GitLabError` `invalid_request`, as `apiPath`
 */
export function projectOrGroup(value: string | number): EncodedPart {
  if (typeof value === 'number') return new EncodedPart(encodedPart(value));
  const path = value.replace(/%2f/gi, '/');
  if (path.split('/').includes('')) throw refused('has an empty part');
  return new EncodedPart(encodedPart(path));
}

const CONTROL = /\p{Cc}/u;

function encodedPart(part: PathPart): string {
  if (part instanceof EncodedPart) return part.text;
  if (typeof part === 'number') {
    if (!Number.isSafeInteger(part) || part < 0) throw refused('is not a whole number');
    return String(part);
  }
  if (part.trim() === '') throw refused('is empty');
  if (CONTROL.test(part)) throw refused('has a control character');
  if (hasDotSegment(part)) throw refused('has a . or .. segment');
  if (!part.isWellFormed()) throw refused('is not valid text');
  return encodeURIComponent(part);
}

/** Whether a segment is `.` or `..`, also where a server might decode it once or twice more, or take `\` for `/`. */
function hasDotSegment(part: string): boolean {
  const plain = part.replace(/%(?:25)*2e/gi, '.').replace(/%(?:25)*(?:2f|5c)/gi, '/');
  return plain.split(/[/\\]/).some((segment) => segment === '.' || segment === '..');
}

/** A path as `apiPath` makes them: encoded parts, none of them empty, `.` or `..`. */
export function isApiPath(path: string): boolean {
  return /^(?:\/(?:[\w.~!$&'()*+,;=:@-]|%[0-9a-f]{2})+)+$/i.test(path) && !hasDotSegment(path);
}

function refused(what: string): GitLabError {
  return new GitLabError('invalid_request', `a part of the path ${what}`, { hint: 'Correct the id, name or path; nothing was sent.' });
}
