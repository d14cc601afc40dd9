import { describe, expect, it } from 'vitest';
import { BUDGET } from './budget.ts';
import { seriesOf } from './statistics.ts';
import { limitsOf, plainRow, type Row, ratioRow, verdictOf } from './verdict.ts';

const row = (bound: Row['bound'], value: number, more: Partial<Row> = {}): Row => ({ ...plainRow(bound, 'µs', [value]), ...more });

describe('verdict', () => {
  it('holds a figure against the budget, the bound itself included', () => {
    expect(verdictOf(row('modern', 1.6), false)).toBe('met');
    expect(verdictOf(row('modern', 1.601), false)).toBe('missed');
  });

  it('wants peers to cost at least what the budget says', () => {
    expect(verdictOf(row('peer', 5), false)).toBe('met');
    expect(verdictOf(row('peer', 4.9), false)).toBe('missed');
  });

  it('only tells what has no bound', () => {
    expect(verdictOf(row('large', 1000), false)).toBe('told');
  });

  it('fails whatever the figure is when calls failed, or when there is none', () => {
    expect(verdictOf(row('modern', 0.1, { failure: '3 calls failed' }), false)).toBe('failed');
    expect(verdictOf(row('large', Number.NaN), false)).toBe('failed');
  });

  it('tolerates more in a smoke run, and judges ratios alone there', () => {
    const between = row('modern', BUDGET.modern.smoke);
    expect([verdictOf(between, true), verdictOf(between, false)]).toEqual(['met', 'missed']);
    expect(verdictOf(row('modern', BUDGET.modern.smoke + 0.01), true)).toBe('missed');
    expect(limitsOf(row('idle', 1e6), true)).toEqual({});
  });

  it('has no absolute figure in the smoke run and none that is stricter than the budget', () => {
    for (const bound of Object.values(BUDGET)) {
      if (!('smoke' in bound)) continue;
      expect(bound).toMatchObject({ unit: 'ratio' });
      expect(bound.smoke).toBeGreaterThanOrEqual(bound.most);
    }
  });
});

describe('ratio of two series', () => {
  it('is best to best', () => {
    expect(ratioRow('modern', seriesOf([40, 30]), seriesOf([60, 45]))).toMatchObject({ value: 1.5, each: [1.5, 1.5] });
    expect(ratioRow('modern', seriesOf([40, 20]), seriesOf([30, 40]))).toMatchObject({ value: 1.5, each: [0.75, 2] });
  });
});
