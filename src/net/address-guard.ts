import { type AddressClass, classifyAddress } from './address.ts';

/**
 * Classes that a host may resolve to once the operator said that it may be private. Addresses of the link stay refused: the
 * metadata services of clouds live there, and a name that its owner may re-point must not reach them.
 */
const LIFTED: ReadonlySet<AddressClass> = new Set(['loopback', 'private', 'shared', 'benchmark']);

/** A host resolved to, or is, an address that must not be reached: no socket was opened. The message names neither. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
  /** For undici and `node:net`, which pass errors on by their code. */
  readonly code = 'ERR_ADDRESS_REFUSED';
  /** For logs and metrics. */
  readonly addressClass: AddressClass;
  readonly host: string;

  constructor(host: string, addressClass: AddressClass) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super('the host is at an address that must not be reached');
    Error.stackTraceLimit = limit;
    this.host = host;
    this.addressClass = addressClass;
  }
}

/** Which addresses connections may go to (security class 2). */
export interface AddressRule {
  /** Whether this host, as the URL names it, may be at a private address. */
  allowsPrivate(host: string): boolean;
}

/** The class for which `address` is refused to `host`; undefined when it may be reached. */
export function refusedClass(rule: AddressRule, host: string, address: string): AddressClass | undefined {
  const found = classifyAddress(address);
  if (found === 'public') return undefined;
  return LIFTED.has(found) && rule.allowsPrivate(host) ? undefined : found;
}

/** Hosts that may be private, by their exact names, as the URL parser writes them. */
export function privateHosts(hosts: readonly string[]): AddressRule {
  const known = new Set(hosts);
  return { allowsPrivate: (host) => known.has(host) };
}
