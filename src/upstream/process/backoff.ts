/** Growth of the pauses between attempts; durations in milliseconds (aggregator.md section 1, `retry`). */
export interface BackoffPolicy {
  readonly initial: number;
  readonly factor: number;
  readonly max: number;
  /** Share of the pause that chance may add or take, 0…1. */
  readonly jitter: number;
}

/**
 * The pause before another attempt, in milliseconds; never above `policy.max`.
 * @param attempt failures in a row before this pause, counted from 0
 * @param random a source of chance in [0, 1)
 */
export function nextDelay(policy: BackoffPolicy, attempt: number, random: () => number): number {
  const { initial, factor, max, jitter } = policy;
  const grown = initial * factor ** attempt;
  // 0 × ∞ is NaN: a policy without a first pause has none later either.
  const base = Number.isNaN(grown) ? 0 : Math.min(max, grown);
  const spread = base * (1 + jitter * (2 * random() - 1));
  // Above the cap the spread is mirrored, not cut: else half of all that wait would wake in the same millisecond.
  return spread > max ? 2 * max - spread : spread;
}
