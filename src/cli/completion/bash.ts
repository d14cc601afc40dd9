import type { CommandWords, Values } from './vocabulary.ts';

/** The completion of bash 3.2 and newer, to be read by the shell: `source <(turnpike completion bash)`. */
export function bashCompletion(commands: readonly CommandWords[]): string {
  const names = commands.map(({ name }) => name);
  const ofCommands = commands.map(({ name, flags, values }) => {
    const after = flags.flatMap((flag) => (flag.values === undefined ? [] : [`        ${flag.name}) ${answer(flag.values)}; return ;;\n`]));
    return `    ${name})
${after.length === 0 ? '' : `      case $previous in\n${after.join('')}      esac\n`}      flags='${flags.map((flag) => flag.name).join(' ')}'
      ${values === undefined ? ':' : `if [[ $current != -* ]]; then ${answer(values)}; return; fi`} ;;
`;
  });
  return `# Completion of turnpike for bash: source <(turnpike completion bash)
_turnpike_words() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(printf '%s\\n' "$@")" -- "$current"))
}
_turnpike_files() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$current"))
}
_turnpike() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command='' flags='' index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case \${COMP_WORDS[index]} in
      ${names.join('|')}) command=\${COMP_WORDS[index]}; break ;;
    esac
  done
  case $command in
    '') _turnpike_words ${names.join(' ')} --help --version; return ;;
${ofCommands.join('')}  esac
  _turnpike_words $flags
}
complete -F _turnpike turnpike
`;
}

function answer(values: Values): string {
  if (values === 'file') return '_turnpike_files';
  return values === 'any' ? 'COMPREPLY=()' : `_turnpike_words ${values.join(' ')}`;
}
