import { Command, Option } from 'commander';
import { packageVersion } from '../version.ts';
import { EXIT_HELP } from './exit-code.ts';
import { addClientFlags, addConfigFlags, type ClientFlags, givenFlags, withClient } from './flags.ts';
import { GITLAB_HELP } from './gitlab/help.ts';
import { flagOf, VARIABLES } from './gitlab/variables.ts';
import { addGuidance } from './guidance.ts';
import { addCompletion, addExplain, addInit, addTop } from './people.ts';
import type { RunState } from './run.ts';
import type { Surroundings } from './surroundings.ts';

/** The command line: what it takes, and which module does it. Modules are loaded when their command runs. */
export function buildProgram(around: Surroundings, state: RunState): Command {
  const program = new Command('turnpike')
    .description('One MCP endpoint in front of many MCP servers.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpCommand('help [command]', 'show the help of a command')
    .showHelpAfterError('(turnpike --help lists commands and flags)')
    .addHelpText('after', `\n${EXIT_HELP}`)
    .configureOutput({ writeOut: (text) => void around.stdout.write(text), writeErr: (text) => void around.stderr.write(text) })
    .exitOverride();
  // Subcommands inherit output and exit handling when they are made by `command`.
  addInit(program, around, state);
  addServe(program, around, state);
  addCheck(program, around, state);
  addExplain(program, around, state);
  addList(program, around, state);
  addCall(program, around, state);
  addTop(program, around, state);
  addGitlab(program, around, state);
  addCompletion(program, around);
  program
    .command('version')
    .description('print the version')
    .action(() => void around.stdout.write(`${packageVersion()}\n`));
  program
    .command('conformance-client', { hidden: true })
    .description("drive Turnpike's upstream client against the test server of the MCP conformance suite")
    .argument('<url>', 'the test server')
    .action(async (url: string) => {
      const { conformanceClient } = await import('./conformance-client.ts');
      state.code = await conformanceClient(url, around);
    });
  addGuidance(program, around);
  return program;
}

function addServe(program: Command, around: Surroundings, state: RunState): void {
  const command = program
    .command('serve')
    .description('run the gateway')
    .option('--config <file>', 'the configuration; default: TURNPIKE_CONFIG, or turnpike.yaml here if there is one')
    .option('--stdio', 'serve MCP on standard input and output in place of HTTP')
    .addHelpText('after', `\n${EXIT_HELP}`);
  const flags = addConfigFlags(command);
  command.action(async (options: { config?: string; stdio?: boolean }) => {
    const { serve } = await import('./serve.ts');
    const { config, stdio = false } = options;
    state.code = await serve({ ...(config === undefined ? {} : { file: config }), stdio, flags: givenFlags(command, flags) }, around);
  });
}

function addGitlab(program: Command, around: Surroundings, state: RunState): void {
  const command = program
    .command('gitlab')
    .description('run the built-in GitLab server by itself, set up by the variables of the servers that it replaces')
    .addOption(new Option('--transport <name>', 'as STREAMABLE_HTTP').choices(['stdio', 'streamable-http']))
    .addHelpText('after', `\n${GITLAB_HELP}\n\n${EXIT_HELP}`);
  for (const { name, kind, about } of VARIABLES) if (kind !== 'secret') command.option(`${flagOf(name)} <value>`, `${name}: ${about}`);
  command.action(async (options: Readonly<Record<string, string>>) => {
    const { gitlab } = await import('./gitlab/gitlab.ts');
    const flags: Record<string, string> = {};
    for (const { name } of VARIABLES) {
      const value: unknown = command.getOptionValue(new Option(flagOf(name)).attributeName());
      if (typeof value === 'string') flags[name] = value;
    }
    if (options.transport !== undefined) flags.STREAMABLE_HTTP = String(options.transport === 'streamable-http');
    state.code = await gitlab(flags, around);
  });
}

function addCheck(program: Command, around: Surroundings, state: RunState): void {
  const command = program
    .command('check')
    .description('check a configuration and print what is in force: each value, secrets masked, and where it came from')
    .argument('<file>', 'the configuration')
    .option('--stdio', 'check it as for serve --stdio')
    .addHelpText('after', `\n${EXIT_HELP}`);
  const flags = addConfigFlags(command);
  command.action(async (file: string, options: { stdio?: boolean }) => {
    const { check } = await import('./check.ts');
    state.code = await check({ file, stdio: options.stdio ?? false, flags: givenFlags(command, flags) }, around);
  });
}

function addList(program: Command, around: Surroundings, state: RunState): void {
  const command = addClientFlags(
    program.command('list').description('list the tools that a running gateway offers').option('--json', 'print the tools as JSON'),
  );
  command.action(async (options: ClientFlags & { json?: boolean }) => {
    const { list } = await import('./list.ts');
    state.code = await withClient(options, (target) => list({ ...target, json: options.json ?? false }, around));
  });
}

function addCall(program: Command, around: Surroundings, state: RunState): void {
  const command = addClientFlags(
    program
      .command('call')
      .description('call a tool of a running gateway')
      .argument('<tool>', 'its name, as turnpike list shows it')
      .argument('[json]', 'its arguments, a JSON object; - reads them from standard input', '{}')
      .option('--json', 'print the result as JSON, byte for byte'),
  );
  command.action(async (tool: string, json: string, options: ClientFlags & { json?: boolean }) => {
    const { call } = await import('./call.ts');
    state.code = await withClient(options, (target) => call({ ...target, tool, args: json, json: options.json ?? false }, around));
  });
}
