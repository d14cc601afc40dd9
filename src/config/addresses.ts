import { isIP, isIPv6 } from 'node:net';

/** Whether a host to listen on is this machine only. Names but `localhost` are not: they may resolve to anything. */
export function isLoopbackHost(host: string): boolean {
  const plain = host.toLowerCase();
  return plain === 'localhost' || plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}

/** Whether a host to listen on stands for every address of the machine, loopback included. */
export function isWildcardHost(host: string): boolean {
  return host === '0.0.0.0' || /^(0{0,4}:){1,7}0{0,4}$/.test(host);
}

/** A host as it stands in a URL and in a `Host` header: IPv6 in brackets (RFC 3986, section 3.2.2). */
export function hostInUrl(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

/** What is wrong with a URL of ours or of an upstream, if anything. */
export function httpUrlProblem(text: string): string | undefined {
  if (!/^https?:\/\//.test(text)) return 'does not begin with http:// or https://';
  if (!URL.canParse(text)) return 'is no valid URL';
  const url = new URL(text);
  // Both are checked: `http://@host` parses to an empty user name but is user info all the same.
  const authority = /^https?:\/\/([^/?#\\]*)/.exec(text)?.[1] ?? '';
  if (url.username !== '' || url.password !== '' || authority.includes('@')) return 'holds a user name or password';
  if (/[\s\\]/.test(text)) return 'holds a blank or backslash';
  return text.includes('#') ? 'holds a fragment' : undefined;
}

/** What is wrong with the URI of a file or folder, if anything (RFC 8089; roots of MCP are such). */
export function fileUriProblem(text: string): string | undefined {
  if (!text.startsWith('file://')) return 'does not begin with file://';
  if (/[\s\\]/.test(text)) return 'holds a blank or backslash';
  if (/[?#]/.test(text)) return 'holds a query or fragment';
  return /^file:\/\/[^/]*\//.test(text) && URL.canParse(text) ? undefined : 'is no file URI';
}

/** An address or a network in CIDR notation (RFC 4632). */
export function networkProblem(text: string): string | undefined {
  const [address = '', bits, more] = text.split('/');
  const version = isIP(address);
  const wrong = version === 0 || more !== undefined || (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > (version === 4 ? 32 : 128)));
  return wrong ? 'is no address or network' : undefined;
}

/** One entry of `listen.allowedHosts`: what may stand in a `Host` header, with or without a port. */
export function hostHeaderProblem(text: string): string | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(:\d{1,5})?$/.exec(text);
  const isBadIPv6 = match?.[1]?.startsWith('[') === true && !isIPv6(match[1].slice(1, -1));
  return match === null || isBadIPv6 ? 'is no host' : undefined;
}

/** One entry of `listen.allowedOrigins`: exactly what a browser sends (RFC 6454, section 6.2). */
export function originProblem(text: string): string | undefined {
  if (text.includes('*')) return 'holds a *: origins are exact';
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return 'is no origin';
  const { origin } = new URL(text);
  return origin === text ? undefined : 'is not written as browsers send it';
}
