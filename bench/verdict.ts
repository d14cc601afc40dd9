import { type Bound, type BoundName, BUDGET } from './budget.ts';
import { type Series, seriesOf } from './statistics.ts';

/** One line of the result. */
export interface Row {
  readonly bound: BoundName;
  /** Which variant of it, such as the era. */
  readonly variant?: string | undefined;
  /** What it is compared with; absent for figures that stand for themselves. */
  readonly reference?: Series;
  readonly subject: Series;
  /** Of `reference` and `subject`, where they have one. */
  readonly unit: 'µs' | 'ms' | 'KiB' | 'MiB' | 'MB';
  /** The figure that is held against the bound: of the best rounds. */
  readonly value: number;
  /** The figure of each round by itself: rounds that follow each other had the same neighbours. */
  readonly each: readonly number[];
  /** What went wrong, such as calls that failed: then no figure counts. */
  readonly failure?: string | undefined;
}

export type Verdict = 'met' | 'missed' | 'failed' | 'told';

export function boundOf({ bound }: Row): Bound {
  return BUDGET[bound];
}

/** What is tolerated, of the budget or of a smoke run. */
export function limitsOf(row: Row, isSmoke: boolean): { readonly most?: number; readonly least?: number } {
  const { most, least, smoke } = boundOf(row);
  if (isSmoke) return smoke === undefined ? {} : { most: smoke };
  return { ...(most === undefined ? {} : { most }), ...(least === undefined ? {} : { least }) };
}

export function verdictOf(row: Row, isSmoke: boolean): Verdict {
  const { value, failure } = row;
  const { most, least } = limitsOf(row, isSmoke);
  if (failure !== undefined || Number.isNaN(value)) return 'failed';
  if (most === undefined && least === undefined) return 'told';
  return value <= (most ?? Number.POSITIVE_INFINITY) && value >= (least ?? 0) ? 'met' : 'missed';
}

/** The row of two series: best against best. */
export function ratioRow(bound: BoundName, reference: Series, subject: Series, more: Pick<Row, 'variant' | 'failure'> = {}): Row {
  return { bound, reference, subject, unit: 'µs', value: subject.best / reference.best, each: pairs(subject, reference, (a, b) => a / b), ...more };
}

/** A row that is compared with nothing. */
export function plainRow(bound: BoundName, unit: Row['unit'], values: readonly number[], more: Pick<Row, 'variant' | 'failure'> = {}): Row {
  const subject = seriesOf(values);
  return { bound, subject, unit, value: subject.best, each: values, ...more };
}

/** What `figure` makes of two series, round by round. */
export function pairs(first: Series, second: Series, figure: (first: number, second: number) => number): readonly number[] {
  return first.rounds.map((value, round) => figure(value, second.rounds[round] ?? Number.NaN));
}
