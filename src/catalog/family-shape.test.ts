import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toJson } from '../core/json.ts';
import type { Era, JsonObject } from '../core/mcp.ts';
import { FamilyShape } from './family-shape.ts';
import { cpuMs } from './sample-source.ts';

function shapeOf(definition: string | JsonObject, era: Era = 'modern'): FamilyShape {
  const bytes = typeof definition === 'string' ? Buffer.from(definition) : toJson(definition);
  return new FamilyShape(JSON.parse(bytes.toString()) as JsonObject, bytes, era);
}

const difference = (a: string | JsonObject, b: string | JsonObject) => {
  const there = shapeOf(a).differsFrom(shapeOf(b));
  expect(shapeOf(b).differsFrom(shapeOf(a))).toBe(there);
  return there;
};
const input = (schema: JsonObject) => ({ inputSchema: { type: 'object', ...schema } });

describe('members agree', () => {
  it.each<[string, string | JsonObject, string | JsonObject]>([
    [
      'on the order of keys',
      { description: 'd', inputSchema: { type: 'object', required: ['a'] } },
      { inputSchema: { required: ['a'], type: 'object' }, description: 'd' },
    ],
    [
      'whatever blanks and escapes they write',
      '{"description":"\\u0061b","inputSchema":{"type":"object"}}',
      '{ "description" : "ab", "inputSchema" :{ "type" : "object" } }',
    ],
    [
      'whatever their titles are',
      { title: 'One', annotations: { title: 'A', readOnlyHint: true } },
      { title: 'Two', annotations: { readOnlyHint: true } },
    ],
    ['with a title for all their annotations', { annotations: { title: 'A' } }, {}],
    [
      'whatever schemas are titled',
      input({ title: 'A', properties: { x: { title: 'B', items: [{ title: 'C' }] } } }),
      input({ properties: { x: { items: [{}] } } }),
    ],
    [
      'however they describe properties',
      input({ properties: { x: { description: 'one', anyOf: [{ description: 'a' }] } } }),
      input({ properties: { x: { description: 'two', anyOf: [{}] } } }),
    ],
    ['however they describe what properties refer to', input({ $defs: { x: { description: 'one' } } }), input({ $defs: { x: {} } })],
    ['whatever else they say', { _meta: { a: 1 }, icons: [], execution: {} }, {}],
    ['on nothing', {}, { description: '' }],
  ])('%s', (_, a, b) => {
    expect(difference(a, b)).toBeUndefined();
  });
});

describe('members differ', () => {
  it.each<[string, string, string | JsonObject, string | JsonObject]>([
    ['a text', 'description', { description: 'a' }, { description: 'A' }],
    ['a missing text', 'description', { description: 'a' }, {}],
    ['a hint', 'annotations', { annotations: { readOnlyHint: true } }, { annotations: { readOnlyHint: false } }],
    ['a missing hint', 'annotations', { annotations: { readOnlyHint: false } }, {}],
    ['annotations that are none', 'annotations', { annotations: null }, {}],
    ['a keyword', 'inputSchema', input({ properties: { x: { minimum: 1 } } }), input({ properties: { x: { minimum: 2 } } })],
    ['what arguments are for', 'inputSchema', input({ description: 'a' }), input({ description: 'b' })],
    ['the form of a number', 'inputSchema', '{"inputSchema":{"maximum":1}}', '{"inputSchema":{"maximum":1.0}}'],
    ['a number and a text', 'inputSchema', '{"inputSchema":{"const":1}}', '{"inputSchema":{"const":"1"}}'],
    ['digits', 'inputSchema', '{"inputSchema":{"maximum":12345678901234567890}}', '{"inputSchema":{"maximum":12345678901234567891}}'],
    ['the order of a list', 'inputSchema', input({ required: ['a', 'b'] }), input({ required: ['b', 'a'] })],
    ['a property called title', 'inputSchema', input({ properties: { title: {} } }), input({ properties: {} })],
    [
      'the type of a property called description',
      'inputSchema',
      input({ properties: { description: { type: 'string' } } }),
      input({ properties: { description: {} } }),
    ],
    ['a definition called title', 'inputSchema', input({ $defs: { title: { type: 'string' } } }), input({ $defs: { title: {} } })],
    [
      'titles in data',
      'inputSchema',
      input({ properties: { x: { default: { title: 'a' } } } }),
      input({ properties: { x: { default: { title: 'b' } } } }),
    ],
    [
      'descriptions in data',
      'inputSchema',
      input({ properties: { x: { const: { description: 'a' } } } }),
      input({ properties: { x: { const: {} } } }),
    ],
    ['a header', 'inputSchema', input({ properties: { x: { 'x-mcp-header': 'A' } } }), input({ properties: { x: {} } })],
    ['true for a schema', 'inputSchema', input({ properties: { x: true } }), input({ properties: { x: {} } })],
    ['a result', 'outputSchema', { outputSchema: { type: 'object' } }, { outputSchema: { type: 'object', required: [] } }],
    ['a missing result', 'outputSchema', { outputSchema: {} }, {}],
  ])('in %s', (_, part, a, b) => {
    expect(difference(a, b)).toBe(part);
  });

  it('in their era, where it changes what is listed', () => {
    const array = { outputSchema: { type: 'array' } };
    expect(shapeOf(array).differsFrom(shapeOf(array, 'legacy'))).toBe('the protocol era of its results');
    const object = { outputSchema: { type: 'object' } };
    expect(shapeOf(object).differsFrom(shapeOf(object, 'legacy'))).toBeUndefined();
  });
});

it('is read in time that its length decides, and not how deeply it is nested', () => {
  const time = (depth: number) => {
    const nested = `${'{"a":'.repeat(depth)}[${'1,'.repeat(100_000)}1]${'}'.repeat(depth)}`;
    const definition = (description: string) => `{"inputSchema":{"properties":{"p":{"default":${nested},"description":"${description}"}}}}`;
    const [one, other] = [shapeOf(definition('a')), shapeOf(definition('b'))];
    return cpuMs(() => expect(one.differsFrom(other)).toBeUndefined());
  };
  time(1);
  expect(time(480)).toBeLessThan(3 * time(1) + 50);
});

describe('for every schema', () => {
  const word = fc.constantFrom('a', 'b', 'title', 'description', 'properties', 'items', 'enum', '__proto__');
  const schema = fc.letrec<{ schema: JsonObject | boolean }>((tie) => ({
    schema: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.boolean(),
      fc.record(
        {
          type: fc.constantFrom('string', 'object', 'array'),
          minimum: fc.integer({ min: 0, max: 3 }),
          enum: fc.array(fc.oneof(word, fc.record({ title: word })), { maxLength: 2 }),
          required: fc.array(word, { maxLength: 2 }),
          properties: fc.dictionary(word, tie('schema'), { maxKeys: 3 }),
          $defs: fc.dictionary(word, tie('schema'), { maxKeys: 2 }),
          items: tie('schema'),
          anyOf: fc.array(tie('schema'), { maxLength: 2 }),
          default: fc.oneof(word, fc.record({ description: word })),
        },
        { requiredKeys: [] },
      ),
    ),
  })).schema;

  const MAPS = new Set(['properties', '$defs']);
  /** Walks a schema; what `at` says about a schema object replaces it. */
  function mapSchema(value: unknown, at: (schema: JsonObject, depth: number) => JsonObject, depth = 0): unknown {
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, child]): [string, unknown] => {
      if (MAPS.has(key)) return [key, ownObject(Object.entries(child as object).map(([name, one]) => [name, mapSchema(one, at, depth + 1)]))];
      if (key === 'items') return [key, mapSchema(child, at, depth + 1)];
      if (key === 'anyOf') return [key, (child as unknown[]).map((one) => mapSchema(one, at, depth + 1))];
      return [key, child];
    });
    return at(ownObject(entries), depth);
  }
  /** Own members only, `__proto__` too. */
  const ownObject = (entries: [string, unknown][]): JsonObject => Object.fromEntries(entries);
  const reversed = (value: JsonObject) => ownObject(Object.entries(value).reverse());

  it('titles, descriptions of properties and the order of keys change nothing', () => {
    fc.assert(
      fc.property(schema, fc.string(), (one, text) => {
        const decorated = mapSchema(one, (part, depth) => reversed({ ...part, title: text, ...(depth === 0 ? {} : { description: text }) }));
        expect(difference({ inputSchema: one }, { inputSchema: decorated })).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  it('anything else does', () => {
    fc.assert(
      fc.property(schema, fc.nat(20), fc.constantFrom('minimum', 'required', 'enum', 'x-own', 'type'), (one, place, keyword) => {
        let seen = 0;
        let changed = false;
        const other = mapSchema(one, (part) => {
          if (seen++ !== place) return part;
          changed = true;
          return { ...part, [keyword]: ['new'] };
        });
        expect(difference({ inputSchema: one }, { inputSchema: other })).toBe(changed ? 'inputSchema' : undefined);
      }),
      { numRuns: 300 },
    );
  });
});
