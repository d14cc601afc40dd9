import { Validator as Reference } from '@cfworker/json-schema';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../core/mcp.ts';
import { compileSchema } from './schema.ts';

const faults = (schema: JsonObject, value: unknown) => compileSchema(schema)(value).map(({ path, text }) => `${path}: ${text}`);

describe('what is wrong, and what to do', () => {
  const schema: JsonObject = {
    type: 'object',
    additionalProperties: false,
    required: ['project_id'],
    properties: {
      project_id: { type: ['integer', 'string'], description: 'Numeric id or path. As in group/app.' },
      state: { enum: ['opened', 'closed'] },
      per_page: { type: 'integer', minimum: 1, maximum: 100 },
      labels: { type: 'array', items: { type: 'string', minLength: 1 }, maxItems: 2, uniqueItems: true },
      since: { type: 'string', format: 'date-time' },
      sha: { type: 'string', pattern: '^[0-9a-f]{4,40}$' },
      actions: {
        type: 'array',
        items: { type: 'object', required: ['path'], properties: { path: { type: 'string' } }, additionalProperties: false },
      },
    },
  };

  it.each<[unknown, string[]]>([
    [{ project_id: 1 }, []],
    [{ project_id: 'group/app', state: 'opened', per_page: 100, labels: ['a', 'b'], since: '2026-01-31T12:00:00Z', sha: 'abcd', actions: [] }, []],
    [{}, ['project_id: Missing. Add an integer or a string: Numeric id or path.']],
    [[], [': Expected an object, got a list.']],
    [{ project_id: null }, ['project_id: Expected an integer or a string, got null. Leave it out if there is no value.']],
    [{ project_id: 1.5 }, ['project_id: Expected an integer or a string, got 1.5. Put it in quotes.']],
    [{ project_id: 1, state: 'merged' }, ['state: Expected one of "opened", "closed", got "merged".']],
    [{ project_id: 1, per_page: 0 }, ['per_page: Expected a number of at least 1 and at most 100, got 0.']],
    [{ project_id: 1, per_page: '20' }, ['per_page: Expected an integer, got "20". Leave the quotes away.']],
    [{ project_id: 1, labels: 'bug' }, ['labels: Expected an array, got "bug". Put the value into a list.']],
    [{ project_id: 1, labels: ['a', ''] }, ['labels[1]: Expected at least 1 character, got 0.']],
    [{ project_id: 1, labels: ['a', 'b', 'c'] }, ['labels: Expected at most 2 items, got 3.']],
    [{ project_id: 1, labels: ['a', 'a'] }, ['labels: The same item stands there twice. Remove the repeated one.']],
    [{ project_id: 1, since: 'monday' }, ['since: Expected a time such as 2026-01-31T12:00:00Z, got "monday".']],
    [{ project_id: 1, sha: 'main' }, ['sha: Expected a text that matches ^[0-9a-f]{4,40}$, got "main".']],
    [{ project_id: 1, actions: [{ path: 'a' }, {}] }, ['actions[1].path: Missing. Add a string']],
    [{ projectId: 1 }, ['project_id: Missing. Add an integer or a string: Numeric id or path.', 'projectId: No such parameter. Use project_id.']],
    [
      { project_id: 1, confirm: true },
      ['confirm: No such parameter. Remove it, or use one of project_id, state, per_page, labels, since, sha, actions.'],
    ],
  ])('%j', (value, expected) => {
    expect(faults(schema, value)).toEqual(expected);
  });

  it('takes members of the prototype for what they are: foreign names', () => {
    expect(faults(schema, JSON.parse('{"project_id":1,"__proto__":{},"constructor":1}'))).toHaveLength(2);
    expect(faults({ type: 'object', properties: { toString: { type: 'string' } }, required: ['toString'] }, {})).toHaveLength(1);
  });

  it('repeats no long text: it may be a token', () => {
    const [fault] = faults({ enum: ['a'] }, 'glpat-0123456789abcdefghij');
    expect(fault).toBe(': Expected "a", got a string of 28 characters.');
  });

  it('says one thing about one value', () => {
    expect(faults({ type: 'string', enum: ['a'] }, 1)).toEqual([': Expected a string, got 1. Put it in quotes.']);
  });

  it.each<[string, string, boolean]>([
    ['date', '2024-02-29', true],
    ['date', '2026-02-29', false],
    ['date', '2026-2-1', false],
    ['date', '2026-13-01', false],
    ['date-time', '2026-02-28T23:59:59.5+01:00', true],
    ['date-time', '2026-02-30T00:00:00Z', false],
    ['date-time', '2026-02-28T25:00:00Z', false],
    ['date-time', '2026-02-28T00:00:00', false],
    ['uri', 'https://example.com/a?b', true],
    ['uri', '/relative', false],
    ['email', 'a@b.c', true],
    ['email', 'a b@c', false],
  ])('%s %s: %s', (format, text, expected) => {
    expect(faults({ format }, text).length === 0).toBe(expected);
  });

  it('tells eight faults at most', () => {
    expect(
      faults(
        { type: 'array', items: { type: 'string' } },
        Array.from({ length: 50_000 }, () => 1),
      ),
    ).toHaveLength(8);
  });

  it('knows the one alternative that is meant', () => {
    const either: JsonObject = { anyOf: [{ type: 'string' }, { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] }] };
    expect(faults(either, 'x')).toEqual([]);
    expect(faults(either, { id: 'x' })).toEqual(['id: Expected an integer, got "x". Leave the quotes away.']);
    expect(faults(either, 7)).toEqual([': Expected a string, or an object, got 7.']);
  });

  it('follows definitions, those that hold themselves included', () => {
    const tree: JsonObject = {
      $ref: '#/$defs/node',
      $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' } }, additionalProperties: false } },
    };
    expect(faults(tree, { next: { next: {} } })).toEqual([]);
    expect(faults(tree, { next: { next: 1 } })).toEqual(['next.next: Expected an object, got 1.']);
  });
});

describe('schemas that nobody would check', () => {
  it.each<[JsonObject]>([
    [{ oneOf: [{}] }],
    [{ type: 'text' }],
    [{ format: 'ipv4' }],
    [{ $ref: 'https://example.com/schema' }],
    [{ $ref: '#/$defs/none' }],
    [{ anyOf: [] }],
    [{ required: ['a'] }],
    [{ properties: { a: { if: {} } } }],
    [{ items: { patternProperties: {} } }],
    [{ additionalProperties: { not: {} } }],
  ])('are refused: %j', (schema) => {
    expect(() => compileSchema(schema)).toThrow(TypeError);
  });
});

describe('beside another implementation', () => {
  const value = fc.oneof(
    fc.constantFrom<unknown>('', 'a', 'ab', 'abc', 0, 1, 2, -1, 1.5, true, null),
    fc.array(fc.constantFrom<unknown>('a', 1, true, null), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom<unknown>('a', 1, true, [], {}), { maxKeys: 3 }),
  );
  const leaf: fc.Arbitrary<JsonObject> = fc.oneof(
    fc.record({ type: fc.constantFrom('string', 'number', 'integer', 'boolean', 'object', 'array', 'null') }),
    fc.record({ enum: fc.uniqueArray(fc.constantFrom<unknown>('a', 1, true, null), { minLength: 1 }) }),
    fc.record({ minLength: fc.nat(3), maxLength: fc.nat(3) }),
    fc.record({ pattern: fc.constantFrom('^a', 'b$', '^[a-c]{2}$') }),
    fc.record({ minimum: fc.integer({ min: -1, max: 2 }), exclusiveMaximum: fc.integer({ min: -1, max: 2 }) }),
  );
  const schema = fc.oneof(
    leaf,
    fc.record({ anyOf: fc.array(leaf, { minLength: 1, maxLength: 3 }) }),
    fc.record({ items: leaf, minItems: fc.nat(2), uniqueItems: fc.boolean() }),
    fc.record({ properties: fc.record({ a: leaf, b: leaf }), additionalProperties: fc.oneof(fc.boolean(), leaf).map((one) => one !== true && one) }),
    fc.record({ properties: fc.record({ a: leaf }), required: fc.constant(['a']) }),
  ) as fc.Arbitrary<JsonObject>;

  it('says the same about which values are right', () => {
    fc.assert(
      fc.property(schema, value, (one, candidate) => {
        const reference = new Reference(one as ConstructorParameters<typeof Reference>[0], '2020-12').validate(candidate);
        expect(compileSchema(one)(candidate).length === 0).toBe(reference.valid);
      }),
      { numRuns: 500 },
    );
  });
});
