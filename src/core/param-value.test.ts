import fc from 'fast-check';
import { expect, it } from 'vitest';
import { memberSpans } from './json.ts';
import { numberIn, textIn } from './param-value.ts';

const inMember = <T>(read: (object: Buffer, spans: ReturnType<typeof memberSpans>, key: string) => T, value: string): T => {
  const object = Buffer.from(`{"other":1,"key" : ${value} }`);
  return read(object, memberSpans(object), 'key');
};

it('numbers are read as the parser does, or left to it', () => {
  const written = fc.oneof(
    fc.integer().map(String),
    fc.maxSafeInteger().map(String),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
    fc.constantFrom('0', '-0', '10', '999999999999999', '9999999999999999', '1.50', '-1.5', '0.1'),
  );
  fc.assert(
    fc.property(written, (value) => {
      const read = inMember(numberIn, value);
      if (read !== undefined) expect(read).toBe(JSON.parse(value));
    }),
    { numRuns: 2_000 },
  );
  for (const value of ['0', '7', '10', '999999999999999', '1.50', '-3']) expect(inMember(numberIn, value)).toBe(Number(value));
  for (const value of ['"1"', 'null', '[]', '1e3', 'true', '12345678901234567']) expect(inMember(numberIn, value)).toBeUndefined();
  expect(numberIn(Buffer.from('{}'), [], 'key')).toBeUndefined();
});

it('texts are read where they are their own bytes', () => {
  expect([inMember(textIn, '"info"'), inMember(textIn, '"ü"'), inMember(textIn, '""')]).toEqual(['info', 'ü', '']);
  for (const value of ['"\\u0069"', '1', 'null', '{"key":"x"}']) expect(inMember(textIn, value)).toBeUndefined();
});
