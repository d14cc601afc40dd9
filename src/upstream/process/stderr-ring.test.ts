import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Secret } from '../../core/secret.ts';
import { harmless, STDERR_KEPT_BYTES, StderrRing } from './stderr-ring.ts';

test('keeps the last lines within the cap, and gives every line to the log', () => {
  const logged: string[] = [];
  const ring = new StderrRing({ maxBytes: 12, onLine: (line) => logged.push(line) });
  ring.push(Buffer.from('one\ntwo\nth'));
  ring.push(Buffer.from('ree\r\nfour\nfi'));
  expect(logged).toEqual(['one', 'two', 'three', 'four']);
  expect(ring.tail()).toBe('three\nfour\nfi');
  expect(ring.tail(1)).toBe('fi');
  ring.end();
  expect(logged.at(-1)).toBe('fi');
  expect(ring.tail(2)).toBe('four\nfi');
});

test('an endless line is cut and the memory stays bounded', () => {
  const ring = new StderrRing();
  for (let index = 0; index < 100; index++) {
    ring.push(Buffer.alloc(64 * 1024 + 1, 'x'));
    expect(ring.retainedBytes).toBeLessThanOrEqual(STDERR_KEPT_BYTES + 4 * 1024);
  }
  expect(ring.tail().length).toBeGreaterThan(STDERR_KEPT_BYTES / 2);
});

test('characters survive a cut between chunks', () => {
  const ring = new StderrRing();
  for (const byte of Buffer.from('grün €\n')) ring.push(Buffer.from([byte]));
  expect(ring.tail()).toBe('grün €');
});

test('terminal sequences and reordering marks are written out, colours go', () => {
  expect(harmless('\x1b[31mred\x1b[0m \x1b]0;title\x07 a\tb \u202egnp \x9b2J')).toBe('red \\u001b]0;title\\u0007 a\tb \\u202egnp \\u009b2J');
  const ring = new StderrRing();
  ring.push(Buffer.from('\x1b[2J\x00\xff bad\n', 'latin1'));
  expect(ring.tail()).toBe('\\u001b[2J\\u0000\ufffd bad');
});

test('nothing that comes out holds a control character', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }), (chunks) => {
      const ring = new StderrRing({ maxBytes: 200 });
      for (const chunk of chunks) ring.push(Buffer.from(chunk));
      ring.end();
      expect(ring.tail()).not.toMatch(/[^\P{Cc}\t\n]/u);
      expect(ring.retainedBytes).toBeLessThanOrEqual(200);
    }),
  );
});

test('secrets that the child was given are masked, line by line, short ones not', () => {
  const logged: string[] = [];
  const ring = new StderrRing({
    secrets: [new Secret('sentinel-1'), new Secret('BEGIN KEY\nline-two-of-it'), new Secret('a')],
    onLine: (line) => logged.push(line),
  });
  ring.push(Buffer.from('token=sentinel-1;\nBEGIN KEY\n line-two-of-it\nand sentinel-1'));
  expect(ring.tail()).toBe('token=***;\n***\n ***\nand ***');
  expect(logged.join()).not.toContain('sentinel');
});
