import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileGlob } from './globs.ts';
import { cpuMs } from './sample-source.ts';

function matches(pattern: string, text: string): boolean {
  const glob = compileGlob(pattern);
  if (!glob.ok) throw new Error(glob.error);
  return glob.value.matches(text);
}

describe('compileGlob', () => {
  it.each([
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['delete_*', 'delete_file', true],
    ['delete_*', 'undelete_file', false],
    ['DELETE_*', 'delete_file', false],
    ['*_exec', 'pod_exec', true],
    ['*_exec', 'pod_exec_', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['?', '😀', true],
    ['[a-c]x', 'bx', true],
    ['[a-c]x', 'dx', false],
    ['[ac-]', '-', true],
    ['a.c', 'abc', false],
    ['a**b', 'ab', true],
    ['\\*', '\\anything', true],
    ['(a|b)+', '(a|b)+', true],
  ])('%j and %j: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  it.each(['[', 'a[', '[]', '[z-a]', '[!a]', '[^a]', 'x'.repeat(201)])('refuses %j', (pattern) => {
    expect(compileGlob(pattern)).toMatchObject({ ok: false, error: expect.stringMatching(/^Invalid pattern "/) });
  });

  it('accepts 200 characters', () => {
    expect(matches('x'.repeat(200), 'x'.repeat(200))).toBe(true);
  });

  it('agrees with the obvious definition', () => {
    const slow = (pattern: string, text: string): boolean => {
      if (pattern === '') return text === '';
      if (pattern[0] === '*') return slow(pattern.slice(1), text) || (text !== '' && slow(pattern, text.slice(1)));
      return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && slow(pattern.slice(1), text.slice(1));
    };
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
    fc.assert(
      fc.property(pattern, fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 }), (glob, text) => {
        expect(matches(glob, text)).toBe(slow(glob, text));
      }),
      { numRuns: 500 },
    );
  });

  it('answers hostile patterns in time (security class 9)', () => {
    const pattern = `${'*a'.repeat(99)}*b`;
    expect(cpuMs(() => expect(matches(pattern, 'a'.repeat(10_000))).toBe(false))).toBeLessThan(50);
  });
});
