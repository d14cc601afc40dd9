import { expect, it } from 'vitest';
import { Metas } from './metas.ts';

const read = (metas: Metas, text: string) => metas.parse(Buffer.from(text), 0, Buffer.byteLength(text));

it('equal bytes are one object, which nobody can change; other bytes are another', () => {
  const metas = new Metas();
  const first = read(metas, '{"a":{"b":["ü"]}}');
  expect(read(metas, '{"a":{"b":["ü"]}}')).toBe(first);
  expect(first).toEqual({ a: { b: ['ü'] } });
  expect(() => Object.assign((first as { a: { b: string[] } }).a, { c: 1 })).toThrow(TypeError);
  expect(() => (first as { a: { b: string[] } }).a.b.push('x')).toThrow(TypeError);
  expect(read(metas, '{"a":{"b":["ue"]}}')).not.toBe(first);
});

it('reads only its part, keeps no token, nothing long, and no more than it may', () => {
  const metas = new Metas();
  expect(metas.parse(Buffer.from('["",{"a":1}]'), 4, 11)).toEqual({ a: 1 });
  expect(read(metas, '[]')).toBeUndefined();
  expect(read(metas, '{"progressToken":1}')).not.toBe(read(metas, '{"progressToken":1}'));
  const long = JSON.stringify({ a: 'x'.repeat(3000) });
  expect(read(metas, long)).not.toBe(read(metas, long));
  const first = read(metas, '{"n":-1}');
  for (let n = 0; n < 1023; n++) read(metas, `{"n":${n}}`);
  expect(read(metas, '{"n":-1}')).toBe(first);
  read(metas, '{"n":5000}');
  // Those that came last are kept besides.
  for (let n = 1000; n < 1008; n++) for (let again = 0; again < 2; again++) read(metas, `{"n":${n}}`);
  expect(read(metas, '{"n":-1}')).not.toBe(first);
});
