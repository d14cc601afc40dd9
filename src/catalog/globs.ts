import { err, ok, type Result } from '../core/result.ts';

/** Longest pattern that is accepted, in characters (security class 9). */
export const MAX_GLOB_LENGTH = 200;

type Token = { readonly kind: 'char'; readonly char: string } | { readonly kind: 'one' } | { readonly kind: 'many' } | ClassToken;

interface ClassToken {
  readonly kind: 'class';
  /** Pairs of code points, both ends included. */
  readonly ranges: readonly (readonly [number, number])[];
}

/** A compiled pattern of `*` (any text), `?` (one character) and `[a-z]` (one of these); case matters. */
export interface Glob {
  readonly pattern: string;
  matches(text: string): boolean;
}

/**
 * Compiles a pattern (aggregator.md section 4). Matching takes at most |pattern| × |text| steps: no pattern is ever
 * made into a regular expression, so none can backtrack (security class 9).
 *
 * Refused: more than 200 characters, an unclosed or empty `[…]`, a range that runs backwards, and the negations
 * `[!…]` and `[^…]`, which other tools read in two ways.
 */
export function compileGlob(pattern: string): Result<Glob, string> {
  const chars = [...pattern];
  if (chars.length > MAX_GLOB_LENGTH) return err(`Invalid pattern "${chars.slice(0, 40).join('')}…": longer than ${MAX_GLOB_LENGTH} characters`);
  const tokens: Token[] = [];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] as string;
    if (char === '*') {
      if (tokens.at(-1)?.kind !== 'many') tokens.push({ kind: 'many' });
    } else if (char === '?') tokens.push({ kind: 'one' });
    else if (char === '[') {
      const end = chars.indexOf(']', at + 1);
      const token = end === -1 ? undefined : classOf(chars.slice(at + 1, end));
      if (token === undefined) return err(`Invalid pattern "${pattern}"`);
      tokens.push(token);
      at = end;
    } else tokens.push({ kind: 'char', char });
  }
  return ok({ pattern, matches: (text) => matchTokens(tokens, text) });
}

function classOf(body: readonly string[]): ClassToken | undefined {
  if (body.length === 0 || body[0] === '!' || body[0] === '^') return undefined;
  const ranges: [number, number][] = [];
  for (let at = 0; at < body.length; at++) {
    const from = codePoint(body[at]);
    const isRange = body[at + 1] === '-' && at + 2 < body.length;
    const to = isRange ? codePoint(body[at + 2]) : from;
    if (to < from) return undefined;
    ranges.push([from, to]);
    if (isRange) at += 2;
  }
  return { kind: 'class', ranges };
}

function codePoint(char: string | undefined): number {
  return char?.codePointAt(0) ?? 0;
}

/** Greedy matching that returns to the last `*` only: since `*` takes anything, an earlier one never helps. */
function matchTokens(tokens: readonly Token[], text: string): boolean {
  const chars = [...text];
  let token = 0;
  let at = 0;
  let star = -1;
  let starAt = 0;
  while (at < chars.length) {
    const current = tokens[token];
    if (current?.kind === 'many') {
      star = token++;
      starAt = at;
    } else if (current !== undefined && accepts(current, chars[at] as string)) {
      token++;
      at++;
    } else if (star !== -1) {
      token = star + 1;
      at = ++starAt;
    } else return false;
  }
  while (tokens[token]?.kind === 'many') token++;
  return token === tokens.length;
}

function accepts(token: Token, char: string): boolean {
  if (token.kind === 'char') return token.char === char;
  if (token.kind !== 'class') return true;
  const point = codePoint(char);
  return token.ranges.some(([from, to]) => from <= point && point <= to);
}
