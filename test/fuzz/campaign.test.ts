import { expect, it } from 'vitest';
import { campaign } from './campaign.ts';

// A smoke of the run that README.md documents.
it('reads 20,000 inputs alike, and keeps those that reach something new', async () => {
  const summary = await campaign({ inputs: 20_000, seed: 1, seconds: 60, round: 10_000, explored: 100 });
  expect(summary.disagreement?.message).toBeUndefined();
  expect(summary.inputs).toBe(20_000);
  expect(summary.requests).toBeGreaterThan(500);
  expect(summary.incoming).toBeGreaterThan(500);
  expect(summary.refused).toBeGreaterThan(2_000);
  expect(summary.corpus).toBeGreaterThan(20);
  expect(summary.reached).toBeGreaterThan(300);
});
