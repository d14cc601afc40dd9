import type { Output } from './surroundings.ts';

/** Control characters but line feed and tab: in foreign text they would reach the terminal as commands (security class 14). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Foreign text as it may be written to `output`: as it is to a file or pipe, without control characters to a terminal. */
export function printable(text: string, output: Output): string {
  return output.isTTY === true ? text.replaceAll('\r\n', '\n').replace(CONTROL, '\ufffd') : text;
}

/** Rows as columns that are as wide as their widest cell; the last one is cut at `width`. */
export function columns(rows: readonly (readonly string[])[], width: number): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => {
    const line = row.map((cell, column) => (column === count - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  ');
    return (line.length > width ? `${line.slice(0, width - 1)}…` : line).trimEnd();
  });
}

/** The first line of a text that says something. */
export function firstLine(text: string): string {
  return (
    text
      .split(/[\r\n]/)
      .map((line) => line.trim())
      .find((line) => line !== '') ?? ''
  );
}
