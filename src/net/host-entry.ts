import { isIPv4 } from 'node:net';
import { err, ok, type Result } from '../core/result.ts';

/** Where an HTTP service is: what an allow-list compares. */
export interface HostTarget {
  readonly scheme: 'http' | 'https';
  /** As the URL parser writes it, without brackets and the dot at its end. */
  readonly host: string;
  readonly port: number;
  /** `''` for the root, else `/…` without a slash at its end. */
  readonly prefix: string;
}

/** One entry of an allow-list: exactly one target, every name below a suffix, or every host. */
export type HostEntry =
  | { readonly kind: 'exact'; readonly target: HostTarget }
  | { readonly kind: 'suffix'; readonly suffix: string }
  | { readonly kind: 'any' };

const FORM = 'is not of the form [http://]host[:port][/prefix], *.suffix or *';

export function defaultPort(scheme: HostTarget['scheme']): number {
  return scheme === 'http' ? 80 : 443;
}

/**
 * A host as it is compared: lower case, IDNA, usual spelling of addresses, no brackets, no dot at its end. Undefined when the
 * URL parser takes it for none, or it holds more than a host.
 */
export function canonicalHost(host: string): string | undefined {
  if (/[/?#@\\\s\p{Cc}%]/u.test(host)) return undefined;
  const bare = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  const url = URL.parse(`http://${bare}/`);
  if (url === null || url.port !== '') return undefined;
  return hostOf(url);
}

/** The same of a URL. Undefined when it is empty or has empty labels. */
export function hostOf(url: URL): string | undefined {
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname.replace(/\.$/, '');
  return host === '' || host.split('.').includes('') ? undefined : host;
}

/** Reads one entry (gitlab.md 2.1); what is left out means https, the default port, the root. */
export function parseHostEntry(text: string): Result<HostEntry, string> {
  if (text === '*') return ok({ kind: 'any' });
  if (text.startsWith('*.')) {
    const suffix = canonicalHost(text.slice(2));
    return suffix === undefined || isIPv4(suffix) || suffix.includes(':') ? err(FORM) : ok({ kind: 'suffix', suffix: `.${suffix}` });
  }
  const parts = /^(?:(https?):\/\/)?([^/?#@\\\s]+)((?:\/[\w.~-]+)*)\/?$/i.exec(text);
  if (parts === null) return err(FORM);
  const [, scheme = 'https', authority = '', prefix = ''] = parts;
  const url = URL.parse(`${scheme.toLowerCase()}://${authority}/`);
  const host = url === null ? undefined : hostOf(url);
  if (url === null || host === undefined || host.includes('*') || url.port === '0' || prefix.split('/').some((part) => part === '.' || part === '..'))
    return err(FORM);
  const known = scheme.toLowerCase() === 'http' ? 'http' : 'https';
  return ok({ kind: 'exact', target: { scheme: known, host, port: url.port === '' ? defaultPort(known) : Number(url.port), prefix } });
}

/** Whether an entry allows a target: all of scheme, host, port and prefix are equal. */
export function entryAllows(entry: HostEntry, target: HostTarget): boolean {
  if (entry.kind === 'exact') {
    const { scheme, host, port, prefix } = entry.target;
    return scheme === target.scheme && host === target.host && port === target.port && prefix === target.prefix;
  }
  if (target.scheme !== 'https' || target.port !== 443 || target.prefix !== '') return false;
  return entry.kind === 'any' || target.host.endsWith(entry.suffix);
}
