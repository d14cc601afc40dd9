import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_HELP } from './exit-code.ts';
import { addConfigFlags, durationOf, givenFlags } from './flags.ts';
import type { RunState } from './run.ts';
import type { Surroundings } from './surroundings.ts';

interface InitFlags {
  readonly output: string;
  readonly import: string[] | boolean;
  readonly secrets?: string;
  readonly port?: number;
  readonly token?: boolean;
  readonly force?: boolean;
  readonly yes?: boolean;
}

/** `turnpike init`. */
export function addInit(program: Command, around: Surroundings, state: RunState): void {
  const command = program
    .command('init')
    .description('write a configuration; takes over the servers of MCP clients on this machine')
    .option('--output <file>', 'the file to write', 'turnpike.yaml')
    .option('--import <file...>', 'files of clients to import, such as .mcp.json; default: those that are found')
    .option('--no-import', 'import nothing')
    .option('--secrets <file>', 'write the secrets of imported servers to this file, which only you can read')
    .option('--port <number>', 'port to listen on (default: 8080)', portOf)
    .option('--token', 'make a token that clients must show')
    .option('--force', 'replace files that exist')
    .option('--yes', 'ask nothing, and take the defaults')
    .addHelpText('after', `\n${EXIT_HELP}`);
  command.action(async ({ output, import: imports, secrets, port, token = false, force = false, yes = false }: InitFlags) => {
    const { init } = await import('./init/init.ts');
    const files = imports === false ? [] : Array.isArray(imports) ? imports : undefined;
    state.code = await init(
      {
        output,
        token,
        force,
        yes,
        platform: process.platform,
        ...(files === undefined ? {} : { imports: files }),
        ...(secrets === undefined ? {} : { secrets }),
        ...(port === undefined ? {} : { port }),
      },
      around,
      async () => (await import('./init/questions.ts')).terminalQuestions(around),
    );
  });
}

interface ExplainFlags {
  readonly as?: string;
  readonly config?: string;
  readonly stdio?: boolean;
  readonly timeout: number;
}

/** `turnpike explain`. */
export function addExplain(program: Command, around: Surroundings, state: RunState): void {
  const command = program
    .command('explain')
    .description('say why a tool is offered or not: route, policy and the rule that decided, credential; starts the upstreams for it')
    .argument('<tool>', 'its name here, its name at its upstream, or UPSTREAM:NAME')
    .option('--as <caller>', 'name of a caller in auth.static, or anonymous; default: all of them')
    .option('--config <file>', 'the configuration; default: TURNPIKE_CONFIG, or turnpike.yaml here if there is one')
    .option('--stdio', 'explain it as for serve --stdio')
    .addOption(new Option('--timeout <duration>', 'how long the upstreams may take').argParser(durationOf).default(30_000, '30s'))
    .addHelpText('after', `\n${EXIT_HELP}`);
  const flags = addConfigFlags(command);
  command.action(async (tool: string, { as, config, stdio = false, timeout }: ExplainFlags) => {
    const { explain } = await import('./explain/explain.ts');
    const given = { ...(as === undefined ? {} : { as }), ...(config === undefined ? {} : { file: config }) };
    state.code = await explain({ tool, stdio, timeout, flags: givenFlags(command, flags), ...given }, around);
  });
}

interface TopFlags {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly interval: number;
  readonly once?: boolean;
}

/** `turnpike top`. */
export function addTop(program: Command, around: Surroundings, state: RunState): void {
  const command = program
    .command('top')
    .description('show what a running gateway does: upstreams, calls, latencies, pools, sessions')
    .option('--once', 'one look as plain text; the default where standard output is no terminal')
    .option('--url <url>', 'the endpoint of the gateway; default: TURNPIKE_URL, or http://127.0.0.1:8080/mcp')
    .option('--token-file <file>', 'file with the operations credential; default: TURNPIKE_TELEMETRY_METRICS_TOKEN, its _FILE, or none')
    .addOption(new Option('--interval <duration>', 'time between two looks').argParser(durationOf).default(2_000, '2s'))
    .addHelpText('after', `\n${EXIT_HELP}`);
  command.action(async ({ url, tokenFile, interval, once = false }: TopFlags) => {
    const { top } = await import('./top/top.ts');
    const given = { ...(url === undefined ? {} : { url }), ...(tokenFile === undefined ? {} : { tokenFile }) };
    state.code = await top({ ...given, interval, once }, around);
  });
}

/** Shells that are completed for. */
const SHELLS = ['bash', 'zsh', 'fish'];

/** `turnpike completion`. */
export function addCompletion(program: Command, around: Surroundings): void {
  const command = program
    .command('completion')
    .description('print the script that makes a shell complete commands and flags')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText('after', COMPLETION_HELP);
  command.action(async (shell: string) => {
    const { completionScript } = await import('./completion/completion.ts');
    around.stdout.write(completionScript(shell, program));
  });
}

const COMPLETION_HELP = `
To have it in every shell:
  bash  echo 'source <(turnpike completion bash)' >> ~/.bashrc
  zsh   echo 'source <(turnpike completion zsh)' >> ~/.zshrc       (after compinit)
  fish  turnpike completion fish > ~/.config/fish/completions/turnpike.fish`;

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) throw new InvalidArgumentError('It is no port from 1 to 65535.');
  return port;
}
