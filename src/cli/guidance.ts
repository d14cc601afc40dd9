import { type Command, CommanderError } from 'commander';
import { nearest } from '../config/nearest.ts';
import { EXIT } from './exit-code.ts';
import type { Surroundings } from './surroundings.ts';

/** Words that people know from other programs, and the command that does it here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  add: 'init',
  config: 'check',
  configure: 'init',
  create: 'init',
  describe: 'explain',
  exec: 'call',
  import: 'init',
  lint: 'check',
  ls: 'list',
  monitor: 'top',
  new: 'init',
  invoke: 'call',
  ps: 'top',
  run: 'serve',
  setup: 'init',
  start: 'serve',
  stats: 'top',
  status: 'top',
  stdio: 'serve --stdio',
  tools: 'list',
  up: 'serve',
  validate: 'check',
  verify: 'check',
  watch: 'top',
  which: 'explain',
  why: 'explain',
};
const CONFIGURATION = /\.(ya?ml|json)$/i;

/** Makes an unknown command name the one that was meant. */
export function addGuidance(program: Command, { stderr }: Surroundings): void {
  program.configureOutput({ outputError: (message, write) => write(withCommand(message, program)) });
  program.on('command:*', ([given = '']: string[]) => {
    const names = program
      .createHelp()
      .visibleCommands(program)
      .map((command) => command.name());
    // Nothing that a terminal takes for a command.
    const shown = JSON.stringify(given).slice(1, -1).slice(0, 80);
    const hint = hintFor(shown, names);
    stderr.write(
      `error: unknown command '${shown}'\n${hint === undefined ? '' : `(Did you mean ${hint}?)\n`}(turnpike --help lists commands and flags)\n`,
    );
    throw new CommanderError(EXIT.usage, 'commander.unknownCommand', `unknown command '${shown}'`);
  });
}

/** Flags belong to commands: whoever gives one alone is told the first command that has it. */
function withCommand(message: string, program: Command): string {
  const flag = /unknown option '(--[a-z-]+)/.exec(message)?.[1];
  const help = program.createHelp();
  const command = help.visibleCommands(program).find((one) => help.visibleOptions(one).some(({ long }) => long === flag));
  return flag === undefined || command === undefined
    ? message
    : `error: '${flag}' is a flag of a command\n(Did you mean ${command.name()} ${flag}?)\n`;
}

function hintFor(given: string, names: readonly string[]): string | undefined {
  if (CONFIGURATION.test(given)) return `serve --config ${given}`;
  const known = nearest(given, names);
  if (known !== undefined) return known;
  const word = given.toLowerCase();
  if (Object.hasOwn(ELSEWHERE, word)) return ELSEWHERE[word];
  // The name of a tool: what is called is missing.
  return /^x_.+_/.test(given) ? `call ${given}` : undefined;
}
