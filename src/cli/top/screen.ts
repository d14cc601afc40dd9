import type { Output, Surroundings } from '../surroundings.ts';

/** Control sequences of a terminal (ECMA-48, and the alternate screen of xterm). */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
/** What a terminal in raw mode sends for Ctrl-C. */
const INTERRUPT = '\u0003';

/** A stream of key presses, where standard input is a terminal. */
interface Keys {
  setRawMode(raw: boolean): unknown;
  on(event: 'data', listener: (chunk: Buffer | string) => void): unknown;
  off(event: 'data', listener: (chunk: Buffer | string) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

export interface ScreenSize {
  readonly width: number;
  readonly rows: number;
}

/** The whole terminal, until it is disposed of: then it shows again what it showed before. */
export class Screen implements Disposable {
  readonly #output: Output;
  readonly #keys: Keys | undefined;
  readonly #onKey: (chunk: Buffer | string) => void;
  readonly #listeners: (() => void)[] = [];

  /** @param end called when somebody presses q or Ctrl-C */
  constructor({ stdout, stdin }: Pick<Surroundings, 'stdout' | 'stdin'>, end: () => void) {
    this.#output = stdout;
    this.#keys = hasKeys(stdin) ? stdin : undefined;
    this.#onKey = (chunk) => {
      const text = chunk.toString();
      if (text.includes('q') || text.includes(INTERRUPT)) end();
    };
    stdout.write(ENTER);
    this.#keys?.setRawMode(true);
    this.#keys?.on('data', this.#onKey);
    this.#keys?.resume();
  }

  /** Replaces what is shown. The last line says how to end it. */
  draw(lines: (size: ScreenSize) => readonly string[]): void {
    const width = this.#output.columns || 80;
    const rows = Math.max(3, this.#output.rows || 24);
    const shown = lines({ width, rows: rows - 2 });
    const text = [...shown, '', 'q ends it'].slice(0, rows).map((line) => `${line}${CLEAR_LINE}`);
    this.#output.write(`${HOME}${text.join('\r\n')}${CLEAR_BELOW}`);
  }

  onResize(listener: () => void): void {
    this.#output.on('resize', listener);
    this.#listeners.push(listener);
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners) this.#output.off('resize', listener);
    this.#keys?.off('data', this.#onKey);
    this.#keys?.setRawMode(false);
    this.#keys?.pause();
    this.#output.write(LEAVE);
  }
}

function hasKeys(input: object): input is Keys {
  return 'isTTY' in input && input.isTTY === true && 'setRawMode' in input && typeof input.setRawMode === 'function';
}
