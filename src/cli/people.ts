import { type Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_HELP } from './exit-code.ts';
import { durationOf } from './flags.ts';
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

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) throw new InvalidArgumentError('It is no port from 1 to 65535.');
  return port;
}
