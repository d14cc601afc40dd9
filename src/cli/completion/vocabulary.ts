import type { Argument, Command, Option } from 'commander';

/** What may follow a flag or stand for an argument: a file, one of some words, or anything. */
export type Values = 'file' | 'any' | readonly string[];

export interface Flag {
  /** `--config`. */
  readonly name: string;
  readonly description: string;
  /** Absent: it takes no value. */
  readonly values?: Values;
}

export interface CommandWords {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly Flag[];
  /** Of its first argument; absent: it takes none. */
  readonly values?: Values;
}

/** Everything that can be completed, from the commands themselves. */
export function vocabularyOf(program: Command): readonly CommandWords[] {
  const help = program.createHelp();
  const commands = help.visibleCommands(program);
  const names = commands.map((command) => command.name());
  return commands.map((command) => {
    const isHelp = command.name() === 'help';
    const [argument] = command.registeredArguments;
    const values = isHelp ? names : argument && valuesOf(argument);
    return {
      name: command.name(),
      description: command.description(),
      flags: help.visibleOptions(command).flatMap(flagOf),
      ...(values === undefined ? {} : { values }),
    };
  });
}

function flagOf(option: Option): Flag[] {
  const { long, description } = option;
  if (long === undefined || long === null) return [];
  return [{ name: long, description: firstSentence(description), ...(option.required ? { values: valuesOf(option) } : {}) }];
}

function valuesOf(one: Option | Argument): Values {
  if (one.argChoices !== undefined) return one.argChoices;
  const term = 'flags' in one ? one.flags : one.name();
  return /file/i.test(term) ? 'file' : 'any';
}

/** Menus have one line for each. */
function firstSentence(text: string): string {
  return (text.split(/\.(\s|$)|;/, 1)[0] ?? '').replaceAll(/[`\n]/g, '');
}
