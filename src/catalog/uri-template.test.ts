import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cpuMs } from './sample-source.ts';
import { compileTemplate } from './uri-template.ts';

function matches(template: string, uri: string): boolean {
  return compileTemplate(template)?.matches(uri) ?? false;
}

describe('compileTemplate', () => {
  it.each([
    ['file:///{path}', 'file:///a', true],
    ['file:///{path}', 'file:///a/b', false],
    ['file:///{+path}', 'file:///a/b?c#d', true],
    ['file:///{path}', 'file:///', true],
    ['file:///{path}', 'files:///a', false],
    ['test://{id}/data', 'test://5/data', true],
    ['test://{id}/data', 'test://5/data/', false],
    ['test://{id}/data', 'test://a/b/data', false],
    ['x://a{?q,r}', 'x://a?q=1&r=2', true],
    ['x://a{?q,r}', 'x://a', true],
    ['x://a{?q,r}', 'x://ab', false],
    ['x://a?f=1{&q}', 'x://a?f=1&q=2', true],
    ['x://a{#f}', 'x://a#/b', true],
    ['x://a{/s*}', 'x://a/b/c', true],
    ['x://a{.e}', 'x://a.json', true],
    ['x://a{.e}', 'x://ajson', false],
    ['x://a{;p}', 'x://a;p=1', true],
    ['{+all}', 'anything://at/all', true],
    ['x://{a}{b}', 'x://ab', true],
    ['x://{a}-{b}', 'x://1-2-3', true],
    ['x://{a:3}', 'x://abc', true],
    ['x://plain', 'x://plain', true],
    ['x://plain', 'x://plainer', false],
    ['x://{a}abab', 'x://ababab', true],
    ['', '', true],
  ])('%s and %s: %s', (template, uri, expected) => {
    expect(matches(template, uri)).toBe(expected);
  });

  it.each(['x://{', 'x://}', 'x://{}', 'x://{a', 'x://{a}}', 'x://{=a}', 'x://{a b}', 'x://{a:0}', 'x://{{a}}', '{a}'.repeat(17), 'x'.repeat(2_049)])(
    'does not compile %s',
    (template) => {
      expect(compileTemplate(template)).toBeUndefined();
    },
  );

  it('matches every expansion of a template', () => {
    const literal = fc.stringMatching(/^[ab/]{0,4}$/);
    const value = fc.stringMatching(/^[abc]{0,4}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(literal, value), { minLength: 1, maxLength: 6 }), literal, (pairs, end) => {
        const template = `${pairs.map(([text], index) => `${text}{v${index}}`).join('')}${end}`;
        const uri = `${pairs.map(([text, expansion]) => `${text}${expansion}`).join('')}${end}`;
        expect(matches(template, uri)).toBe(true);
      }),
    );
  });

  it('agrees with a regular expression on small templates', () => {
    const part = fc.constantFrom('a', 'b', 'ab', 'aab', '/', '{v}', '{+w}');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 }), (parts, uri) => {
        const pattern = parts.map((text) => (text === '{v}' ? '[^/?#]*' : text === '{+w}' ? '.*' : text)).join('');
        expect(matches(parts.join(''), uri)).toBe(new RegExp(`^${pattern}$`).test(uri));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [`${'{+a}a'.repeat(16)}b`, 'a'.repeat(8_192)],
    [`{+a}${'a'.repeat(1_000)}b`, 'a'.repeat(8_192)],
    [`${'{a}'.repeat(16)}!`, 'a'.repeat(8_192)],
    [`{+a}${'ab'.repeat(500)}{+b}${'ab'.repeat(500)}c`, 'ab'.repeat(4_096)],
  ])('answers hostile templates in time (security class 9) %#', (template, uri) => {
    expect(cpuMs(() => expect(matches(template, uri)).toBe(false))).toBeLessThan(50);
  });

  it('stops when the budget is used up', () => {
    const budget = { left: 9 };
    const template = compileTemplate('{+a}b{+c}');
    expect(template?.matches('aba', { left: 20 })).toBe(true);
    expect(template?.matches('aba', budget)).toBe(false);
    expect(template?.matches(`b${'a'.repeat(8_192)}`)).toBe(false);
  });
});
