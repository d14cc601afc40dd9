import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scan } from './scan.ts';

const scanned = (text: string) => {
  const found = scan(Buffer.from(text));
  const at = (span: readonly [number, number] | undefined) => (span === undefined ? undefined : Buffer.from(text).toString('latin1', ...span));
  return found && { id: at(found.id), name: at(found.name) };
};

describe('scan of the floor proxies', () => {
  it('finds id and name as the parser does', () => {
    fc.assert(
      fc.property(fc.integer(), fc.stringMatching(/^[a-z_]{1,20}$/), fc.jsonValue(), fc.integer({ min: 0, max: 2 }), (id, name, value, indent) => {
        const text = JSON.stringify({ jsonrpc: '2.0', params: { arguments: value, name }, id, method: 'tools/call' }, undefined, indent);
        expect(scanned(text)).toEqual({ id: String(id), name: `"${name}"` });
      }),
    );
  });

  it.each([
    '{"id":1,"id":2}',
    '{"params":{"name":"a","name":"b"}}',
    '{"params":{},"params":{}}',
    '{"params":{"name":"\\u0061"}}',
    '{"\\u0069d":1}',
    '[{"id":1}]',
    '{"id":1',
    '{"id":1} x',
    '{"id":}',
  ])('gives up on %s', (text) => {
    expect(scanned(text)).toBeUndefined();
  });
});
