import { isIPv4, isIPv6 } from 'node:net';

const MAPPED = '::ffff:';
const USUAL_LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);

/**
 * The identity an address is limited under (identity.md 6): IPv4 as it is, IPv6 by its /64, because one subscriber
 * holds that many. IPv4 mapped into IPv6 is IPv4. What is no address shares one key, so that it is limited too.
 */
export function addressKey(address: string | undefined): string {
  const text = withoutZone(address);
  if (isIPv4(text)) return text;
  // As sockets that listen on both families write it.
  if (text.startsWith(MAPPED) && isIPv4(text.slice(MAPPED.length))) return text.slice(MAPPED.length);
  if (!isIPv6(text)) return 'unknown';
  const groups = expand(text);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return [groups[6], groups[7]].flatMap((group = 0) => [group >> 8, group & 0xff]).join('.');
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** Whether an address is of this machine: 127.0.0.0/8, ::1, and the former mapped into IPv6. */
export function isLoopback(address: string | undefined): boolean {
  if (address !== undefined && USUAL_LOOPBACK.has(address)) return true;
  const text = withoutZone(address);
  if (isIPv6(text) && expand(text).every((group, index) => group === (index === 7 ? 1 : 0))) return true;
  return /^127\.\d+\.\d+\.\d+$/.test(addressKey(text));
}

function withoutZone(address: string | undefined): string {
  if (address === undefined) return '';
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}

/** The eight 16-bit groups of a valid IPv6 address (RFC 4291 section 2.2). */
function expand(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const left = groupsOf(head);
  if (tail === undefined) return left;
  const right = groupsOf(tail);
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function groupsOf(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
