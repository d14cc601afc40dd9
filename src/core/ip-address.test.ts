import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressBytes, isWithin } from './ip-address.ts';

describe('the bytes of an address', () => {
  it.each([
    ['192.0.2.7', [192, 0, 2, 7]],
    ['::', new Array(16).fill(0)],
    ['2001:db8::7', [0x20, 0x01, 0x0d, 0xb8, ...new Array(11).fill(0), 7]],
    ['::ffff:192.0.2.7%eth0', [...new Array(10).fill(0), 255, 255, 192, 0, 2, 7]],
    ['1:2:3:4:5:6:7:8', [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
  ])('%s', (address, bytes) => {
    expect(addressBytes(address)).toEqual(bytes);
  });

  it.each(['', 'localhost', '127.1', '01.2.3.4', '1.2.3.4.5', '::1::2', '[::1]'])('%s has none', (address) => {
    expect(addressBytes(address)).toBeUndefined();
  });

  it('agrees with the block list of the runtime on what is in a range', () => {
    const family = (address: string) => (address.includes(':') ? 'ipv6' : 'ipv4');
    const property = fc.property(
      fc.oneof(fc.tuple(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 })), fc.tuple(fc.ipV6(), fc.ipV6(), fc.integer({ min: 0, max: 128 }))),
      fc.boolean(),
      ([base, other, bits], same) => {
        const address = same ? base : other;
        const list = new BlockList();
        list.addSubnet(base, bits, family(base));
        const bytes = addressBytes(base) ?? [];
        expect(isWithin(addressBytes(address) ?? [], { bytes, bits })).toBe(list.check(address, family(address)));
      },
    );
    fc.assert(property);
  });
});
