// `npm run bench`: see README.md, or --help.
import { writeFile } from 'node:fs/promises';
import { Generator } from './compare.ts';
import { machineText } from './machine.ts';
import { HELP, type Options, optionsOf, UsageError } from './options.ts';
import { profilesText } from './profile.ts';
import { Run } from './run.ts';
import { SETS } from './sets/names.ts';
import { BENCH_SETS } from './sets/sets.ts';
import { tableOf } from './table.ts';
import { boundOf, type Row, verdictOf } from './verdict.ts';

/** The exit codes: bounds met; not met, or no figures; wrong command line. */
const EXIT = { met: 0, missed: 1, usage: 2 } as const;

async function main(args: readonly string[]): Promise<number> {
  const options = optionsOf(args);
  if (options === 'help') {
    process.stdout.write(HELP);
    return EXIT.met;
  }
  if (process.platform !== 'linux') throw new UsageError('the bench reads /proc and so needs Linux');
  const run = await Run.open();
  run.leaveOnSignals();
  try {
    return await measured(run, options);
  } catch (error) {
    // What fails because we are stopping is no news, and the exit code is that of the signal.
    if (run.isLeaving) return new Promise(() => {});
    throw error;
  } finally {
    await run[Symbol.asyncDispose]();
  }
}

async function measured(run: Run, options: Options): Promise<number> {
  const tell = (text: string) => void process.stderr.write(`${text}\n`);
  tell(machineText());
  const rows: Row[] = [];
  const failures: string[] = [];
  for (const name of options.sets) {
    tell(`\n${name}: ${SETS[name].what}`);
    await using generator = new Generator(run);
    try {
      rows.push(...(await BENCH_SETS[name]({ run, options, generator, tell: (text) => tell(`  ${text}`) })));
    } catch (error) {
      if (run.isLeaving) throw error;
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      tell(`  ${failures.at(-1)}`);
    }
  }
  process.stdout.write(`\n${machineText()}; CPU per call, best of ${options.rounds} rounds\n\n${tableOf(rows, options.smoke)}\n`);
  for (const failure of failures) process.stdout.write(`\nFAILED ${failure}\n`);
  if (options.profile !== undefined) process.stdout.write(`\n${await profilesText(options.profile)}\n`);
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(figuresOf(rows, options), null, 2)}\n`);
  return failures.length === 0 && rows.every((row) => ['met', 'told'].includes(verdictOf(row, options.smoke))) ? EXIT.met : EXIT.missed;
}

function figuresOf(rows: readonly Row[], options: Options): object {
  return {
    machine: machineText(),
    options,
    rows: rows.map((row) => ({ ...row, bound: { name: row.bound, ...boundOf(row) }, verdict: verdictOf(row, options.smoke) })),
  };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof UsageError) process.stderr.write('bench: --help tells what there is\n');
  process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.missed;
}
