import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeHeaderValue, encodeHeaderValue, invalidParamHeader, ParamHeaders } from './mcp-headers.ts';

const mint = (schema: unknown, args: Parameters<ParamHeaders['mint']>[0]) => new ParamHeaders(schema).mint(args);
const check = (schema: unknown, ...rest: Parameters<ParamHeaders['check']>) => new ParamHeaders(schema).check(...rest);

const base64 = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`;

describe('encodeHeaderValue', () => {
  it.each([['us-west1'], ['us west 1'], ['a\tb'], ['=?base64?SGVsbG8='], ['SGVsbG8='], ['?=']])('leaves %j as it is', (value) => {
    expect(encodeHeaderValue(value)).toBe(value);
  });
  it.each([
    ...['', ' padded ', ' us-west1', 'us-west1 ', '\tindented', 'line1\nline2', 'line1\r\nline2', 'Hello, 世界', 'é', '\u007f'],
    ...['=?base64?SGVsbG8=?=', '=?base64?=', '=?base64?not it?='],
  ])('wraps %j', (value) => {
    expect(encodeHeaderValue(value)).toBe(base64(value));
  });
  it('gives every text back, and only visible ASCII, blank and tab travel', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' })), (text) => {
        fc.pre(text.isWellFormed());
        const sent = encodeHeaderValue(text);
        expect(sent).toMatch(/^[\x20-\x7e\t]+$/);
        expect(decodeHeaderValue(` ${sent}\t`)).toEqual({ ok: true, value: text });
      }),
    );
  });
});

describe('decodeHeaderValue', () => {
  it.each([
    ['  plain  ', 'plain'],
    ['=?base64?SGVsbG8=?=', 'Hello'],
    ['SGVsbG8=', 'SGVsbG8='],
    ['=?base64?SGVsbG8=', '=?base64?SGVsbG8='],
    ['=?base64?=', '=?base64?='],
    ['=?base64??=', ''],
  ])('reads %j as %j', (raw, value) => {
    expect(decodeHeaderValue(raw)).toEqual({ ok: true, value });
  });
  it.each([
    ['=?base64?SGVsbG8?=', 'is not valid base64'],
    ['=?base64?SGVs!!!bG8=?=', 'is not valid base64'],
    ['=?base64?SGVsbG9=?=', 'is not valid base64'],
    ['=?base64?SGVs bG8=?=', 'is not valid base64'],
    ['=?base64?/w==?=', 'is not valid UTF-8'],
    ['R\u00e9gion', 'has characters outside visible ASCII'],
    ['a\nb', 'has characters outside visible ASCII'],
  ])('refuses %j', (raw, error) => {
    expect(decodeHeaderValue(raw)).toEqual({ ok: false, error });
  });
});

const schema = {
  type: 'object',
  properties: {
    region: { type: 'string', 'x-mcp-header': 'Region' },
    priority: { type: 'integer', 'x-mcp-header': 'Priority' },
    verbose: { type: 'boolean', 'x-mcp-header': 'Verbose' },
    query: { type: 'string' },
    'x-mcp-header': { type: 'string' },
    where: { type: 'object', properties: { zone: { type: 'string', 'x-mcp-header': 'Zone' } } },
    sample: { type: 'object', default: { 'x-mcp-header': 'not a schema' } },
  },
};

describe('mint_', () => {
  it('mirrors annotated arguments only', () => {
    const args = { region: ' us', priority: 42, verbose: false, query: 'SELECT 1', where: { zone: 'a' }, 'x-mcp-header': 'v' };
    expect(mint(schema, args)).toEqual({
      'mcp-param-region': base64(' us'),
      'mcp-param-priority': '42',
      'mcp-param-verbose': 'false',
      'mcp-param-zone': 'a',
    });
  });
  it('has none for null, absent, foreign and unsafe values', () => {
    expect(mint(schema, { region: null, verbose: { a: 1 }, priority: 2 ** 53 })).toEqual({});
    expect(mint(schema, undefined)).toEqual({});
    expect(mint({ properties: { toString: { type: 'string', 'x-mcp-header': 'T' } } }, {})).toEqual({});
  });
});

describe('invalidParamHeader', () => {
  it('accepts a valid schema, and anything that is none', () => {
    for (const valid of [schema, undefined, true, [], { properties: { 'x-mcp-header': { type: 'number' } } }])
      expect(invalidParamHeader(valid)).toBeUndefined();
  });
  const one = (annotation: unknown, type: unknown = 'string') => ({ properties: { value: { type, 'x-mcp-header': annotation } } });
  const leaf = { type: 'string', 'x-mcp-header': 'A' };
  it.each<readonly [string, unknown]>([
    ['empty', one('')],
    ['not a string', one(7)],
    ['a blank', one('My Region')],
    ['a colon', one('Region:Primary')],
    ['beyond ASCII', one('Région')],
    ['a control character', one('Region\t1')],
    ['object', one('A', 'object')],
    ['array', one('A', 'array')],
    ['null', one('A', 'null')],
    ['number', one('A', 'number')],
    ['no type', { properties: { value: { 'x-mcp-header': 'A' } } }],
    ['several types', one('A', ['string', 'null'])],
    ['twice', { properties: { a: leaf, b: leaf } }],
    ['twice but for case', { properties: { a: leaf, b: { type: 'string', 'x-mcp-header': 'a' } } }],
    ['at the root', leaf],
    ...['items', 'not', 'if', 'additionalProperties', 'contains'].map((keyword) => [keyword, { properties: { v: { [keyword]: leaf } } }] as const),
    ...['oneOf', 'allOf', 'prefixItems'].map((keyword) => [keyword, { [keyword]: [{ properties: { v: leaf } }] }] as const),
    ...['$defs', 'patternProperties', 'dependentSchemas'].map((keyword) => [keyword, { [keyword]: { v: leaf } }] as const),
  ])('refuses: %s', (_name, invalid) => {
    expect(invalidParamHeader(invalid)).toMatch(/x-mcp-header/);
    expect(mint(invalid, { value: 'v', a: 'v', b: 'v', v: 'v' })).toEqual({});
  });
  it('gives up on a schema that is too deep or too large, in little time', () => {
    let deep: object = leaf;
    for (let level = 0; level < 5000; level++) deep = { properties: { a: deep } };
    expect(invalidParamHeader(deep)).toMatch(/too large/);
    expect(invalidParamHeader({ properties: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`p${i}`, {}])) })).toMatch(/too large/);
    const wide = { properties: Object.fromEntries(Array.from({ length: 9_000 }, (_, i) => [`p${i}`, {}])) };
    expect(invalidParamHeader(wide)).toBeUndefined();
  });
});

describe('check_', () => {
  const args = { region: 'eu', priority: 42 };
  it.each([
    [{ 'mcp-param-region': ' eu ', 'mcp-param-priority': '42' }],
    [{ 'mcp-param-region': base64('eu'), 'mcp-param-priority': '42.0' }],
    [{ 'mcp-param-region': 'eu', 'mcp-param-priority': '42', 'mcp-param-unknown': 'x' }],
  ])('accepts %j', (headers) => {
    expect(check(schema, args, headers)).toEqual({ ok: true, value: undefined });
  });
  it.each<[Record<string, string | string[]>, string]>([
    [{ 'mcp-param-region': 'eu' }, 'Mcp-Param-Priority is missing'],
    [{ 'mcp-param-region': 'us', 'mcp-param-priority': '42' }, "Mcp-Param-Region does not match the argument 'region'"],
    [{ 'mcp-param-region': 'eu', 'mcp-param-priority': '0x2a' }, "Mcp-Param-Priority does not match the argument 'priority'"],
    [{ 'mcp-param-region': '=?base64?ZX?=', 'mcp-param-priority': '42' }, 'Mcp-Param-Region is not valid base64'],
    [{ 'mcp-param-region': ['eu', 'eu'], 'mcp-param-priority': '42' }, 'Mcp-Param-Region is repeated'],
    [
      { 'mcp-param-region': 'eu', 'mcp-param-priority': '42', 'mcp-param-verbose': 'true' },
      "Mcp-Param-Verbose is present, but the body has no argument 'verbose'",
    ],
  ])('refuses %j', (headers, error) => {
    expect(check(schema, args, headers)).toEqual({ ok: false, error });
  });
});
