import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerOf, MessageReader } from './http1.ts';

const whole = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello';
const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
const empty = 'HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n';

describe('reader of HTTP messages', () => {
  it('finds the same messages however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(whole, chunked, empty), { maxLength: 6 }), fc.array(fc.nat(400), { maxLength: 10 }), (messages, cuts) => {
        const bytes = Buffer.from(messages.join(''));
        const found: string[] = [];
        const reader = new MessageReader((head, at, raw) => found.push(`${head}\r\n${raw.toString('latin1', at)}`));
        const places = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length];
        for (let index = 1; index < places.length; index++) reader.push(bytes.subarray(places[index - 1], places[index]));
        expect(found).toEqual(messages);
      }),
    );
  });

  it('reads headers whatever their case', () => {
    expect(headerOf('HTTP/1.1 200 OK\r\nMCP-Session-Id: abc\r\n', 'mcp-session-id')).toBe('abc');
    expect(headerOf('HTTP/1.1 200 OK\r\nOther: mcp-session-id: abc\r\n', 'mcp-session-id')).toBeUndefined();
  });
});
