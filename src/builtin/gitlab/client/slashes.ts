/** A text without slashes at its end. Not by a pattern, which would follow each slash within the text (security class 9). */
export function withoutSlashes(text: string): string {
  let end = text.length;
  while (text[end - 1] === '/') end--;
  return text.slice(0, end);
}
