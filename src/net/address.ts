import { addressBytes, isWithin } from '../core/ip-address.ts';

/** What an address is for, as far as a guard cares (IANA special-purpose registries; gitlab.md 2.3). */
export type AddressClass =
  | 'public'
  | 'loopback'
  | 'unspecified'
  | 'private'
  | 'shared'
  | 'link-local'
  | 'multicast'
  | 'documentation'
  | 'benchmark'
  | 'reserved'
  /** No address at all. */
  | 'none';

/** A range: the first bytes of its addresses, and how many bits of them count. */
interface Range {
  readonly bytes: readonly number[];
  readonly bits: number;
  readonly is: AddressClass;
}

/** `a.b.c.d/n` or `x:y::/n`. */
function range(cidr: string, is: AddressClass): Range {
  const slash = cidr.lastIndexOf('/');
  return { bytes: addressBytes(cidr.slice(0, slash)) ?? [], bits: Number(cidr.slice(slash + 1)), is };
}

/** RFC 6890 and the registry made of it; everything else is public. */
const RANGES_4: readonly Range[] = [
  range('0.0.0.0/8', 'unspecified'),
  range('10.0.0.0/8', 'private'),
  range('100.64.0.0/10', 'shared'),
  range('127.0.0.0/8', 'loopback'),
  range('169.254.0.0/16', 'link-local'),
  range('172.16.0.0/12', 'private'),
  range('192.0.0.0/24', 'reserved'),
  range('192.0.2.0/24', 'documentation'),
  range('192.88.99.0/24', 'reserved'),
  range('192.168.0.0/16', 'private'),
  range('198.18.0.0/15', 'benchmark'),
  range('198.51.100.0/24', 'documentation'),
  range('203.0.113.0/24', 'documentation'),
  range('224.0.0.0/4', 'multicast'),
  range('240.0.0.0/4', 'reserved'),
];

/** The first that matches counts; 2000::/3 is all that is given out for the public (RFC 4291), the rest is reserved. */
const RANGES_6: readonly Range[] = [
  range('::/128', 'unspecified'),
  range('::1/128', 'loopback'),
  range('64:ff9b:1::/48', 'private'),
  range('2001:2::/48', 'benchmark'),
  range('2001:db8::/32', 'documentation'),
  range('2001::/23', 'reserved'),
  range('3fff::/20', 'documentation'),
  range('2000::/3', 'public'),
  range('fc00::/7', 'private'),
  range('fe80::/10', 'link-local'),
  range('fec0::/10', 'private'),
  range('ff00::/8', 'multicast'),
  range('::/0', 'reserved'),
];

/** Ranges that carry an IPv4 address, and the byte at which it begins: mapped, translated (RFC 6052), 6to4 (RFC 3056). */
const CARRIERS: readonly (Range & { readonly at: number })[] = [
  { ...range('::ffff:0:0/96', 'public'), at: 12 },
  { ...range('64:ff9b::/96', 'public'), at: 12 },
  { ...range('2002::/16', 'public'), at: 2 },
];

/**
 * The class of an address in text form, a zone (`%eth0`) aside. An IPv4 address within an IPv6 one is judged by itself. Other
 * spellings (`127.1`, `2130706433`) are no addresses here: URL parsers turn them into the usual one, resolvers answer with it.
 */
export function classifyAddress(address: string): AddressClass {
  const bytes = addressBytes(address);
  if (bytes === undefined) return 'none';
  if (bytes.length === 4) return classOf(bytes, RANGES_4);
  const carrier = CARRIERS.find((candidate) => isWithin(bytes, candidate));
  return carrier === undefined ? classOf(bytes, RANGES_6) : classOf(bytes.slice(carrier.at, carrier.at + 4), RANGES_4);
}

function classOf(bytes: readonly number[], ranges: readonly Range[]): AddressClass {
  return ranges.find((candidate) => isWithin(bytes, candidate))?.is ?? 'public';
}
