import type { IncomingMessage } from 'node:http';
import { TurnpikeError } from '../../core/errors.ts';
import type { EdgeSettings } from '../settings.ts';

type Guarded = Pick<EdgeSettings['listen'], 'allowedHosts' | 'allowedOrigins' | 'publicUrl'>;

/**
 * First step of every route of every listener (security class 3): the `Host` is one of ours, an `Origin` is allowed. Without
 * this a web page could rebind its name to this address and speak as the person in front of it. Throws `guard/host`, `guard/origin`.
 */
export function guardNames(request: IncomingMessage, { allowedHosts, allowedOrigins, publicUrl }: Guarded): void {
  const { host, origin } = request.headersDistinct;
  const [name] = host ?? [];
  if (host?.length !== 1 || name === undefined || !isAllowedHost(name, allowedHosts, request.socket.localPort, publicUrl))
    throw new TurnpikeError('guard/host', 'Forbidden: Host not allowed');
  // An absolute-form target names a second host, which nobody has checked.
  if (!request.url?.startsWith('/')) throw new TurnpikeError('guard/host', 'Forbidden: Host not allowed');
  if (origin === undefined) return;
  const [from] = origin;
  if (origin.length !== 1 || from === undefined || !isAllowedOrigin(from, name, allowedOrigins))
    throw new TurnpikeError('guard/origin', 'Forbidden: Origin not allowed');
}

/** The name must be allowed; its port must be the one that was connected to, that of the public URL, or the one that the allowed entry names. */
function isAllowedHost(header: string, allowed: readonly string[], connected: number | undefined, publicUrl: string): boolean {
  const host = header.toLowerCase();
  if (allowed.includes(host)) return true;
  const colon = /:(\d{1,5})$/.exec(host);
  if (colon === null || !allowed.includes(host.slice(0, colon.index))) return false;
  const port = Number(colon[1]);
  return port === connected || host === publicHost(publicUrl);
}

/** The host of a URL with its port, also where that is the scheme's own. */
function publicHost(publicUrl: string): string {
  const { hostname, port, protocol } = new URL(publicUrl);
  return `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
}

/** One of the list, or our own: the page came from where the request goes. */
function isAllowedOrigin(origin: string, host: string, allowed: readonly string[]): boolean {
  return allowed.includes(origin) || origin === `http://${host.toLowerCase()}` || origin === `https://${host.toLowerCase()}`;
}

/** What a POST may look like before its body is read. Throws `guard/size`, `guard/type`, `guard/accept`. */
export function guardShape(request: IncomingMessage, maxBodyBytes: number): void {
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
  const [type = '', ...others] = request.headersDistinct['content-type'] ?? [];
  const [media = '', ...parameters] = type.split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '');
  if (media !== 'application/json' || others.length > 0 || (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')) {
    throw new TurnpikeError('guard/type', 'Content-Type must be application/json');
  }
  if (request.headers['content-encoding'] !== undefined && request.headers['content-encoding'] !== 'identity') {
    throw new TurnpikeError('guard/type', 'Content-Encoding is not supported');
  }
  const accepted = acceptedBy(request);
  if (!accepted.json && !accepted.events) throw new TurnpikeError('guard/accept', 'Accept must name application/json or text/event-stream');
}

/** What the client can read. No `Accept` header means anything (RFC 9110 section 12.5.1). */
export function acceptedBy(request: IncomingMessage): { readonly json: boolean; readonly events: boolean } {
  const { accept } = request.headers;
  if (accept === undefined || accept.trim() === '') return { json: true, events: true };
  const types = accept
    .toLowerCase()
    .split(',')
    .map((part) => part.split(';').map((piece) => piece.trim()))
    .filter(([, ...parameters]) => !parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter)))
    .map(([type]) => type);
  const any = types.includes('*/*');
  return {
    json: any || types.includes('application/json') || types.includes('application/*'),
    events: any || types.includes('text/event-stream') || types.includes('text/*'),
  };
}

export function tooLarge(maxBodyBytes: number): TurnpikeError {
  return new TurnpikeError('guard/size', `The body is larger than ${maxBodyBytes} bytes`);
}
