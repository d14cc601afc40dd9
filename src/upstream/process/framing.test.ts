import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asLine, LineReader, MAX_MESSAGE_BYTES } from './framing.ts';

function read(chunks: readonly Buffer[], maxBytes = 1_000) {
  const lines: string[] = [];
  let overflows = 0;
  const reader = new LineReader(
    maxBytes,
    (line) => lines.push(line.toString('latin1')),
    () => overflows++,
  );
  for (const chunk of chunks) reader.push(chunk);
  return { lines, rest: reader.end()?.toString('latin1'), overflows, reader };
}

test('cuts lines, drops carriage returns, skips empty lines, reports the half line', () => {
  expect(read([Buffer.from('{"a":1}\r\n\n\r\n{"b"'), Buffer.from(':2}\n{"c":')])).toMatchObject({
    lines: ['{"a":1}', '{"b":2}'],
    rest: '{"c":',
    overflows: 0,
  });
});

test('a carriage return inside a line stays', () => {
  expect(read([Buffer.from('a\rb\r'), Buffer.from('\n')]).lines).toEqual(['a\rb']);
});

test('however a stream is cut into chunks, the lines are the same', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', '\r', '\xff\xfe', 'x'.repeat(40)), { maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 30 }),
      (parts, sizes) => {
        const text = parts.join('');
        const whole = text.split('\n');
        const rest = whole.pop() as string;
        const expected = whole.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line)).filter((line) => line !== '');
        const bytes = Buffer.from(text, 'latin1');
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] as number;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(read(chunks, 10_000)).toMatchObject({ lines: expected, rest: rest === '' ? undefined : rest, overflows: 0 });
      },
    ),
  );
});

test.each([
  ['a line of the cap passes', 'x'.repeat(10), '\n', 0],
  ['a line of the cap passes with a carriage return', 'x'.repeat(10), '\r\n', 0],
  ['one byte more does not', 'x'.repeat(11), '\n', 1],
  ['one byte more with a carriage return does not', 'x'.repeat(11), '\r\n', 1],
])('%s', (_name, line, end, overflows) => {
  for (const chunks of [[line + end], [...(line + end)], [line, end]]) {
    const result = read(
      chunks.map((chunk) => Buffer.from(chunk)),
      10,
    );
    expect(result.overflows).toBe(overflows);
    expect(result.lines).toEqual(overflows ? [] : [line]);
  }
});

test('after an overflow nothing is read any more, and it is said once', () => {
  const result = read(
    ['x'.repeat(20), 'y'.repeat(20), '\nfine\n'].map((chunk) => Buffer.from(chunk)),
    10,
  );
  expect(result).toMatchObject({ lines: [], rest: undefined, overflows: 1 });
  expect(result.reader.retainedBytes).toBe(0);
});

test('a 100 MB line keeps no more than twice the cap while it streams in', () => {
  let overflows = 0;
  const reader = new LineReader(
    MAX_MESSAGE_BYTES,
    () => {},
    () => overflows++,
  );
  const chunk = Buffer.alloc(64 * 1024, 'x');
  let most = 0;
  for (let sent = 0; sent < 100e6; sent += chunk.length) {
    reader.push(chunk);
    most = Math.max(most, reader.retainedBytes);
  }
  expect(overflows).toBe(1);
  expect(most).toBeGreaterThan(MAX_MESSAGE_BYTES / 2);
  expect(most).toBeLessThanOrEqual(MAX_MESSAGE_BYTES + 1);
  expect(reader.retainedBytes).toBe(0);
});

test('a line in many small chunks costs neither memory per chunk nor quadratic time', () => {
  const lines: Buffer[] = [];
  const reader = new LineReader(
    MAX_MESSAGE_BYTES,
    (line) => lines.push(line),
    () => {},
  );
  const byte = Buffer.from('x');
  const count = 2_000_000;
  const before = process.memoryUsage.rss();
  for (let sent = 0; sent < count; sent++) reader.push(byte);
  expect(reader.retainedBytes).toBeLessThanOrEqual(2 * count);
  reader.push(Buffer.from('\n'));
  expect(lines.map((line) => line.length)).toEqual([count]);
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
});

test('stopping from within a line ends the reading', () => {
  const lines: string[] = [];
  const reader: LineReader = new LineReader(
    100,
    (line) => {
      lines.push(line.toString());
      reader.stop();
    },
    () => {},
  );
  reader.push(Buffer.from('a\nb\nc'));
  expect(lines).toEqual(['a']);
  expect(reader.end()).toBeUndefined();
});

test('a framed message is one line and the same JSON, and the bytes of the caller stay', () => {
  const string = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(fc.jsonValue(), string, fc.constantFrom(undefined, 1, '\r\n', '\t'), (value, key, indent) => {
      const text = JSON.stringify({ [key]: value }, undefined, indent);
      const message = Buffer.from(typeof indent === 'string' ? text.replaceAll('\n', '\r\n') : text);
      const copy = Buffer.from(message);
      const line = asLine(message);
      expect(line.includes(0x0a)).toBe(false);
      expect(line.includes(0x0d)).toBe(false);
      expect(JSON.parse(line.toString())).toEqual(JSON.parse(message.toString()));
      expect(message.equals(copy)).toBe(true);
    }),
  );
});
