/**
 * Characters that a person does not see and a model reads (security class 14). Code point ranges instead of a
 * regular expression, so that no source file contains one of them.
 */
const HIDDEN_RANGES: readonly (readonly [number, number])[] = [
  // C0 and C1 controls and DEL; tab, line feed and carriage return are taken out below where text may have lines.
  [0x00, 0x1f],
  [0x7f, 0x9f],
  // Zero width and invisible: soft hyphen, grapheme joiner, Hangul fillers, Mongolian vowel separator.
  [0xad, 0xad],
  [0x034f, 0x034f],
  [0x115f, 0x1160],
  [0x180e, 0x180e],
  [0x200b, 0x200d],
  [0x2060, 0x2065],
  [0x206a, 0x206f],
  [0x3164, 0x3164],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff9, 0xfffb],
  // Bidirectional marks, embeddings, overrides, isolates.
  [0x061c, 0x061c],
  [0x200e, 0x200f],
  [0x202a, 0x202e],
  [0x2066, 0x2069],
  // Tags and the variation selectors that smuggle bytes like tags.
  [0xe0000, 0xe01ef],
];

/** Tab, line feed, carriage return. */
const BLANKS: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0d]);

function isHidden(point: number): boolean {
  // Printable ASCII is nearly everything.
  if (point >= 0x20 && point < 0x7f) return false;
  return HIDDEN_RANGES.some(([from, to]) => from <= point && point <= to);
}

/** Whether a name holds a hidden character; line ends and tabs count. */
export function hidesInName(name: string): boolean {
  for (const char of name) if (isHidden(char.codePointAt(0) ?? 0)) return true;
  return false;
}

/** Whether a text holds a hidden character; line ends and tabs do not count. */
export function hidesInText(text: string): boolean {
  for (const char of text) {
    const point = char.codePointAt(0) ?? 0;
    if (isHidden(point) && !BLANKS.has(point)) return true;
  }
  return false;
}

/** The text without its hidden characters; line ends and tabs stay. */
export function cutHidden(text: string): string {
  return [...text].filter((char) => !hidesInText(char)).join('');
}

/** A text for logs and findings: hidden characters as `\u{200b}`. */
export function showHidden(text: string): string {
  return [...text].map((char) => (hidesInName(char) ? `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}` : char)).join('');
}

/** Phrases that address the model instead of describing a tool; compared in lower case. */
const MARKS: readonly string[] = [
  '<!--',
  '<important',
  '<system',
  '<instruction',
  '<secret',
  'ignore previous',
  'ignore all previous',
  'ignore the previous',
  'ignore prior',
  'disregard previous',
  'disregard all previous',
  'do not tell the user',
  "don't tell the user",
  'do not mention this',
];

/** The first instruction-like mark in a text, if any. */
export function instructionMark(text: string): string | undefined {
  const lower = text.toLowerCase();
  return MARKS.find((mark) => lower.includes(mark));
}
