/** Not within a word; behind an escape, as of a line in JSON (`\n`) or of a character in a URL (`%3D`), a word begins. As a pattern. */
export const WORD_START = String.raw`(?<!(?<!\\|%[0-9A-Fa-f]|\\u[0-9A-Fa-f]{3})[A-Za-z0-9])`;
const STARTS = new RegExp(`${WORD_START}$`);
/** Characters before a word that say whether it begins. */
const LOOKED_BACK = 6;
/** What JSON that begins with a name looks like in base64url. */
const HEAD = 'eyJ';
/** Characters of the shortest first part, and points, behind which a further part may be empty. */
const MIN_HEAD = 11;
const MIN_POINTS = 2;
const MAX_POINTS = 4;

/**
 * The text with something else for each JWT (RFC 7519) and JWE in it. Not by a pattern: one would follow each beginning within a long
 * word to its end again (security class 9), or run out of stack on the way.
 */
export function withoutJwts(text: string, replace: () => string): string {
  const parts: string[] = [];
  let copied = 0;
  for (let at = text.indexOf(HEAD); at !== -1; ) {
    const isStart = STARTS.test(text.slice(Math.max(0, at - LOOKED_BACK), at));
    // Who fails here fails at every beginning within the same word.
    let next = isStart ? wordEnd(text, at) : at + HEAD.length;
    const end = isStart && next - at >= MIN_HEAD ? partsEnd(text, next) : -1;
    if (end !== -1) {
      parts.push(text.slice(copied, at), replace());
      copied = end;
      next = end;
    }
    at = text.indexOf(HEAD, next);
  }
  return parts.length === 0 ? text : parts.join('') + text.slice(copied);
}

/** Where the parts behind the first one end; -1 when there are too few. */
function partsEnd(text: string, from: number): number {
  let end = from;
  let points = 0;
  while (points < MAX_POINTS && text[end] === '.') {
    points++;
    end = wordEnd(text, end + 1);
  }
  return points < MIN_POINTS ? -1 : end;
}

/** Where the characters of base64url end. */
function wordEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && isOfWord(text.charCodeAt(end))) end++;
  return end;
}

function isOfWord(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f;
}
