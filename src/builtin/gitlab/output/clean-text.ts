/**
 * Takes out of foreign text what a person does not see and a terminal or a model obeys (gitlab.md 4, "Untrusted text"):
 * ANSI sequences, control characters except newline and tab, bidirectional controls, tag characters.
 */

/** CSI, terminated strings (OSC, DCS, SOS, PM, APC), and whatever else an escape begins. A string ends at the next escape of any kind, so the whole is linear. */
const ANSI =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u0080-\u009f]*(?:\u0007|\u001b\\|\u009c)|\u001b[ -/]*[0-~]?/g;
/** C0 but newline and tab, DEL, C1; bidirectional marks, embeddings, overrides, isolates; tags and the selectors that smuggle like them. */
const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e01ef}]/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const SUSPECT = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]/;

/** The text without hidden characters; CRLF becomes a newline, lone surrogates U+FFFD. Cleaning twice changes nothing. */
export function cleanText(text: string): string {
  if (!SUSPECT.test(text)) return text;
  return text.toWellFormed().replace(ANSI, '').replace(HIDDEN, '');
}

/** The text as one line of at most `max` characters, for questions, headings and messages. */
export function cleanLine(text: string, max = 200): string {
  const line = cleanText(text).replace(/\s+/g, ' ').trim();
  return line.length > max ? `${line.slice(0, max - 1).toWellFormed()}…` : line;
}
