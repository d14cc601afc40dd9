import type { Generator } from '../compare.ts';
import type { Options } from '../options.ts';
import type { Run } from '../run.ts';
import type { Row } from '../verdict.ts';

/** What a set is given. */
export interface Context {
  readonly run: Run;
  readonly options: Options;
  readonly generator: Generator;
  /** Progress, for people. */
  readonly tell: (text: string) => void;
}

/** Sets up its own stage, measures, and clears it away. */
export type BenchSet = (context: Context) => Promise<readonly Row[]>;
