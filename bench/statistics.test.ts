import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quantile, seriesOf, spreadOf } from './statistics.ts';

describe('quantile', () => {
  it('counts from below', () => {
    const sorted = Array.from({ length: 100 }, (_, index) => index + 1);
    expect([0, 0.5, 0.9, 0.99, 1].map((share) => quantile(sorted, share))).toEqual([1, 51, 91, 100, 100]);
  });

  it('has no figure for nothing', () => {
    expect(quantile([], 0.5)).toBeNaN();
  });

  it('leaves at least its share of the values at or below it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const sorted = values.toSorted((a, b) => a - b);
        const at = quantile(sorted, share);
        expect(sorted).toContain(at);
        expect(sorted.filter((value) => value <= at).length).toBeGreaterThanOrEqual(Math.floor(share * sorted.length));
      }),
    );
  });
});

describe('series of rounds', () => {
  it('takes the lowest as the best, whatever the order', () => {
    expect(seriesOf([30, 10, 20])).toEqual({ best: 10, median: 20, worst: 30, rounds: [30, 10, 20] });
    expect(seriesOf([4, 1, 3, 2]).median).toBe(2.5);
  });

  it('tells how far the worst lies above the best', () => {
    expect(spreadOf(seriesOf([10, 15, 12]))).toBeCloseTo(0.5);
    expect(spreadOf(seriesOf([0, 0]))).toBe(0);
  });

  it('refuses to be of nothing', () => {
    expect(() => seriesOf([])).toThrow('nothing was measured');
  });
});
