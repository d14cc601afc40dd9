import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { CellHistogram } from './cells.ts';

const row = {
  name: 'call_seconds',
  type: 'histogram',
  labels: ['upstream'],
  help: 'How long calls took.',
  buckets: [0.005, 0.01, 1, 2.5, 60],
} as const;

it('a histogram of cells looks on the page as one of prom-client', async () => {
  const upstream = fc.constantFrom('files', 'a "quoted"\nname', 'never seen');
  const seconds = fc.oneof(fc.constantFrom(0, 0.005, 0.0050001, 1, 60, 60.1), fc.double({ min: 0, max: 100, noNaN: true }));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(upstream, seconds)), async (observed) => {
      const ours = new Registry();
      const theirs = new Registry();
      const cells = new CellHistogram(row, [ours]);
      const plain = new Histogram({ name: row.name, help: row.help, labelNames: [...row.labels], buckets: [...row.buckets], registers: [theirs] });
      // Resolved, and never observed: no line.
      cells.of('idle');
      for (const [label, value] of observed) {
        cells.of(label).observe(value);
        plain.labels(label).observe(value);
      }
      expect(await ours.metrics()).toBe(await theirs.metrics());
    }),
    { numRuns: 50 },
  );
});
