import { describe, expect, it } from 'vitest';
import { toJson } from '../../core/json.ts';
import { fittingAnswer } from './fitting-answers.ts';

const PARAMS = { requestedSchema: { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] } };
const fitted = (answer: unknown, method = 'elicitation/create', params: object = PARAMS) =>
  fittingAnswer(method, { ...params }, Buffer.isBuffer(answer) ? answer : toJson(answer))?.toString();

describe('an answer', () => {
  it('that fits passes byte for byte', () => {
    const bytes = '{ "action" : "accept", "content": {"word":"\\u0041" } }';
    expect(fitted(Buffer.from(bytes))).toBe(bytes);
  });

  it('keeps what was asked for and nothing else', () => {
    expect(fitted({ action: 'accept', content: { sure: true, word: 'x', toString: 1 } })).toBe('{"action":"accept","content":{"word":"x"}}');
    expect(fitted(Buffer.from('{"action":"accept","content":{"__proto__":{"a":1},"word":"x"}}'))).toBe('{"action":"accept","content":{"word":"x"}}');
  });

  it('that lacks a field does not fit, whatever else it has', () => {
    expect(fitted({ action: 'accept', content: { sure: true } })).toBeUndefined();
    expect(fitted({ action: 'accept', content: { word: 7, sure: true } })).toBeUndefined();
    expect(fitted(Buffer.from('{"action":'))).toBeUndefined();
    expect(fitted(7)).toBeUndefined();
  });

  it('to a URL or to another question is not looked into', () => {
    const roots = { roots: [{ uri: 'file:///a', more: 1 }], content: { word: 1 } };
    expect(fitted(roots, 'roots/list')).toBe(JSON.stringify(roots));
    const opened = { action: 'accept', content: { a: 1 } };
    expect(fitted(opened, 'elicitation/create', { mode: 'url' })).toBe(JSON.stringify(opened));
  });
});
