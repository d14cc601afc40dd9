/** The value below which `share` (0 to 1) of the sorted values lie; NaN of none. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted.length === 0 ? Number.NaN : (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number);
}

/** Figures of one thing, one of each round. Others on the machine only ever add, so the best one is the truest. */
export interface Series {
  readonly best: number;
  readonly median: number;
  readonly worst: number;
  readonly rounds: readonly number[];
}

/** Throws without figures: nothing was measured. */
export function seriesOf(rounds: readonly number[]): Series {
  const sorted = rounds.toSorted((a, b) => a - b);
  const [best, worst] = [sorted[0], sorted.at(-1)];
  if (best === undefined || worst === undefined) throw new Error('nothing was measured');
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
  return { best, median, worst, rounds };
}

/** How far the worst round lies above the best, as a share of the best. */
export function spreadOf({ best, worst }: Series): number {
  return best === 0 ? 0 : worst / best - 1;
}
