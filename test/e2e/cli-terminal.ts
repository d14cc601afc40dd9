import { spawnSync } from 'node:child_process';
import { MAIN, type Rig, type Started, type StartOptions } from './cli-rig.ts';

/** Runs a command on a terminal of its own; a part of util-linux. */
const RECORDER = 'script';

/** Whether this machine can give a command a terminal (`script` of util-linux). */
export const HAS_TERMINALS = spawnSync(RECORDER, ['--version']).status === 0;

export interface TerminalOptions extends Omit<StartOptions, 'command' | 'open' | 'input'> {
  readonly columns?: number;
  readonly rows?: number;
}

/** Starts the command line on a terminal of its own. What is written to its standard input are key presses. */
export function inTerminal(rig: Rig, args: readonly string[], { columns = 110, rows = 30, ...options }: TerminalOptions = {}): Started {
  const line = [process.execPath, MAIN, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return rig.start(['-qec', `stty cols ${columns} rows ${rows}; exec ${line}`, '/dev/null'], { ...options, command: [RECORDER], open: true });
}

/** Text without control sequences. */
export function withoutControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control sequences are what is taken out.
  return text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replaceAll('\r', '');
}

/** What the screen shows after the last redraw, by lines. */
export function lastFrame(text: string): string[] {
  const drawn = text.split('\u001b[H').slice(1);
  return withoutControls(drawn.at(-1) ?? '').split('\n');
}
