import { parseArgs } from 'node:util';
import type { Era } from '../src/core/mcp.ts';
import { SETS, type SetName } from './sets/names.ts';

export interface Options {
  readonly sets: readonly SetName[];
  readonly rounds: number;
  /** Of one measurement. Milliseconds, as all that follow. */
  readonly duration: number;
  /** Load on each process before its first round: until then it is compiled. */
  readonly warmup: number;
  readonly eras: readonly Era[];
  /** Bytes of text in results, where a set does not fix them. */
  readonly size: number;
  readonly clients: number;
  /** Where all figures are written. */
  readonly json: string | undefined;
  readonly smoke: boolean;
  /** The script that is started as `turnpike`, such as `src/cli/main.ts` of any checkout; undefined: the build of this one. */
  readonly gateway: string | undefined;
  /** A folder for CPU profiles of the gateway. */
  readonly profile: string | undefined;
}

export const HELP = `Measures what a call costs in the gateway, against proxies that do the least that can be done.

  npm run bench -- [options]

  --set NAME,…     only these: ${Object.keys(SETS).join(', ')}
  --era ERA        only this one: modern or legacy; default both, where a set has both
  --rounds N       rounds of each measurement (30); the best counts
  --duration S     seconds of each (0.5)
  --warmup S       seconds of load on each process before its first round (4)
  --size N         bytes of text in results, where a set does not fix them (300)
  --clients N      clients of the load, each with one call at a time (32)
  --peers          also the set peers: other gateways of npm, installed as bench/README.md says
  --json FILE      write all figures there
  --smoke          a short run of ${Object.entries(SETS)
    .filter(([, { smoke }]) => smoke)
    .map(([name]) => name)
    .join(', ')} with generous bounds
  --gateway FILE   the script that is started as turnpike, such as src/cli/main.ts of any checkout; default: our build
  --profile FOLDER write CPU profiles of the gateway there and tell what takes its time; the figures of such a run do not count
  --help           this text

Exit code 1 when a bound is not met or a call failed, 2 when the command line is wrong.
`;

/** What is wrong with the command line, for people. */
export class UsageError extends Error {}

/** The command line; 'help' if that is all that is wanted. Throws UsageError. */
export function optionsOf(args: readonly string[]): Options | 'help' {
  const values = parsed(args);
  if (values.help === true) return 'help';
  const isSmoke = values.smoke === true;
  return {
    sets: setsOf(values.set, isSmoke, values.peers === true),
    rounds: whole('rounds', values.rounds, isSmoke ? 2 : 30),
    duration: seconds('duration', values.duration, isSmoke ? 0.6 : 0.5),
    warmup: seconds('warmup', values.warmup, isSmoke ? 2 : 4),
    eras: erasOf(values.era, isSmoke),
    size: whole('size', values.size, 300),
    clients: whole('clients', values.clients, 32),
    json: values.json,
    smoke: isSmoke,
    gateway: values.gateway,
    profile: values.profile,
  };
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        set: text,
        era: text,
        rounds: text,
        duration: text,
        warmup: text,
        size: text,
        clients: text,
        peers: flag,
        json: text,
        smoke: flag,
        gateway: text,
        profile: text,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function setsOf(given: string | undefined, isSmoke: boolean, peers: boolean): readonly SetName[] {
  const all = Object.keys(SETS) as SetName[];
  // Peers are not installed along with us.
  if (given === undefined) return all.filter((name) => (isSmoke ? SETS[name].smoke : name !== 'peers' || peers));
  return given.split(',').map((name) => {
    const known = all.find((each) => each === name.trim());
    if (known === undefined) throw new UsageError(`--set: there is no set ${JSON.stringify(name)}; there are ${all.join(', ')}`);
    return known;
  });
}

function erasOf(given: string | undefined, isSmoke: boolean): readonly Era[] {
  // A smoke run has a minute; the set legacy stands for that era.
  if (given === undefined && isSmoke) return ['modern'];
  if (given === undefined || given === 'both') return ['modern', 'legacy'];
  if (given !== 'modern' && given !== 'legacy') throw new UsageError(`--era: modern, legacy or both, not ${JSON.stringify(given)}`);
  return [given];
}

function whole(name: string, given: string | undefined, standard: number): number {
  if (given === undefined) return standard;
  if (!/^[1-9]\d*$/.test(given)) throw new UsageError(`--${name}: a whole number above 0, not ${JSON.stringify(given)}`);
  return Number(given);
}

function seconds(name: string, given: string | undefined, standard: number): number {
  if (given !== undefined && !/^\d+(\.\d+)?$/.test(given)) throw new UsageError(`--${name}: seconds, such as 2 or 0.5, not ${JSON.stringify(given)}`);
  const milliseconds = Number(given ?? standard) * 1000;
  if (milliseconds <= 0) throw new UsageError(`--${name}: must be above 0`);
  return milliseconds;
}
