import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressBytes } from '../core/ip-address.ts';
import { classifyAddress } from './address.ts';

describe('classes of addresses', () => {
  it.each([
    ['loopback', '127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1%lo'],
    ['unspecified', '0.0.0.0 0.1.2.3 ::'],
    ['private', '10.0.0.0 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 fc00::1 fdff:ffff::1 fec0::1 64:ff9b:1::1'],
    ['shared', '100.64.0.0 100.127.255.255'],
    ['link-local', '169.254.0.1 169.254.169.254 fe80::1 febf::1 fe80::1%eth0'],
    ['multicast', '224.0.0.1 239.255.255.255 ff02::1'],
    ['documentation', '192.0.2.1 198.51.100.255 203.0.113.0 2001:db8::1 3fff::1'],
    ['benchmark', '198.18.0.0 198.19.255.255 2001:2::1'],
    ['reserved', '192.0.0.1 192.88.99.1 240.0.0.1 255.255.255.255 100::1 2001::1 2001:1ff::1 4000::1 5f00::1 ::7f00:1 ::ffff:0:7f00:1'],
    [
      'public',
      '1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.167.255.255 198.17.255.255 198.20.0.0 223.255.255.255',
    ],
    ['public', '2606:4700::1111 2a00:1450::1 2001:200::1 2001:4860:4860::8888'],
    ['none', 'localhost 127.1 2130706433 0x7f.1 1.2.3.4.5 ::1::2 [::1] gitlab.com 01.2.3.4'],
  ])('%s: %s', (expected, addresses) => {
    for (const address of addresses.split(' ')) expect([address, classifyAddress(address)]).toEqual([address, expected]);
  });

  it('takes what is no address for none', () => {
    expect(classifyAddress('')).toBe('none');
    fc.assert(fc.property(fc.string(), (text) => typeof classifyAddress(text) === 'string'));
  });

  it('judges an IPv4 address within an IPv6 one by itself', () => {
    const property = fc.property(fc.ipV4(), (address) => {
      const hex = (addressBytes(address) ?? []).map((byte) => byte.toString(16).padStart(2, '0')).join('');
      const [high, low] = [hex.slice(0, 4), hex.slice(4)];
      const expected = classifyAddress(address);
      for (const carrier of [`::ffff:${address}`, `::ffff:${high}:${low}`, `64:ff9b::${high}:${low}`, `2002:${high}:${low}::1`])
        expect([carrier, classifyAddress(carrier)]).toEqual([carrier, expected]);
    });
    fc.assert(property);
  });
});
