import type { Command } from 'commander';
import { bashCompletion } from './bash.ts';
import { fishCompletion } from './fish.ts';
import { type CommandWords, vocabularyOf } from './vocabulary.ts';
import { zshCompletion } from './zsh.ts';

const SCRIPTS = new Map<string, (commands: readonly CommandWords[]) => string>([
  ['bash', bashCompletion],
  ['zsh', zshCompletion],
  ['fish', fishCompletion],
]);

/** The script that makes a shell complete commands, flags and files. Throws for a shell that is none of bash, zsh and fish. */
export function completionScript(shell: string, program: Command): string {
  const script = SCRIPTS.get(shell);
  if (script === undefined) throw new TypeError(`no completion for ${shell}`);
  return script(vocabularyOf(program));
}
