import { type Command, CommanderError } from 'commander';
import { EXIT, type ExitCode } from './exit-code.ts';
import { problemText } from './problem.ts';
import type { Surroundings } from './surroundings.ts';

/** What the chosen command ended in. */
export interface RunState {
  code: ExitCode;
}

/** Parses arguments, runs the command they name, and says how it ended. Never throws. */
export async function runProgram(build: (state: RunState) => Command, args: readonly string[], around: Surroundings): Promise<ExitCode> {
  const state: RunState = { code: EXIT.done };
  try {
    await build(state).parseAsync([...args], { from: 'user' });
    return state.code;
  } catch (error) {
    // Help and version are done by the parser, which has written them already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    around.stderr.write(`turnpike: ${problemText(error)}\n`);
    return EXIT.failed;
  }
}
