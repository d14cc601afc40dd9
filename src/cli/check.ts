import { effectiveConfig } from '../config/masked.ts';
import { systemClock } from '../core/clock.ts';
import { type ConfigOptions, type JudgedConfig, judgedConfig } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { gitlabUnused } from './gitlab-unused.ts';
import { problemText } from './problem.ts';
import type { Surroundings } from './surroundings.ts';

/** `turnpike check`: the effective configuration on standard output, what is to be said about it on standard error. */
export async function check(options: ConfigOptions, around: Surroundings): Promise<ExitCode> {
  let judged: JudgedConfig;
  try {
    judged = await judgedConfig(options, around);
    // What only the code of an upstream can judge.
    await using _ = await gitlabUnused(judged.loaded.config, systemClock);
  } catch (error) {
    around.stderr.write(`${problemText(error)}\n`);
    return EXIT.failed;
  }
  const { loaded, weaknesses, refused } = judged;
  around.stdout.write(effectiveConfig(loaded));
  for (const warning of [...loaded.warnings, ...weaknesses]) around.stderr.write(`Warning: ${warning}\n`);
  for (const refusal of refused) around.stderr.write(`${refusal}\n`);
  return refused.length === 0 ? EXIT.done : EXIT.failed;
}
