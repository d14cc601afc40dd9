import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Answer } from '../core/mcp.ts';
import { PiecedResult } from '../core/pieced-result.ts';
import { encodeAnswer, encodePieces } from './encode.ts';

it('pieces are the bytes of the answer, the large ones not copied, the small ones joined', () => {
  const piece = fc.nat({ max: 5_000 }).map((length) => Buffer.alloc(length, 'x'));
  const answers: fc.Arbitrary<Answer> = fc.oneof(
    piece.map((result) => ({ kind: 'result', result }) as const),
    piece.map((error) => ({ kind: 'error', error, code: -1 }) as const),
    fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => new PiecedResult(pieces)),
  );
  fc.assert(
    fc.property(fc.oneof(fc.integer(), fc.string()), answers, (id, answer) => {
      const pieces = encodePieces(id, answer);
      expect(Buffer.concat(pieces).equals(encodeAnswer(id, answer))).toBe(true);
      const large = answer.kind === 'result' ? (answer.pieces ?? [answer.result]).filter(({ length }) => length >= 2048) : [];
      expect(large.every((part) => pieces.includes(part))).toBe(true);
      expect(pieces.length).toBeLessThanOrEqual(2 * large.length + 1 + (answer.kind === 'error' ? 2 : 0));
    }),
    { numRuns: 100 },
  );
});
