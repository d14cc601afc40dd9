import { isIP } from 'node:net';
import { addressBytes, isWithin } from '../core/ip-address.ts';
import { err, ok, type Result } from '../core/result.ts';
import { canonicalHost, type HostTarget } from './host-entry.ts';

/** One entry of `NO_PROXY`: whether a target is reached without a proxy. */
type Exemption = (target: HostTarget) => boolean;

/**
 * Reads `NO_PROXY`: `host`, `.suffix`, `*`, `host:port`, `[v6]:port`, addresses and CIDR ranges, between commas or blanks
 * (gitlab.md 2.1). `host` is that host alone, `.suffix` every name below it; ranges only match addresses in the URL, since
 * nothing is resolved before it is known who resolves.
 */
export function parseNoProxy(text: string): Result<(target: HostTarget) => boolean, string> {
  const exemptions: Exemption[] = [];
  for (const entry of text.split(/[\s,]+/)) {
    if (entry === '') continue;
    const exemption = exemptionOf(entry);
    if (exemption === undefined) return err(`'${entry.slice(0, 100)}' is not of the form host, .suffix, *, host:port, [v6]:port or CIDR`);
    exemptions.push(exemption);
  }
  return ok((target) => exemptions.some((exempts) => exempts(target)));
}

function exemptionOf(entry: string): Exemption | undefined {
  if (entry === '*') return () => true;
  if (entry.includes('/')) return rangeOf(entry);
  // An IPv6 address without brackets has no port.
  const [, name = '', digits] = isIP(entry) === 6 ? ['', entry] : (/^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(entry) ?? []);
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  const isSuffix = /^\*?\./.test(name);
  const host = canonicalHost(isSuffix ? name.replace(/^\*?\./, '') : name);
  if (host === undefined || host.includes('*')) return undefined;
  const matches = isSuffix ? (target: HostTarget) => target.host.endsWith(`.${host}`) : (target: HostTarget) => target.host === host;
  return (target) => (port === undefined || port === target.port) && matches(target);
}

function rangeOf(cidr: string): Exemption | undefined {
  const [, address = '', length = ''] = /^\[?([^\]/]+)\]?\/(\d{1,3})$/.exec(cidr) ?? [];
  const bytes = address.includes('%') ? undefined : addressBytes(address);
  const bits = Number(length);
  if (bytes === undefined || bits > bytes.length * 8) return undefined;
  return ({ host }) => {
    const own = addressBytes(host);
    return own !== undefined && isWithin(own, { bytes, bits });
  };
}
