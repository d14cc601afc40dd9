import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ClientLines } from './client-lines.ts';

const MAX = 64 * 1024;

it('gives every line that fits, in order, and says once of each that does not, however the bytes are cut', () => {
  const line = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 50 }) }, fc.constantFrom(MAX - 1, MAX, MAX + 1, 3 * MAX));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 3 * MAX }), { minLength: 1, maxLength: 8 }), (lengths, cuts) => {
      const seen: (number | 'too long')[] = [];
      const lines = new ClientLines(
        MAX,
        (bytes) => seen.push(bytes.length),
        () => seen.push('too long'),
      );
      const bytes = Buffer.concat(lengths.map((length) => Buffer.concat([Buffer.alloc(length, 'x'), Buffer.from('\n')])));
      for (let at = 0, cut = 0; at < bytes.length; cut++) {
        const size = cuts[cut % cuts.length] ?? 1;
        lines.push(bytes.subarray(at, at + size));
        at += size;
      }
      expect(seen).toEqual(lengths.map((length) => (length > MAX ? 'too long' : length)));
      expect(lines.end()).toBeUndefined();
    }),
    { numRuns: 60 },
  );
});
