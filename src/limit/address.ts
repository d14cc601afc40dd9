import { isIPv4 } from 'node:net';
import { addressBytes } from '../core/ip-address.ts';

const MAPPED = '::ffff:';
const USUAL_LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);

/**
 * The identity an address is limited under (identity.md 6): IPv4 as it is, IPv6 by its /64, because one subscriber
 * holds that many. IPv4 mapped into IPv6 is IPv4. What is no address shares one key, so that it is limited too.
 */
export function addressKey(address = ''): string {
  if (isIPv4(address)) return address;
  // As sockets that listen on both families write it.
  if (address.startsWith(MAPPED) && isIPv4(address.slice(MAPPED.length))) return address.slice(MAPPED.length);
  const bytes = addressBytes(address);
  if (bytes === undefined) return 'unknown';
  if (bytes.length === 4) return bytes.join('.');
  if (isMapped(bytes)) return bytes.slice(12).join('.');
  const group = (at: number) => (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16);
  return `${[0, 2, 4, 6].map(group).join(':')}::/64`;
}

/** Whether an address is of this machine: 127.0.0.0/8, ::1, and the former mapped into IPv6. */
export function isLoopback(address = ''): boolean {
  if (USUAL_LOOPBACK.has(address)) return true;
  const bytes = addressBytes(address);
  if (bytes === undefined) return false;
  if (bytes.length === 4) return bytes[0] === 127;
  if (isMapped(bytes)) return bytes[12] === 127;
  return bytes.every((byte, at) => byte === (at === 15 ? 1 : 0));
}

/** ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
function isMapped(bytes: readonly number[]): boolean {
  return bytes.slice(0, 12).every((byte, at) => byte === (at < 10 ? 0 : 0xff));
}
