import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cell } from './cells.ts';
import { type Ending, runToEnd } from './processes.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const REFEREE = join(ROOT, 'node_modules/.bin/conformance');
const EXPECTED_FAILURES = join(ROOT, 'test/conformance/expected-failures.yaml');
const CLIENT = `node ${join(ROOT, 'src/cli/main.ts')} conformance-client`;

/** One check of one scenario, as the referee writes it. */
export interface Check {
  readonly id: string;
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO';
  readonly errorMessage?: string;
}

export type Results = ReadonlyMap<string, readonly Check[]>;

export interface RefereeOptions {
  readonly cell: Cell;
  readonly scenarios: readonly string[];
  /** Run these one by one instead of the whole set. */
  readonly selected: readonly string[] | undefined;
  readonly url: string | undefined;
  readonly folder: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly limitMs: number;
}

export interface Report {
  readonly results: Results;
  readonly output: string;
  readonly problem: string | undefined;
}

/** Runs the referee and reads its files. Client scenarios run one by one: in parallel they would only fight for the CPU. */
export async function referee(options: RefereeOptions): Promise<Report> {
  const { cell, environment, folder } = options;
  const deadline = performance.now() + options.limitMs;
  const set = cell.role === 'server' ? [undefined, ...(cell.further ?? [])] : options.scenarios;
  const runs = options.selected ?? set;
  let output = '';
  const problems: string[] = [];
  for (const scenario of runs) {
    const left = deadline - performance.now();
    const ending = await runToEnd(process.execPath, [REFEREE, ...refereeArguments(options, scenario)], environment, Math.max(left, 1));
    output += ending.output;
    const problem = endingProblem(ending, cell, scenario);
    if (problem) problems.push(problem);
  }
  const results = await readResults(folder);
  return { results, output, problem: problems.length > 0 ? problems.join('; ') : undefined };
}

function refereeArguments({ cell, url, folder }: RefereeOptions, scenario: string | undefined): string[] {
  const which = scenario ? ['--scenario', scenario, '--spec-version', cell.revision, '--force'] : ['--requirements', cell.revision];
  const whom = cell.role === 'server' ? ['--url', url ?? ''] : ['--command', CLIENT];
  return [cell.role, ...whom, ...which, '--output-dir', folder, '--expected-failures', EXPECTED_FAILURES];
}

/** Failed scenarios are read from the files; only what no file tells is a problem of the run. */
function endingProblem({ code, timedOut, output }: Ending, cell: Cell, scenario: string | undefined): string | undefined {
  if (timedOut) return `${scenario ?? 'the set'}: over the time limit`;
  const clientFailed = /CLIENT (TIMED OUT|EXITED WITH ERROR)/.exec(output);
  if (cell.role === 'client' && clientFailed) return `${scenario}: ${clientFailed[0].toLowerCase()}`;
  return code === 0 || code === 1 ? undefined : `${scenario ?? 'the set'}: the referee ended with ${code}`;
}

const RESULT_FOLDER = /^(?:server-)?(?<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/;

/** All `checks.json` under a folder, by scenario. */
export async function readResults(folder: string): Promise<Results> {
  const results = new Map<string, readonly Check[]>();
  for (const name of (await readdir(folder)).sort()) {
    const scenario = scenarioOf(name);
    if (scenario === undefined) continue;
    try {
      results.set(scenario, JSON.parse(await readFile(join(folder, name, 'checks.json'), 'utf8')) as Check[]);
    } catch {
      results.set(scenario, []);
    }
  }
  return results;
}

/** The scenario a result folder is about; server scenarios named `server-…` keep their own prefix. */
export function scenarioOf(folder: string): string | undefined {
  return RESULT_FOLDER.exec(folder)?.groups?.scenario;
}
