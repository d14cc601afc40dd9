import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { AddressRefused, type AddressRule, refusedClass } from './address-guard.ts';

/** Every address of a name, as `dns.lookup` finds them. */
export type Resolve = (
  host: string,
  options: { readonly family?: number; readonly hints?: number },
  callback: (error: Error | null, addresses: readonly LookupAddress[]) => void,
) => void;

export const systemResolve: Resolve = (host, options, callback) => {
  systemLookup(host, { ...options, all: true }, (error, addresses) => callback(error, addresses));
};

/**
 * A look-up for sockets: it answers with the addresses that it checked, so what is checked is what is connected, and a name
 * that changes its mind gains nothing. One address that must not be reached refuses the name: a mixed answer is an attack.
 */
export function guardedLookup(rule: AddressRule | undefined, resolve: Resolve): LookupFunction {
  return (host, options, callback) => {
    const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : options.family;
    const { hints } = options;
    resolve(host, { ...(family === undefined ? {} : { family }), ...(hints === undefined ? {} : { hints }) }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      const [first] = addresses;
      if (first === undefined) return callback(Object.assign(new Error('the name has no address'), { code: 'ENOTFOUND' }), []);
      for (const { address } of addresses) {
        const refused = rule === undefined ? undefined : refusedClass(rule, host, address);
        if (refused !== undefined) return callback(new AddressRefused(host, refused), []);
      }
      if (options.all === true) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    });
  };
}
