import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ByteBuffer } from './byte-buffer.ts';

it('joins pieces, whatever length was announced, and changes none of them', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 }), fc.constantFrom(0, 1, 5000, 1e12, Number.NaN), (parts, expects) => {
      const pieces = parts.map((part) => Buffer.from(part));
      const copies = pieces.map((piece) => Buffer.from(piece));
      const body = new ByteBuffer(expects);
      for (const piece of pieces) body.append(piece);
      const length = copies.reduce((sum, { length }) => sum + length, 0);
      expect(body.length).toBe(length);
      const taken = body.take();
      expect(taken.equals(Buffer.concat(copies))).toBe(true);
      expect(pieces).toEqual(copies);
      expect(body.length).toBe(0);
      expect(body.take().length).toBe(0);
    }),
  );
});

it('hands out a single piece itself', () => {
  const piece = Buffer.from('{"a":1}');
  const body = new ByteBuffer(7);
  body.append(piece);
  expect(body.take()).toBe(piece);
});

it('makes room once for what was announced, and no more than 1 MiB for a promise', () => {
  const body = new ByteBuffer(500_000);
  for (let part = 0; part < 10; part++) body.append(Buffer.alloc(50_000));
  const taken = body.take();
  expect([taken.length, taken.buffer.byteLength]).toEqual([500_000, 500_000]);
  const boast = new ByteBuffer(16 * 1024 * 1024);
  boast.append(Buffer.from('a'));
  boast.append(Buffer.from('b'));
  expect(boast.take().buffer.byteLength).toBe(1024 * 1024);
});
