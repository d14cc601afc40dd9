import { isIPv4, isIPv6 } from 'node:net';

/** The bytes of an IPv4 or IPv6 address: 4 or 16; undefined when it is none. */
export function addressBytes(address: string): readonly number[] | undefined {
  const zone = address.indexOf('%');
  const text = zone === -1 ? address : address.slice(0, zone);
  if (isIPv4(text)) return text.split('.').map(Number);
  if (!isIPv6(text)) return undefined;
  const [head = '', tail] = text.split('::');
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  return [...left, ...new Array<number>(16 - left.length - right.length).fill(0), ...right];
}

/** Whether an address lies in a range. */
export function isWithin(bytes: readonly number[], { bytes: base, bits }: { readonly bytes: readonly number[]; readonly bits: number }): boolean {
  if (bytes.length !== base.length) return false;
  return bytes.every((byte, index) => {
    const mask = 0xff & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8)));
    return (byte & mask) === ((base[index] ?? 0) & mask);
  });
}

/** The bytes of groups between colons, the last of which may be an IPv4 address. */
function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
