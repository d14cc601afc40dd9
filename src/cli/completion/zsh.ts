import type { CommandWords, Values } from './vocabulary.ts';

/** The completion of zsh: read by the shell, or a file `_turnpike` in its `fpath`. */
export function zshCompletion(commands: readonly CommandWords[]): string {
  const described = commands.map(({ name, description }) => `        ${quoted(`${name}:${description.replaceAll(':', '\\:')}`)}\n`);
  const ofCommands = commands.map(({ name, flags, values }) => {
    const specs = [
      ...flags.map((flag) => quoted(`${flag.name}${flag.values === undefined ? '' : '='}[${escaped(flag.description)}]${after(flag.values)}`)),
      ...(values === undefined ? [] : [quoted(`1${after(values)}`)]),
    ];
    return `        ${name}) _arguments ${specs.map((spec) => `\\\n          ${spec}`).join(' ')} ;;\n`;
  });
  return `#compdef turnpike
# Completion of turnpike for zsh: source <(turnpike completion zsh), after compinit.
_turnpike() {
  local context state state_descr line
  typeset -A opt_args
  local -a commands
  _arguments -C '(- *)--help[show the help]' '(- *)--version[print the version]' '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      commands=(
${described.join('')}      )
      _describe command commands ;;
    argument)
      case $line[1] in
${ofCommands.join('')}      esac ;;
  esac
}
if [[ $funcstack[1] == _turnpike ]]; then _turnpike "$@"; else compdef _turnpike turnpike; fi
`;
}

function after(values: Values | undefined): string {
  if (values === undefined) return '';
  if (values === 'file') return ':file:_files';
  return values === 'any' ? ':value:' : `:value:(${values.join(' ')})`;
}

function escaped(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, '\\$&');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
