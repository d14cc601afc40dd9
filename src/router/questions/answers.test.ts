import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../core/mcp.ts';
import { cancelAnswer, checkAnswer } from './answers.ts';

const elicited = (answer: unknown, properties: object, more: object = {}): boolean =>
  checkAnswer('elicitation/create', { message: 'm', requestedSchema: { type: 'object', properties, ...more } }, answer);
const accepted = (content: unknown, properties: object, more: object = {}): boolean => elicited({ action: 'accept', content }, properties, more);

describe('an answer to a form', () => {
  it.each([
    [{ action: 'decline' }, true],
    [{ action: 'cancel' }, true],
    [{ action: 'cancel', content: null }, true],
    [{ action: 'decline', content: { other: 1 } }, true],
    [{ action: 'accept', content: { a: 'x' }, _meta: {} }, true],
    [{ action: 'accept' }, false],
    [{ action: 'accept', content: null }, false],
    [{ action: 'accept', content: {} }, false],
    [{ action: 'accept', content: [] }, false],
    [{ action: 'accept', content: { a: 'x', b: 'y' } }, false],
    [{ action: 'accept', content: { a: 1 } }, false],
    [{ action: 'Accept', content: { a: 'x' } }, false],
    [{ content: { a: 'x' } }, false],
    [{}, false],
    [null, false],
    ['accept', false],
    [[{ action: 'cancel' }], false],
  ])('%j: %s', (answer, fits) => {
    expect(elicited(answer, { a: { type: 'string' } }, { required: ['a'] })).toBe(fits);
  });

  it('may leave out what is not required, all of it included', () => {
    const properties = { a: { type: 'string' }, b: { type: 'boolean' } };
    for (const content of [undefined, null, {}, { b: true }, { a: '', b: false }]) expect(accepted(content, properties)).toBe(true);
    expect(accepted({ b: true }, properties, { required: ['a'] })).toBe(false);
  });

  const TITLED = [
    { const: 'x', title: 'X' },
    { const: 'y', title: 'Y' },
  ];
  it.each([
    [{ type: 'string' }, ['', 'a', '日本'], [1, true, null, ['a'], {}]],
    [{ type: 'string', minLength: 2, maxLength: 3 }, ['ab', 'abc', '𝒶𝒷𝒸'], ['a', 'abcd', '𝒶']],
    [{ type: 'string', pattern: '^a$', format: 'uuid', minLength: 'x', maxLength: null }, ['b', ''], [1]],
    [{ type: 'string', format: 'email' }, ['a@b', 'a.b+c@d.example'], ['a', '@b', 'a@', 'a@b@c', 'a b@c', '']],
    [{ type: 'string', format: 'uri' }, ['https://x', 'urn:a:b', 'mailto:a@b'], ['x', '//x', 'https:', 'a b:c', 'https://a b']],
    [{ type: 'string', format: 'date' }, ['2024-02-29', '0000-01-01', '2026-12-31'], ['2023-02-29', '2026-13-01', '2026-1-1', '2026-01-00', 'today']],
    [
      { type: 'string', format: 'date-time' },
      ['2026-01-01T00:00:00Z', '2026-01-01t23:59:60.123+02:00', '2026-01-01T10:00', '2026-01-01 10:00:00-0500'],
      ['2026-01-01', '2026-02-30T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01T10:60Z', '2026-01-01T1:00Z', '2026-01-01T10:00:00Zjunk'],
    ],
    [{ type: 'number' }, [0, -1.5, 1e300], ['1', true, null, Number.POSITIVE_INFINITY, Number.NaN]],
    [{ type: 'number', minimum: 1, maximum: 2 }, [1, 1.5, 2], [0.99, 2.01]],
    [{ type: 'number', minimum: '1' }, [0], []],
    [{ type: 'integer', minimum: -1 }, [-1, 5, 3.0], [-2, 1.5, '1']],
    [{ type: 'boolean' }, [true, false], ['true', 1, null]],
    [{ type: 'string', enum: ['x', 'y'], enumNames: ['X', 'Y'] }, ['x', 'y'], ['X', 'z', '', 1]],
    [{ type: 'string', oneOf: TITLED }, ['x'], ['X', ['x']]],
    [{ type: 'array', items: { type: 'string', enum: ['x', 'y'] } }, [[], ['x'], ['y', 'x']], ['x', ['z'], [1], [['x']], { 0: 'x' }]],
    [{ type: 'array', items: { anyOf: TITLED }, minItems: 1, maxItems: 2 }, [['x'], ['x', 'y']], [[], ['x', 'y', 'x'], ['X']]],
    [{ anyOf: [{ type: 'string', minLength: 1 }, { type: 'null' }], default: null }, [null, 'a'], ['', 1]],
    [{ type: ['integer', 'null'] }, [null, 1], [1.5, 'null']],
  ])('of the field %j', (field, good: readonly unknown[], bad: readonly unknown[]) => {
    for (const value of good) expect(accepted({ a: value }, { a: field }), JSON.stringify(value)).toBe(true);
    for (const value of bad) expect(accepted({ a: value }, { a: field }), JSON.stringify(value)).toBe(false);
  });

  it('has no fields but those of the form, whatever they are called', () => {
    const properties = { a: { type: 'string' } };
    for (const name of ['b', 'A', 'toString', '__proto__', 'constructor']) {
      expect(accepted(Object.fromEntries([[name, 'x']]), properties)).toBe(false);
    }
    const required = { required: ['toString'] };
    expect(accepted({}, { toString: { type: 'string' } }, required)).toBe(false);
    expect(accepted({ toString: 'x' }, { toString: { type: 'string' } }, required)).toBe(true);
  });

  it('to a question that is no form is none', () => {
    for (const params of [{}, { requestedSchema: null }, { requestedSchema: { type: 'object' } }]) {
      expect(checkAnswer('elicitation/create', params, { action: 'accept', content: {} })).toBe(false);
      expect(checkAnswer('elicitation/create', params, { action: 'cancel' })).toBe(true);
    }
  });

  it('in url mode needs no content', () => {
    const params = { mode: 'url', url: 'https://x', message: 'm' };
    for (const action of ['accept', 'decline', 'cancel']) expect(checkAnswer('elicitation/create', params, { action })).toBe(true);
    expect(checkAnswer('elicitation/create', params, { action: 'yes' })).toBe(false);
  });
});

describe('an answer to sampling', () => {
  const text = { type: 'text', text: 'hi' };
  const base = { role: 'assistant', model: 'm', content: text };
  it.each<[unknown, boolean]>([
    [base, true],
    [{ ...base, role: 'user', stopReason: 'endTurn' }, true],
    [{ ...base, content: [text, { type: 'tool_use', id: '1', name: 'x', input: {} }] }, true],
    [{ ...base, content: [] }, true],
    [{ ...base, content: { type: 'image', data: 'aa', mimeType: 'image/png' } }, true],
    [{ ...base, content: { type: 'audio', data: 'aa' } }, false],
    [{ ...base, content: { type: 'text' } }, false],
    [{ ...base, content: 'hi' }, false],
    [{ ...base, content: ['hi'] }, false],
    [{ ...base, content: [text, {}] }, false],
    [{ ...base, content: undefined }, false],
    [{ ...base, role: 'system' }, false],
    [{ ...base, model: 1 }, false],
    [{ role: 'assistant', content: text }, false],
    [{ ...base, stopReason: 1 }, false],
    [{ action: 'accept' }, false],
    [undefined, false],
  ])('%j: %s', (answer, fits) => {
    expect(checkAnswer('sampling/createMessage', {}, answer)).toBe(fits);
  });
});

describe('an answer to roots/list', () => {
  it.each<[unknown, boolean]>([
    [{ roots: [] }, true],
    [
      {
        roots: [
          { uri: 'file:///a', name: 'A' },
          { uri: 'file:///b', _meta: {} },
        ],
      },
      true,
    ],
    [{ roots: [{ uri: 'https://a' }] }, false],
    [{ roots: [{ uri: 'file:///a' }, { uri: 'File:///b' }] }, false],
    [{ roots: [{ name: 'a' }] }, false],
    [{ roots: [{ uri: 'file:///a', name: 1 }] }, false],
    [{ roots: ['file:///a'] }, false],
    [{ roots: {} }, false],
    [{}, false],
    [[], false],
  ])('%j: %s', (answer, fits) => {
    expect(checkAnswer('roots/list', {}, answer)).toBe(fits);
  });
});

describe('answers', () => {
  const METHODS = ['elicitation/create', 'sampling/createMessage', 'roots/list'];

  it('to what is no question are none', () => {
    expect(checkAnswer('ping', {}, {})).toBe(false);
  });

  it('of any shape are judged', () => {
    fc.assert(
      fc.property(fc.constantFrom(...METHODS), fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (method, schema, field, answer) => {
        const params: JsonObject = { requestedSchema: schema, mode: field };
        expect(typeof checkAnswer(method, params, answer)).toBe('boolean');
        expect(typeof accepted({ a: answer }, { a: field })).toBe('boolean');
      }),
    );
  });

  it('in place of nobody fit the question, but for sampling, which has no such result', () => {
    const form: JsonObject = { requestedSchema: { type: 'object', properties: {}, required: [] } };
    const read = (method: string) => {
      const answer = cancelAnswer(method);
      return answer.kind === 'result' ? JSON.parse(answer.result.toString()) : [answer.code, JSON.parse(answer.error.toString())];
    };
    expect(read('elicitation/create')).toEqual({ action: 'cancel' });
    expect(read('roots/list')).toEqual({ roots: [] });
    for (const method of ['elicitation/create', 'roots/list']) expect(checkAnswer(method, form, read(method))).toBe(true);
    expect(read('sampling/createMessage')).toEqual([-1, { code: -1, message: 'Nobody will answer: the call that asked has ended.' }]);
  });
});
