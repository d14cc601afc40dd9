import { type Command, InvalidArgumentError, Option } from 'commander';
import { type FlagOption, flagOptions } from '../config/describe.ts';
import { parseDuration } from '../config/quantities.ts';
import { EXIT_HELP, type ExitCode } from './exit-code.ts';

export interface ClientFlags {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly timeout: number;
}

/** Hands the flags of a client on; what was not given is absent. */
export function withClient(
  { url, tokenFile, timeout }: ClientFlags,
  run: (target: { url?: string; tokenFile?: string; timeout: number }) => Promise<ExitCode>,
): Promise<ExitCode> {
  return run({ ...(url === undefined ? {} : { url }), ...(tokenFile === undefined ? {} : { tokenFile }), timeout });
}

/** Which gateway, with which token, for how long. */
export function addClientFlags(command: Command): Command {
  return command
    .option('--url <url>', 'the endpoint of the gateway; default: TURNPIKE_URL, or http://127.0.0.1:8080/mcp')
    .option('--token-file <file>', 'file with the token to send; default: the token in TURNPIKE_TOKEN, or none')
    .addOption(new Option('--timeout <duration>', 'how long the answer may take').argParser(durationOf).default(300_000, '5m'))
    .addHelpText('after', `\n${EXIT_HELP}`);
}

/** The value of a flag that is a time, in milliseconds. */
export function durationOf(text: string): number {
  const parsed = parseDuration(text);
  if (!parsed.ok || parsed.value === 0) throw new InvalidArgumentError('It is no duration such as 30s or 5m.');
  return parsed.value;
}

/** One flag per setting, in groups by section. Values are read by the configuration, which knows their types. */
export function addConfigFlags(command: Command): ReadonlyMap<string, FlagOption> {
  const byAttribute = new Map<string, FlagOption>();
  for (const flag of flagOptions()) {
    const text = `${flag.description}${flag.default === undefined ? '' : ` (default: ${flag.default})`}`;
    const option = new Option(flag.takesValue ? `${flag.flag} <value>` : `${flag.flag} [boolean]`, text);
    command.addOption(option.helpGroup(`Settings of ${flag.path.split('.', 1)[0]}:`));
    byAttribute.set(option.attributeName(), flag);
  }
  return byAttribute;
}

/** What was given of the settings, by flag. */
export function givenFlags(command: Command, flags: ReadonlyMap<string, FlagOption>): Record<string, string | boolean> {
  const given: Record<string, string | boolean> = {};
  for (const [name, { flag }] of flags) {
    const value: unknown = command.getOptionValue(name);
    if (typeof value === 'string' || typeof value === 'boolean') given[flag] = value;
  }
  return given;
}
