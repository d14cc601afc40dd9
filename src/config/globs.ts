/** Longest pattern that is accepted, in characters (security class 9). */
const MAX_PATTERN = 200;

/** What is wrong with a pattern of `*`, `?` and `[a-z]` (aggregator.md 4), if anything. Linear, whatever the pattern. */
export function globProblem(pattern: string): string | undefined {
  const characters = [...pattern];
  if (characters.length > MAX_PATTERN) return `is longer than ${MAX_PATTERN} characters`;
  for (let at = 0; at < characters.length; at++) {
    if (characters[at] !== '[') continue;
    const end = characters.indexOf(']', at + 1);
    if (end === -1) return 'has a [ without its ]';
    if (end === at + 1) return 'has an empty []';
    if (characters[at + 1] === '!' || characters[at + 1] === '^') return 'has a negated [], which is not supported';
    for (let dash = at + 2; dash + 1 < end; dash++) {
      if (characters[dash] !== '-') continue;
      if (pointOf(characters[dash - 1]) > pointOf(characters[dash + 1])) return 'has a range that runs backwards';
      dash += 2;
    }
    at = end;
  }
  return undefined;
}

function pointOf(character: string | undefined): number {
  return character?.codePointAt(0) ?? 0;
}
