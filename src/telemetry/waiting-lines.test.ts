import fc from 'fast-check';
import { expect, it } from 'vitest';
import { WaitingLines } from './waiting-lines.ts';

const line = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('a', 'ä', '€', '\u{1f600}'), fc.integer({ min: 1000, max: 30_000 }))
      .map(([unit, times]) => unit.repeat(times)),
  },
);
const step = fc.oneof(
  { weight: 6, arbitrary: line },
  { weight: 1, arbitrary: fc.constantFrom('take' as const, 'settle' as const).map((what) => ({ what })) },
);

it('lines come out as they went in, in order, each once, whole and never more than the bound', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(500, 100_000, 10_000_000), (steps, maxBytes) => {
      const waiting = new WaitingLines(maxBytes);
      const put: string[] = [];
      const out: { bytes: Buffer; count: number }[] = [];
      let bytes = 0;
      let open = 0;
      for (const now of steps) {
        if (typeof now === 'string') {
          const size = Buffer.byteLength(now);
          const fits = bytes + size <= maxBytes;
          expect(waiting.add(now)).toBe(fits);
          if (fits) put.push(now);
          if (fits) bytes += size;
        } else if (now.what === 'take') {
          const lines = waiting.take();
          if (lines !== undefined) out.push(lines);
        } else {
          const size = out.slice(open).reduce((sum, lines) => sum + lines.bytes.length, 0);
          waiting.settled(size);
          bytes -= size;
          open = out.length;
        }
        expect(waiting.bytes).toBe(bytes);
        expect(waiting.count).toBe(put.length - out.reduce((sum, { count }) => sum + count, 0));
      }
      for (let lines = waiting.take(); lines !== undefined; lines = waiting.take()) out.push(lines);
      // Everything at the end, so that a slab that is written over is seen.
      expect(Buffer.concat(out.map((lines) => lines.bytes)).equals(Buffer.from(put.join('')))).toBe(true);
      expect(waiting.count).toBe(0);
    }),
    { numRuns: 150 },
  );
});

it('what was not taken can be forgotten', () => {
  const waiting = new WaitingLines(100);
  waiting.add('a\n');
  const taken = waiting.take();
  waiting.add('b\n');
  waiting.clear();
  expect(taken?.bytes.toString()).toBe('a\n');
  expect([waiting.count, waiting.bytes, waiting.take()]).toEqual([0, 2, undefined]);
});
