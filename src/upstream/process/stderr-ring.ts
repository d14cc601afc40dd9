import { MASK, type Secret } from '../../core/secret.ts';

/** How much of what a child said is kept for the message about its failure, in bytes. */
export const STDERR_KEPT_BYTES = 16 * 1024;
/** Longer lines are cut into pieces of this many bytes. */
const MAX_LINE_BYTES = 4 * 1024;
/** Shorter pieces of secrets are not masked: they would blot out ordinary text. */
const SHORTEST_MASKED = 6;

const NEWLINE = 0x0a;
const RETURN = 0x0d;

export interface StderrOptions {
  /** Bytes kept; the oldest lines go first. */
  readonly maxBytes?: number;
  /** Secrets the child was given: masked where it prints them. */
  readonly secrets?: readonly Secret[];
  /** Every line, made harmless, for the log. */
  readonly onLine?: (line: string) => void;
}

/** The last that a child wrote to its standard error, safe to print on a terminal and in a log. */
export class StderrRing {
  readonly #maxBytes: number;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #secrets: readonly Secret[];
  readonly #lines: { readonly text: string; readonly bytes: number }[] = [];
  #bytes = 0;
  #pending: Buffer = Buffer.alloc(0);

  constructor({ maxBytes = STDERR_KEPT_BYTES, secrets = [], onLine }: StderrOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#secrets = secrets;
    this.#onLine = onLine;
  }

  /** Bytes kept now, the line in progress included. */
  get retainedBytes(): number {
    return this.#bytes + this.#pending.length;
  }

  push(chunk: Buffer): void {
    // The pending part is shorter than a line may be, so this copy is bounded by the chunk.
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let start = 0;
    for (let at = this.#pending.length; at < bytes.length; at++) {
      const byte = bytes[at];
      const ends = byte === NEWLINE || byte === RETURN;
      if (ends || at - start >= MAX_LINE_BYTES) {
        this.#add(bytes.subarray(start, at));
        start = ends ? at + 1 : at;
      }
    }
    this.#pending = Buffer.from(bytes.subarray(start));
  }

  /** The stream ended: what stands without a newline is a line, too. */
  end(): void {
    this.#add(this.#pending);
    this.#pending = Buffer.alloc(0);
  }

  /** The kept lines, oldest first, the unfinished one included; with `lines`, only the last so many. */
  tail(lines = Number.POSITIVE_INFINITY): string {
    const kept = this.#lines.map((line) => line.text);
    const last = this.#clean(this.#pending);
    if (last !== '') kept.push(last);
    return kept.slice(Math.max(0, kept.length - lines)).join('\n');
  }

  #add(line: Buffer): void {
    const text = this.#clean(line);
    if (text === '') return;
    const bytes = Buffer.byteLength(text) + 1;
    this.#lines.push({ text, bytes });
    this.#bytes += bytes;
    let drop = 0;
    for (; this.#bytes > this.#maxBytes && drop < this.#lines.length; drop++) this.#bytes -= this.#lines[drop]?.bytes ?? 0;
    if (drop > 0) this.#lines.splice(0, drop);
    this.#onLine?.(text);
  }

  #clean(line: Buffer): string {
    return harmless(this.#mask(line.toString('utf8'))).trimEnd();
  }

  #mask(text: string): string {
    let masked = text;
    for (const secret of this.#secrets) {
      // Secrets of several lines (keys in PEM form) are printed line by line.
      for (const part of secret.reveal().split(/[\r\n]+/)) {
        if (part.length >= SHORTEST_MASKED) masked = masked.replaceAll(part, MASK);
      }
    }
    return masked;
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const COLOURS = /\x1b\[[0-9;]*m/g;
/** Control characters, line and paragraph separators, and marks that reorder or hide text, but not the tab. */
const CONTROLS = /[^\P{Cc}\t]|[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** The text with colours removed and every other control character written out, so that it cannot forge or hide anything. */
export function harmless(text: string): string {
  return text.replace(COLOURS, '').replace(CONTROLS, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
