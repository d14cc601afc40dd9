import { MASK } from '../../core/secret.ts';

/** Characters of an upstream's error body that are shown (security class 25). */
const SHOWN = 500;
/** Characters that are looked at: masking comes before cutting, so that no cut leaves half a token. */
const READ = 4096;
/** Shorter values are no secrets, and looking for them would blot out ordinary words. */
const SHORTEST = 4;

/** Controls, and characters that change how the text around them looks (security class 14). */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu;
const URL_LIKE = /\bhttps?:\/\/[^\s"'<>]+/gi;
const SCHEME = /\b(Bearer|Basic|Negotiate|Digest)\s+[\w.~+/=-]+/gi;
const JWT = /\beyJ[\w-]{4,}(?:\.[\w-]*)*/g;
const PREFIXED = /\b(?:gl[a-z]{2,6}|gh[a-z]|github_pat|sk|pk|rk|xox[a-z]|npm|hf|ya29|AKIA|ASIA)[-_.]?[A-Za-z0-9][\w-]{11,}/g;
const NAMED =
  /\b((?:[\w-]{0,40}(?:api[_-]?key|token|secret|passw(?:or)?d|credential|authorization|cookie|session[_-]?id))["']?\s{0,4}[:=]\s{0,4}["']?)[^\s"',;&}]+/gi;
const OPAQUE = /[A-Za-z0-9+/_=-]{32,}/g;

/**
 * What may be shown of a foreign error body: one line, at most 500 characters, without what looks like a credential and
 * without the values that we sent.
 *
 * @param secrets values of ours that the upstream may have echoed
 */
export function maskText(text: string, secrets: readonly string[]): string {
  let masked = text.slice(0, READ).replace(INVISIBLE, ' ').trim();
  for (const secret of secrets) if (secret.length >= SHORTEST) masked = masked.replaceAll(secret, MASK);
  masked = masked
    .replace(URL_LIKE, bareUrl)
    .replace(SCHEME, `$1 ${MASK}`)
    .replace(NAMED, `$1${MASK}`)
    .replace(JWT, MASK)
    .replace(PREFIXED, MASK)
    .replace(OPAQUE, (run) => (/\d/.test(run) && /[A-Za-z]/.test(run) ? MASK : run));
  return masked.length > SHOWN ? `${masked.slice(0, SHOWN)}…` : masked;
}

/** A URL without user info, query and fragment. */
function bareUrl(text: string): string {
  const end = text.search(/[?#]/);
  const cut = end === -1 ? text : text.slice(0, end);
  const authority = cut.indexOf('//') + 2;
  const at = cut.lastIndexOf('@');
  return at === -1 ? cut : cut.slice(0, authority) + cut.slice(at + 1);
}

/** The texts under which a header value may come back: all of it, and what follows its scheme. */
export function echoesOf(value: string): string[] {
  const blank = value.indexOf(' ');
  return blank === -1 ? [value] : [value, value.slice(blank + 1)];
}
