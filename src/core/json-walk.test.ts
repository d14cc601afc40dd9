import fc from 'fast-check';
import { expect, it } from 'vitest';
import { skipString } from './json-walk.ts';

/** As the grammar says it, byte by byte. */
function endOf(bytes: Buffer, at: number): number {
  for (let index = at + 1; index < bytes.length; index++) {
    if (bytes[index] === 0x5c) index++;
    else if (bytes[index] === 0x22) return index + 1;
  }
  return -1;
}

/** Pieces of strings, of lengths that put escapes across every bound of those who look at pieces. */
const text = fc
  .array(
    fc.tuple(
      fc.constantFrom('x', 'x'.repeat(11), 'ü', '\\"', '\\\\', '\\n', '\\\\\\"', '{\\"a\\":\\"b\\"}', 'y'.repeat(250), 'z'.repeat(16_370)),
      fc.integer({ min: 1, max: 40 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.map(([part, times]) => part.repeat(part.length > 1_000 ? 1 : times)).join(''));

it('the end of a string is found in whatever pieces it is looked at', () => {
  fc.assert(
    fc.property(text, fc.constantFrom('"', '', '\\'), fc.constantFrom('', ',"more":1}', ' '.repeat(300)), (body, close, behind) => {
      const bytes = Buffer.from(`"${body}${close}${behind}`);
      expect(skipString(bytes, 0)).toBe(endOf(bytes, 0));
    }),
    { numRuns: 2_000 },
  );
});
