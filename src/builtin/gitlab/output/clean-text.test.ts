import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanLine, cleanText } from './clean-text.ts';

const ESC = '\u001b';

describe('cleanText', () => {
  it.each([
    ['colours', `${ESC}[31;1mred${ESC}[0m`, 'red'],
    ['sections of job logs', `section_start:1:a\r${ESC}[0Kdo it`, 'section_start:1:ado it'],
    ['titles of terminals', `${ESC}]0;evil\u0007text`, 'text'],
    ['links of terminals', `${ESC}]8;;https://evil.test${ESC}\\text${ESC}]8;;${ESC}\\`, 'text'],
    ['a C1 sequence', '\u009b31mred', 'red'],
    ['a torn sequence', `text${ESC}`, 'text'],
    ['an unended string, whose text stays', `a${ESC}]0;b c`, 'a0;b c'],
    ['control characters', 'a\u0000b\u0008c\u007fd\u0085e', 'abcde'],
    ['CRLF', 'a\r\nb', 'a\nb'],
    ['bidirectional overrides', 'a\u202eb\u2066c\u200ed\u061c', 'abcd'],
    ['tag characters', 'hi\u{e0069}\u{e0067}\u{e006e}\u{e007f}', 'hi'],
    ['variation selectors that smuggle', 'a\u{e0100}b\u{e01ef}', 'ab'],
    ['lone surrogates', 'a\ud800b', 'a\ufffdb'],
  ])('removes %s', (_what, text, clean) => {
    expect(cleanText(text)).toBe(clean);
  });

  it.each(['plain', 'tab\tand\nnewline', 'Grüße', 'سلام', '👩‍👩‍👧', '日本語', '1️⃣'])('leaves %j alone', (text) => {
    expect(cleanText(text)).toBe(text);
  });

  it('leaves nothing that is hidden, and does nothing twice', () => {
    const piece = fc.constantFrom(
      ESC,
      '[',
      '31m',
      ']',
      '\u009b',
      '\u0007',
      '\r',
      '\n',
      '\t',
      'a',
      '\u202e',
      '\u{e0041}',
      '\ud83d',
      '\udc4d',
      '\\',
      'P',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const clean = cleanText(pieces.join(''));
        expect(cleanText(clean)).toBe(clean);
        for (const char of clean) {
          const point = char.codePointAt(0) ?? 0;
          expect(point >= 0x20 || point === 9 || point === 10).toBe(true);
          expect(point >= 0x7f && point <= 0x9f).toBe(false);
          expect((point >= 0x202a && point <= 0x202e) || (point >= 0xe0000 && point <= 0xe01ef)).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('takes time in proportion to the text', () => {
    const start = performance.now();
    for (const evil of [`${ESC}]`, `${ESC}[0`, `${ESC}P`, ESC, '\u0090']) cleanText(evil.repeat(200_000));
    expect(performance.now() - start).toBeLessThan(3_000);
  });
});

describe('cleanLine', () => {
  it('is one line of bounded length', () => {
    expect(cleanLine('a\nb\t c\u202e')).toBe('a b c');
    expect(cleanLine('x'.repeat(500))).toHaveLength(200);
  });
});
