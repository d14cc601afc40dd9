import { type Cell, SPOKEN } from './cells.ts';
import { HOLLOW } from './hollow.ts';
import { type Inexpressible, inexpressibleIn } from './inexpressible.ts';
import type { Score } from './verdict.ts';

/** One measured cell. */
export interface Row {
  readonly cell: Cell;
  readonly score: Score;
  /** Single checks of scenarios that could not be made, `scenario: check`. */
  readonly unmade?: readonly string[];
  readonly seconds: number;
  /** What is worse than it should be, in words. */
  readonly problems: readonly string[];
}

const HEAD = ['cell', 'client', 'upstream', 'over', 'required', 'extra', 'hollow', 'warnings', 'seconds', ''];

/** All cells as one table. */
export function summary(rows: readonly Row[]): string[] {
  const lines = rows.map(({ cell, score: { required, extra, hollow, warnings }, seconds, problems }) => [
    cell.name,
    cell.role === 'client' ? 'Turnpike' : cell.revision,
    cell.fixture ? SPOKEN[cell.fixture] : cell.revision,
    cell.through ?? '',
    `${required.passed}/${required.total}`,
    `${extra.passed.length}/${extra.passed.length + extra.failed.length}`,
    String(hollow.length),
    String(warnings.length),
    seconds.toFixed(0),
    problems.length === 0 ? 'ok' : 'FAILED',
  ]);
  const table = [HEAD, ...lines];
  const widths = HEAD.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  return table.map((line) =>
    line
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** By name: what is not required, what passed without being looked at, and what a client of that revision cannot express. */
export function notes(rows: readonly Row[]): string[] {
  const extras = rows.flatMap(({ cell: { name }, score: { extra, hollow } }) => [
    ...extra.passed.map((scenario) => `  ${name}  ${scenario}  ${hollow.includes(scenario) ? 'hollow' : 'passed'}`),
    ...extra.failed.map((scenario) => `  ${name}  ${scenario}  failed`),
  ]);
  const hollow = [...new Set(rows.flatMap(({ score }) => score.hollow))].sort();
  const absent = new Set(rows.flatMap(({ cell }) => (cell.role === 'server' ? inexpressibleIn(cell) : [])));
  return [
    'Scenarios beyond the required ones:',
    ...extras,
    ...(hollow.length > 0 ? ['Hollow, passed with nothing to look at:'] : []),
    ...hollow.map((scenario) => `  ${scenario}: ${HOLLOW[scenario] ?? 'nobody knows why'}`),
    ...rows.flatMap(({ cell: { name }, unmade = [] }) =>
      unmade.length > 0 ? [`Checks that need tools of the fixtures, in ${name}:`, ...unmade.map((one) => `  ${one}`)] : [],
    ),
    ...(absent.size > 0 ? ['Scenarios that have no meaning there:'] : []),
    ...[...absent].flatMap(meaningless),
  ];
}

function meaningless({ front, upstream, scenarios, reason, source }: Inexpressible): string[] {
  const behind = upstream === 'gitlab' ? ', the built-in GitLab' : upstream ? `, an upstream of ${SPOKEN[upstream]}` : '';
  const where = `a client of ${front}${behind}`;
  return [`  ${where}: ${reason} (${source})`, ...scenarios.map((scenario) => `    ${scenario}`)];
}
