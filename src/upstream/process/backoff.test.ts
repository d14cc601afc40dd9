import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextDelay } from './backoff.ts';

const policy = { initial: 2_000, factor: 2, max: 120_000, jitter: 0.2 };

test('without chance the pauses double up to the cap', () => {
  const pauses = [0, 1, 2, 5, 6, 7, 2_000].map((attempt) => nextDelay({ ...policy, jitter: 0 }, attempt, () => 0.9));
  expect(pauses).toEqual([2_000, 4_000, 8_000, 64_000, 120_000, 120_000, 120_000]);
});

test('chance moves a pause by the jitter to both sides', () => {
  expect(nextDelay(policy, 0, () => 0)).toBeCloseTo(1_600);
  expect(nextDelay(policy, 0, () => 0.5)).toBeCloseTo(2_000);
  expect(nextDelay(policy, 0, () => 1)).toBeCloseTo(2_400);
});

test('a capped pause is still spread', () => {
  expect(nextDelay(policy, 20, () => 1)).toBeCloseTo(96_000);
  expect(nextDelay(policy, 20, () => 0.75)).toBeCloseTo(108_000);
});

test('every pause is a number between the least and the cap', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 10_000 }),
      fc.double({ min: 1, max: 10, noNaN: true }),
      fc.nat(5_000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (initial, factor, attempt, jitter, chance) => {
        const max = 20_000;
        const delay = nextDelay({ initial, factor, max, jitter }, attempt, () => chance);
        expect(delay).toBeGreaterThanOrEqual(initial * (1 - jitter) - 1e-6);
        expect(delay).toBeLessThanOrEqual(max);
      },
    ),
  );
});
