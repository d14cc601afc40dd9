import type { CommandWords, Values } from './vocabulary.ts';

/** The completion of fish: `turnpike completion fish | source`. */
export function fishCompletion(commands: readonly CommandWords[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  const lines = ['# Completion of turnpike for fish: turnpike completion fish | source', 'complete -c turnpike -f'];
  for (const { name, description, flags, values } of commands) {
    const here = `complete -c turnpike -n '__fish_seen_subcommand_from ${name}'`;
    lines.push(`complete -c turnpike -n 'not __fish_seen_subcommand_from ${names}' -a ${name} -d ${quoted(description)}`);
    for (const flag of flags) lines.push(`${here} -l ${flag.name.slice(2)}${ofFlag(flag.values)} -d ${quoted(flag.description)}`);
    if (values === 'file') lines.push(`${here} -F`);
    else if (values !== undefined && values !== 'any') lines.push(`${here} -a ${quoted(values.join(' '))}`);
  }
  return `${lines.join('\n')}\n`;
}

function ofFlag(values: Values | undefined): string {
  if (values === undefined) return '';
  if (values === 'file') return ' -r -F';
  return values === 'any' ? ' -x' : ` -x -a ${quoted(values.join(' '))}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
