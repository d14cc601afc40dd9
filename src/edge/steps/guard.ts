import type { IncomingMessage } from 'node:http';
import { TurnpikeError } from '../../core/errors.ts';
import { onlyValueOf, valuesOf } from '../header-values.ts';
import type { EdgeSettings } from '../settings.ts';

type Guarded = Pick<EdgeSettings['listen'], 'allowedHosts' | 'allowedOrigins' | 'publicUrl' | 'maxBodyBytes'>;

/** What a client can read. */
export interface Accepted {
  readonly json: boolean;
  readonly events: boolean;
}

/** Header values whose verdict is kept, of each kind: clients send a handful, and a flood of others must not pile up. */
const MAX_KEPT = 64;

/** The first checks of every request, by the settings in force. What was found good is good when it comes again. */
export class Guard {
  readonly #settings: Guarded;
  readonly #wildcardIsJson: boolean;
  readonly #hosts = new Map<string, number | undefined>();
  readonly #types = new Set<string>();
  readonly #accepted = new Map<string, Accepted>();

  /** @param options.wildcardIsJson a client that takes anything gets JSON, and no stream */
  constructor(settings: Guarded, { wildcardIsJson = false }: { readonly wildcardIsJson?: boolean } = {}) {
    this.#settings = settings;
    this.#wildcardIsJson = wildcardIsJson;
  }

  /**
   * First step of every route of every listener (security class 3): the `Host` is one of ours, an `Origin` is allowed. Without
   * this a web page could rebind its name to this address and speak as the person in front of it. Throws `guard/host`, `guard/origin`.
   */
  names(request: IncomingMessage): void {
    const { allowedHosts, allowedOrigins, publicUrl } = this.#settings;
    const host = onlyValueOf(request, 'host');
    const port = request.socket.localPort;
    if (host === undefined) throw new TurnpikeError('guard/host', 'Forbidden: Host not allowed');
    if (!this.#hosts.has(host) || this.#hosts.get(host) !== port) {
      if (!isAllowedHost(host, allowedHosts, port, publicUrl)) throw new TurnpikeError('guard/host', 'Forbidden: Host not allowed');
      if (this.#hosts.size < MAX_KEPT) this.#hosts.set(host, port);
    }
    // An absolute-form target names a second host, which nobody has checked.
    if (!request.url?.startsWith('/')) throw new TurnpikeError('guard/host', 'Forbidden: Host not allowed');
    if (request.headers.origin === undefined) return;
    const from = onlyValueOf(request, 'origin');
    if (from === undefined || !isAllowedOrigin(from, host, allowedOrigins)) throw new TurnpikeError('guard/origin', 'Forbidden: Origin not allowed');
  }

  /** What a POST may look like before its body is read. Throws `guard/size`, `guard/type`, `guard/accept`. */
  shape(request: IncomingMessage): void {
    const { maxBodyBytes } = this.#settings;
    if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
    const type = onlyValueOf(request, 'content-type');
    if (type === undefined || !this.#types.has(type)) {
      if (!isJson(valuesOf(request, 'content-type') ?? [])) throw new TurnpikeError('guard/type', 'Content-Type must be application/json');
      if (type !== undefined && this.#types.size < MAX_KEPT) this.#types.add(type);
    }
    if (request.headers['content-encoding'] !== undefined && request.headers['content-encoding'] !== 'identity') {
      throw new TurnpikeError('guard/type', 'Content-Encoding is not supported');
    }
    const accepted = this.accepted(request);
    if (!accepted.json && !accepted.events) throw new TurnpikeError('guard/accept', 'Accept must name application/json or text/event-stream');
  }

  /** Whether the answer to a POST may become a stream of events. */
  mayStream(request: IncomingMessage): boolean {
    if (this.#wildcardIsJson && !/text\/(?:event-stream|\*)/i.test(request.headers.accept ?? '')) return false;
    return this.accepted(request).events;
  }

  /** What the client can read. No `Accept` header means anything (RFC 9110 section 12.5.1). */
  accepted({ headers: { accept = '' } }: IncomingMessage): Accepted {
    const known = this.#accepted.get(accept);
    if (known !== undefined) return known;
    const found = acceptedBy(accept);
    if (this.#accepted.size < MAX_KEPT) this.#accepted.set(accept, found);
    return found;
  }
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

function isJson([type = '', ...others]: readonly string[]): boolean {
  const [media = '', ...parameters] = type.split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '');
  return media === 'application/json' && others.length === 0 && (charset === undefined || charset === 'utf-8' || charset === 'utf8');
}

function acceptedBy(accept: string): Accepted {
  if (accept.trim() === '') return { json: true, events: true };
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
