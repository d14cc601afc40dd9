import { nearest } from '../../config/nearest.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import { redactText } from '../../telemetry/redact.ts';
import { type ConfigOptions, type JudgedConfig, judgedConfig } from '../configuration.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { problemText } from '../problem.ts';
import { Stop } from '../stop.ts';
import type { Surroundings } from '../surroundings.ts';
import { printable } from '../text.ts';
import { namedCallers } from './callers.ts';
import { explanationOf } from './explanation.ts';
import { survey } from './survey.ts';

export interface ExplainOptions extends ConfigOptions {
  readonly tool: string;
  /** Name of a caller; undefined: everybody whom the configuration names. */
  readonly as?: string;
  /** For the upstreams to say what they offer. Milliseconds. */
  readonly timeout: number;
}

/**
 * `turnpike explain`: route, policy, credential and answer of one tool, from the configuration and what its upstreams offer now. Exit
 * codes: 0 a call goes upstream, 3 it is refused to somebody, 1 there is no such tool, or no single one.
 */
export async function explain(options: ExplainOptions, around: Surroundings, clock: Clock = systemClock): Promise<ExitCode> {
  const { stdout, stderr } = around;
  const say = (text: string) => void stderr.write(`turnpike: ${text}\n`);
  let judged: JudgedConfig;
  try {
    judged = await judgedConfig(options, around);
  } catch (error) {
    stderr.write(`${problemText(error)}\n`);
    return EXIT.failed;
  }
  const { loaded } = judged;
  const everybody = namedCallers(loaded.config, options.stdio);
  const as = options.as === undefined ? undefined : everybody.find(({ name }) => name === options.as);
  if (options.as !== undefined && as === undefined) {
    const names = everybody.map(({ name }) => name);
    const like = nearest(options.as, names);
    say(`no caller is called ${redactText(options.as, 80)}; there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`);
    if (like !== undefined) stderr.write(`(Did you mean ${like}?)\n`);
    return EXIT.usage;
  }
  if (loaded.config.upstreams.length === 0) {
    say(`no upstreams are configured${loaded.file === undefined ? ', for no turnpike.yaml is here; name one with --config' : ` in ${loaded.file}`}`);
    return EXIT.failed;
  }
  using stop = new Stop({ events: around.events, clock, onSecond: around.exit });
  const life = new AbortController();
  void stop.first.then((signal) => life.abort(new Error(`ended by ${signal}`)));
  const surroundings = { environment: around.env, clock, timeout: options.timeout, signal: life.signal };
  const { blocks, problems, code } = await survey(loaded.config, surroundings, (found) => explanationOf(options.tool, as, everybody, loaded, found));
  for (const { title, rows } of blocks) {
    const width = Math.max(...rows.map(([label]) => label.length));
    const lines = rows.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`);
    stdout.write(`${printable([title, ...lines].join('\n'), stdout)}\n`);
  }
  for (const problem of problems) stderr.write(problem.startsWith('(') ? `${problem}\n` : `turnpike: ${problem}\n`);
  return code;
}
