// Runs the pinned referee and compares with the pinned numbers (test/conformance/expected.json).
//   node scripts/conformance.ts              Turnpike in front of the fixtures, its own server, and Turnpike as a client
//   node scripts/conformance.ts --direct     the fixtures by themselves
//   --cell NAME, --scenario NAME             only these, for development; may be repeated
// Exit code 1 if a number fell, a new warning appeared, or a process ended badly.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BUILT_IN_CELLS, type Cell, CLIENT_CELLS, DIRECT_CELLS, MATRIX } from '../test/conformance/cells.ts';
import { type Report, referee } from '../test/conformance/referee.ts';
import { notes, type Row, summary } from '../test/conformance/report.ts';
import { wantedBy } from '../test/conformance/requirements.ts';
import { startUnderTest } from '../test/conformance/under-test.ts';
import { type Pinned, reasons, score, shortfalls, withoutFixtureTools } from '../test/conformance/verdict.ts';

const BIN = fileURLToPath(new URL('../node_modules/.bin', import.meta.url));
const EXPECTED = new URL('../test/conformance/expected.json', import.meta.url);
const CELL_LIMIT_MS = 180_000;

const { values } = parseArgs({
  options: {
    direct: { type: 'boolean', default: false },
    cell: { type: 'string', multiple: true },
    scenario: { type: 'string', multiple: true },
  },
});
const offered = values.direct ? DIRECT_CELLS : [...MATRIX, ...BUILT_IN_CELLS, ...CLIENT_CELLS];
const cells = offered.filter(({ name }) => values.cell?.includes(name) ?? true);
if (cells.length === 0) {
  console.error(`No such cell; there are: ${offered.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const pinned = JSON.parse(await readFile(EXPECTED, 'utf8')) as Readonly<Record<string, Pinned>>;
const folder = await mkdtemp(join(tmpdir(), 'turnpike-conformance-'));
const environment = { ...process.env, PATH: `${BIN}${delimiter}${process.env.PATH ?? ''}` };

const rows: Row[] = [];
for (const cell of cells) rows.push(await measure(cell));
for (const line of summary(rows)) console.log(line);
for (const line of notes(rows)) console.log(line);
const failed = rows.filter(({ problems }) => problems.length > 0);
for (const { cell, problems } of failed) for (const problem of problems) console.log(`${cell.name}: ${problem}`);
if (failed.length > 0) console.log(`Details: ${folder}`);
else await rm(folder, { recursive: true, force: true });
console.log(`${rows.length - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length > 0 ? 1 : 0);

async function measure(cell: Cell): Promise<Row> {
  const start = performance.now();
  const wanted = await wantedBy(cell);
  const all = [...wanted.required, ...wanted.extra];
  const selected = values.scenario && all.filter((name) => values.scenario?.includes(name));
  const results = join(folder, cell.name);
  await mkdir(results);
  const options = { cell, scenarios: all, selected, folder: results, environment, limitMs: CELL_LIMIT_MS };
  const problems: string[] = [];
  let report: Report = { results: new Map(), output: '', problem: undefined };
  try {
    const underTest = cell.role === 'server' ? await startUnderTest(cell, folder, environment) : undefined;
    try {
      report = await referee({ ...options, url: underTest?.url });
    } finally {
      const problem = await underTest?.stop();
      if (problem) problems.push(problem);
    }
  } catch (error) {
    problems.push(`could not be run: ${(error as Error).message}`);
  }
  await writeFile(join(folder, `${cell.name}.referee.log`), report.output);
  if (report.problem) problems.push(report.problem);
  const only = (names: readonly string[]): string[] => names.filter((name) => selected?.includes(name) ?? true);
  const { made, unmade } = cell.fixture === 'gitlab' ? withoutFixtureTools(report.results) : { made: report.results, unmade: [] };
  const found = score(made, { required: only(wanted.required), extra: only(wanted.extra) });
  const pin = pinned[cell.name];
  if (selected) problems.push(...found.warnings.map((warning) => `warning: ${warning}`));
  // Without any result there is one cause, told already; a list of all scenarios would bury it.
  else if (report.results.size > 0 || problems.length === 0) problems.push(...(pin ? shortfalls(found, pin) : ['has no pinned numbers']));
  if (report.results.size > 0) problems.push(...reasons(made, [...found.failed, ...found.extra.failed]));
  return { cell, score: found, unmade, seconds: (performance.now() - start) / 1000, problems };
}
