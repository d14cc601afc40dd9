import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toJson } from '../../core/json.ts';
import { guardQuestion, type QuestionRules, type Verdict } from './questions.ts';

const RULES: QuestionRules = { profile: 'fustr', blockSecretForms: true };

const ask = (method: string, params: object | string, rules: Partial<QuestionRules> = {}): Verdict =>
  guardQuestion(method, typeof params === 'string' ? Buffer.from(params) : toJson(params), { ...RULES, ...rules });

/** What becomes of a question, in a few words: the bytes that are carried, or why not and the answer. */
function outcome(verdict: Verdict): unknown {
  if (verdict.kind === 'ask') return verdict.params.toString();
  const { answer, why } = verdict;
  return [why, JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString())];
}

const TEXT = { type: 'string' };
const form = (properties: object, more: object = {}, top: object = {}) => ({
  message: 'Tell me more',
  requestedSchema: { type: 'object', properties, ...more },
  ...top,
});
const elicit = (params: object | string, rules?: Partial<QuestionRules>) => ask('elicitation/create', params, rules);
const DECLINED = ['secret-form', { action: 'decline' }];
const malformed = (problem: string) => ['form-schema', { code: -32602, message: `The form cannot be shown: ${problem}.` }];

describe('sampling', () => {
  const rest = '"maxTokens": 9007199254740993, "messages" : [ ] , "x":1.0e2';

  it.each([
    ['"thisServer"', '"none"'],
    ['"allServers"', '"none"'],
    ['null', '"none"'],
    ['{"a":[1]}', '"none"'],
  ])('with context %s, which the client does not offer, asks for %s; no other byte changes', (given, sent) => {
    const params = (value: string) => `{ "includeContext":${value} , ${rest} }`;
    expect(outcome(ask('sampling/createMessage', params(given)))).toBe(params(sent));
    expect(outcome(ask('sampling/createMessage', params(given), { profile: 'sc' }))).toBe(params(given));
  });

  it('without context passes byte for byte', () => {
    for (const params of [
      `{ ${rest} }`,
      `{"includeContext" : "none",${rest}}`,
      `{"includeContext":"no\\u006ee"}`,
      `{"metadata":{"includeContext":"allServers"}}`,
    ]) {
      expect(outcome(ask('sampling/createMessage', params))).toBe(params);
    }
  });

  it('that says it twice says none once', () => {
    const params = '{"includeContext":"allServers","a":1,"includeContext":"none"}';
    expect(outcome(ask('sampling/createMessage', params))).toBe('{"a":1,"includeContext":"none"}');
    expect(outcome(ask('sampling/createMessage', '{"include\\u0043ontext":"allServers"}'))).toBe('{"include\\u0043ontext":"none"}');
  });
});

describe('a form', () => {
  it('with every kind of field passes byte for byte', () => {
    const properties = {
      a: { type: 'string', title: 'A', description: 'Any', minLength: 1, maxLength: 5, format: 'email', pattern: '^a', default: 'x' },
      b: { type: 'string', format: 'uuid' },
      c: { type: 'number', minimum: 0, maximum: 1 },
      d: { type: 'integer', exclusiveMinimum: 0 },
      e: { type: 'boolean', default: false },
      f: { type: 'string', enum: ['x', 'y'], enumNames: ['X', 'Y'] },
      g: { type: 'string', oneOf: [{ const: 'x', title: 'X' }] },
      h: { type: 'array', items: { type: 'string', enum: ['x'] }, minItems: 1 },
      i: { type: 'array', items: { anyOf: [{ const: 'x', title: 'X' }] }, default: ['x'] },
    };
    const params = form(properties, { required: ['a', 'i'], $schema: 'https://json-schema.org/draft/2020-12/schema', additionalProperties: false });
    for (const mode of [{}, { mode: 'form' }]) {
      const text = JSON.stringify({ ...params, ...mode }, undefined, 1);
      expect(outcome(elicit(text))).toBe(text);
    }
    expect(outcome(elicit(form({})))).toBe(JSON.stringify(form({})));
  });

  it('with optional fields as some SDKs write them passes byte for byte', () => {
    const maybe = (schema: object) => ({ anyOf: [schema, { type: 'null' }], default: null, title: 'A' });
    const properties = { a: maybe(TEXT), b: maybe({ type: 'integer' }), c: maybe({ type: 'string', enum: ['x'] }), d: { type: ['null', 'string'] } };
    expect(outcome(elicit(form(properties)))).toBe(JSON.stringify(form(properties)));
  });

  const flat = (name: string) => malformed(`requestedSchema must be flat: "${name}" is no string, number, boolean or choice`);
  it.each([
    ['an object in it', form({ a: { type: 'object', properties: { b: TEXT } } }), flat('a')],
    ['a list of texts', form({ a: { type: 'array', items: TEXT } }), flat('a')],
    ['a list of objects', form({ a: { type: 'array', items: { type: 'object' } } }), flat('a')],
    ['a list of anything', form({ a: { type: 'array' } }), flat('a')],
    ['a field without a type', form({ a: {} }), flat('a')],
    ['a field that is no schema', form({ a: true }), flat('a')],
    ['a choice of numbers', form({ a: { type: 'string', enum: [1] } }), flat('a')],
    ['a choice of schemas', form({ a: { type: 'string', oneOf: [TEXT] } }), flat('a')],
    ['two forms of choices', form({ a: { type: 'string', enum: ['a'], oneOf: [{ const: 'b', title: 'B' }] } }), flat('a')],
    ['a number that is a choice', form({ a: { type: 'number', oneOf: [{ const: 'b', title: 'B' }] } }), flat('a')],
    ['an optional object', form({ a: { anyOf: [{ type: 'object' }, { type: 'null' }] } }), flat('a')],
    ['one of two kinds', form({ a: { anyOf: [TEXT, { type: 'number' }] } }), flat('a')],
    ['a union in a union', form({ a: { anyOf: [{ anyOf: [TEXT, { type: 'null' }] }, { type: 'null' }] } }), flat('a')],
    ['nothing but null', form({ a: { anyOf: [{ type: 'null' }, { type: 'null' }] } }), flat('a')],
    ['two types', form({ a: { type: ['string', 'object'] } }), flat('a')],
    ['a reference', form({ a: { type: 'string', $ref: '#/$defs/x' } }), flat('a')],
    ['a condition in a field', form({ a: { type: 'string', if: {} } }), flat('a')],
    ['a long name', form({ ['n'.repeat(100)]: {} }), flat(`${'n'.repeat(64)}…`)],
    ['more fields by allOf', form({}, { allOf: [{ properties: { a: TEXT } }] }), malformed('requestedSchema must be flat: it has allOf')],
    ['more fields by pattern', form({}, { patternProperties: { a: TEXT } }), malformed('requestedSchema must be flat: it has patternProperties')],
    [
      'more fields by any name',
      form({}, { additionalProperties: TEXT }),
      malformed('requestedSchema must be flat: it has a schema for additionalProperties'),
    ],
    ['no schema', { message: 'x' }, malformed('requestedSchema is missing')],
    ['a schema that is none', { requestedSchema: [] }, malformed('requestedSchema must be a JSON Schema of type object')],
    ['another type', form({}, { type: 'string' }), malformed('requestedSchema must be a JSON Schema of type object')],
    ['no fields at all', { requestedSchema: { type: 'object' } }, malformed('requestedSchema must have properties')],
    ['a required field that is none', form({ a: TEXT }, { required: ['b'] }), malformed('requestedSchema requires "b", which is none of its fields')],
    ['required that is no list', form({ a: TEXT }, { required: true }), malformed('requestedSchema.required must be a list of names')],
    ['an unknown mode', form({ a: TEXT }, {}, { mode: 'Form' }), malformed('mode must be form or url')],
    ['no mode', form({ a: TEXT }, {}, { mode: null }), malformed('mode must be form or url')],
  ])('with %s is refused', (_, params, expected) => {
    expect(outcome(elicit(params))).toEqual(expected);
  });

  it('has 64 fields at most', () => {
    const fields = (count: number) => form(Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, TEXT])));
    expect(elicit(fields(64)).kind).toBe('ask');
    expect(outcome(elicit(fields(65)))).toEqual(malformed('requestedSchema has 65 fields; 64 is the most'));
  });

  it('has 64 KiB at most', () => {
    const sized = (bytes: number) => {
      const empty = JSON.stringify(form({ a: { ...TEXT, title: '' } }).requestedSchema).length;
      return form({ a: { ...TEXT, title: 'x'.repeat(bytes - empty) } });
    };
    expect(elicit(sized(65_536)).kind).toBe('ask');
    expect(outcome(elicit(sized(65_537)))).toEqual(malformed('requestedSchema has 65537 bytes; 65536 is the most'));
  });

  it('has a message of 65536 characters at most', () => {
    const params = (length: number) => form({}, {}, { message: 'ä'.repeat(length) });
    expect(elicit(params(65_536)).kind).toBe('ask');
    expect(outcome(elicit(params(65_537)))).toEqual(malformed('message has 65537 characters; 65536 is the most'));
  });

  it.each([
    [
      'requestedSchema',
      '{"requestedSchema":{"type":"object","properties":{"password":{"type":"string"}}},"requestedSchema":{"type":"object","properties":{}}}',
      'params',
    ],
    ['mode', '{"mode":"form","mode":"url","requestedSchema":{"type":"object","properties":{"password":{"type":"string"}}}}', 'params'],
    ['properties', '{"requestedSchema":{"type":"object","properties":{"password":{"type":"string"}},"properties":{}}}', 'requestedSchema'],
    ['a', '{"requestedSchema":{"type":"object","properties":{"a":{"type":"string","title":"Password"},"a":{"type":"string"}}}}', 'requestedSchema'],
    ['title', '{"requestedSchema":{"type":"object","properties":{"a":{"type":"string","title":"Password","titl\\u0065":"A"}}}}', 'requestedSchema'],
    [
      'const',
      '{"requestedSchema":{"type":"object","properties":{"a":{"type":"string", "oneOf" : [ {"const":"a","title":"A"}, {"const":"b","const":"c"}]}}}}',
      'requestedSchema',
    ],
  ])('with %s twice is refused: which one is shown is up to the client', (name, params, place) => {
    expect(outcome(elicit(params))).toEqual(malformed(`"${name}" stands twice in ${place}`));
  });
});

describe('a form that asks for a secret', () => {
  it.each([
    ['by name', form({ api_key: TEXT })],
    ['by title', form({ value: { ...TEXT, title: 'API key' } })],
    ['by description', form({ value: { ...TEXT, description: 'The access token of your account' } })],
    ['by format', form({ value: { ...TEXT, format: 'password' } })],
    ['by title of an optional field', form({ value: { anyOf: [{ ...TEXT, title: 'API key' }, { type: 'null' }], title: 'Value' } })],
    ['by title around an optional field', form({ value: { anyOf: [{ ...TEXT, title: 'Value' }, { type: 'null' }], title: 'API key' } })],
    ['by format of an optional field', form({ value: { anyOf: [{ ...TEXT, format: 'PASSWORD' }, { type: 'null' }] } })],
    ['as a number', form({ pinCode: { type: 'integer' } })],
    ['among others', form({ name: TEXT, color: { type: 'string', enum: ['red'] }, password: TEXT })],
    ['with its mode said', form({ password: TEXT }, {}, { mode: 'form' })],
    ['in the text', form({ value: TEXT }, {}, { message: 'Please paste your API key.' })],
    ['in the title of the form', form({ value: TEXT }, { title: 'Enter your password' })],
    ['in the description of the form', form({ value: TEXT }, { description: 'Enter your password' })],
    ['under a name of the language', form({ ['__proto__']: TEXT, password: TEXT })],
  ])('%s is declined, unless that is allowed', (_, params) => {
    expect(outcome(elicit(params))).toEqual(DECLINED);
    expect(outcome(elicit(params, { blockSecretForms: false }))).toBe(JSON.stringify(params));
  });

  it.each([
    ['switches', form({ reset_password: { type: 'boolean', title: 'Reset the password?' } }, {}, { message: 'Share your token with the service?' })],
    ['choices', form({ credential: { type: 'string', enum: ['work', 'home'], description: 'Which credential to use' } })],
    ['several choices', form({ secrets: { type: 'array', items: { type: 'string', enum: ['a', 'b'] } } })],
    ['no fields', form({}, {}, { message: 'Enter your password in the other window, then accept.' })],
    ['what is no secret', form({ keyboard: TEXT, max_tokens: { type: 'integer' }, primaryKey: TEXT })],
    ['a text that mentions one', form({ reason: TEXT }, {}, { message: 'Your password has expired.' })],
  ])('is not one with %s', (_, params) => {
    expect(outcome(elicit(params))).toBe(JSON.stringify(params));
  });

  it('never passes, however the name is written and wherever the field stands', () => {
    const secret = fc.constantFrom('password', 'api key', 'access token', 'client secret', 'private key', 'credentials', 'one time code', 'cvv');
    const writing = fc.constantFrom<(words: string[]) => string>(
      (words) => words.join('_'),
      (words) => words.join('-'),
      (words) => words.join(' '),
      (words) => words.map((word) => word.toUpperCase()).join('_'),
      (words) => words.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`).join(''),
      (words) => words.map((word, index) => (index === 0 ? word : `${word.charAt(0).toUpperCase()}${word.slice(1)}`)).join(''),
    );
    const around = fc.constantFrom('', 'user', 'my', 'the github', 'database');
    const others = fc.array(fc.constantFrom('name', 'city', 'color', 'amount'), { maxLength: 3 });
    const place = fc.constantFrom('name', 'title', 'description');
    fc.assert(
      fc.property(secret, writing, around, others, place, fc.nat(3), (words, write, prefix, more, where, index) => {
        const text = write(`${prefix} ${words}`.trim().split(' '));
        const field: [string, object] = where === 'name' ? [text, TEXT] : ['value', { ...TEXT, [where]: text }];
        const fields = more.map((name): [string, object] => [name, TEXT]);
        fields.splice(index, 0, field);
        expect(outcome(elicit(form(Object.fromEntries(fields))))).toEqual(DECLINED);
      }),
    );
  });
});

describe('everything else', () => {
  it('passes byte for byte', () => {
    const url = '{ "mode":"url","message":"Enter your password there","url":"https://x", "elicitationId":"1", "n":9007199254740993 }';
    expect(outcome(elicit(url))).toBe(url);
    for (const method of ['roots/list', 'ping', 'tools/call', 'elicitation/other']) {
      expect(outcome(ask(method, '{"requestedSchema": 1,"includeContext":"allServers"}'))).toBe(
        '{"requestedSchema": 1,"includeContext":"allServers"}',
      );
    }
  });

  it('of any shape gets a verdict', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('elicitation/create', 'sampling/createMessage', 'roots/list'),
        fc.jsonValue(),
        fc.jsonValue(),
        (method, params, schema) => {
          expect(['ask', 'answer']).toContain(ask(method, JSON.stringify(params)).kind);
          expect(['ask', 'answer']).toContain(ask(method, { requestedSchema: schema, message: params, includeContext: params }).kind);
          expect(['ask', 'answer']).toContain(ask(method, { requestedSchema: { type: 'object', properties: schema, required: params } }).kind);
          expect(['ask', 'answer']).toContain(ask(method, form({ a: schema, b: { type: 'array', items: params } })).kind);
        },
      ),
    );
  });
});
