import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressKey, isLoopback } from './address.ts';

describe('address key', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', 'unknown'],
    [undefined, 'unknown'],
    ['not an address', 'unknown'],
  ])('%s is limited as %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  it('is one for every address of a /64, and another for the next one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }), (low) => {
        const host = low.slice(4).map((group) => group.toString(16));
        expect(addressKey(`2001:db8:0:7:${host.join(':')}`)).toBe('2001:db8:0:7::/64');
        expect(addressKey(`2001:db8:0:8:${host.join(':')}`)).not.toBe('2001:db8:0:7::/64');
      }),
      { numRuns: 50 },
    );
  });
});

describe('loopback', () => {
  it.each(['127.0.0.1', '127.8.9.1', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', '::ffff:7f00:1'])('%s is', (address) => {
    expect(isLoopback(address)).toBe(true);
  });

  it.each(['10.0.0.1', '::', '::2', '128.0.0.1', '::127.0.0.1', '::ffff:10.0.0.1', '127.0.0.1.example', '', undefined])('%s is not', (address) => {
    expect(isLoopback(address)).toBe(false);
  });
});
