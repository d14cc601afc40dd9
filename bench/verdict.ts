import { type Bound, type BoundName, BUDGET } from './budget.ts';
import type { Series } from './statistics.ts';

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
  /** The figure that is held against the bound. */
  readonly value: number;
  /** What went wrong, such as calls that failed: then no figure counts. */
  readonly failure?: string | undefined;
}

export type Verdict = 'met' | 'missed' | 'failed' | 'told';

export function boundOf({ bound }: Row): Bound {
  return BUDGET[bound];
}

/** The most that is tolerated, of the budget or of a smoke run. */
export function limitOf(row: Row, isSmoke: boolean): number | undefined {
  const { most, smoke } = boundOf(row);
  return isSmoke ? smoke : most;
}

export function verdictOf(row: Row, isSmoke: boolean): Verdict {
  if (row.failure !== undefined || Number.isNaN(row.value)) return 'failed';
  const limit = limitOf(row, isSmoke);
  if (limit === undefined) return 'told';
  return row.value <= limit ? 'met' : 'missed';
}

/** The row of two series: best against best. */
export function ratioRow(bound: BoundName, reference: Series, subject: Series, more: Pick<Row, 'variant' | 'failure'> = {}): Row {
  return { bound, reference, subject, unit: 'µs', value: subject.best / reference.best, ...more };
}
