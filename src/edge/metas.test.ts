import { expect, it } from 'vitest';
import { memberSpans } from '../core/json.ts';
import type { JsonObject } from '../core/mcp.ts';
import { Metas } from './metas.ts';

const said = (metas: Metas, text: string) =>
  metas.parse(Buffer.from(text), 0, Buffer.byteLength(text), text.startsWith('{') ? memberSpans(Buffer.from(text)) : []);
const read = (metas: Metas, text: string) => said(metas, text)?.meta;

it('equal bytes are one object, which nobody can change; other bytes are another', () => {
  const metas = new Metas();
  const first = read(metas, '{"a":{"b":["ü"]}}');
  expect(read(metas, '{"a":{"b":["ü"]}}')).toBe(first);
  expect(first).toEqual({ a: { b: ['ü'] } });
  expect(() => Object.assign((first as { a: { b: string[] } }).a, { c: 1 })).toThrow(TypeError);
  expect(() => (first as { a: { b: string[] } }).a.b.push('x')).toThrow(TypeError);
  expect(read(metas, '{"a":{"b":["ue"]}}')).not.toBe(first);
});

it('reads only its part, keeps nothing long, and no more than it may', () => {
  const metas = new Metas();
  expect(metas.parse(Buffer.from('["",{"a":1}]'), 4, 11, memberSpans(Buffer.from('{"a":1}')))?.meta).toEqual({ a: 1 });
  expect(read(metas, '[]')).toBeUndefined();
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

it('tells the token apart: what stands around it is one object, whatever the token', () => {
  const metas = new Metas();
  const around = (token: string) => said(metas, `{"a":1,"progressToken":${token},"b":{"progressToken":"inner"}}`);
  const first = around('1');
  expect(first).toEqual({ meta: { a: 1, b: { progressToken: 'inner' } }, progressToken: 1 });
  for (const [token, value] of [
    ['2', 2],
    ['2', 2],
    ['3', 3],
    ['-1.50', -1.5],
    ['1e2', 100],
    ['"ü"', 'ü'],
    ['[1]', [1]],
    ['null', null],
  ] as const) {
    const other = around(token);
    expect(other?.progressToken).toEqual(value);
    expect(other?.meta).toBe(first?.meta);
  }
  expect(Object.isFrozen(first?.meta)).toBe(true);
  expect(said(metas, '{"a":1,"b":{"progressToken":"inner"}}')).toEqual({ meta: first?.meta as JsonObject, progressToken: undefined });
  expect(said(metas, '{"a":"\\"progressToken\\":1"}')).toEqual({ meta: { a: '"progressToken":1' }, progressToken: undefined });
  for (let n = 0; n < 3; n++) expect(said(metas, '{"progressToken":1,"c":1}')).toEqual({ meta: { c: 1 }, progressToken: 1 });
  expect(said(metas, '{"progressToken":1,"c":2}')).toEqual({ meta: { c: 2 }, progressToken: 1 });
  expect(said(metas, '{"d":1,"progressToken":1,"c":1}')).toEqual({ meta: { c: 1, d: 1 }, progressToken: 1 });
  expect(said(metas, '{"progressToken":7}')).toEqual({ meta: {}, progressToken: 7 });
  const long = said(metas, JSON.stringify({ progressToken: 7, a: 'x'.repeat(3000) }));
  expect([long?.progressToken, long?.meta]).toEqual([7, { a: 'x'.repeat(3000) }]);
});
