import { type Dispatcher, Pool } from 'undici';
import { type ConnectorOptions, directConnector, forwardConnector, tunnelConnector } from './connector.ts';
import { defaultPort, type HostTarget } from './host-entry.ts';
import { proxyAuthorization } from './http-tunnel.ts';
import type { ProxyServer } from './proxy-choice.ts';
import { SocketSet } from './socket-set.ts';

export interface OriginOptions extends ConnectorOptions {
  readonly target: HostTarget;
  /** Through which it is reached; absent: directly. */
  readonly proxy?: ProxyServer | undefined;
  /** Sockets at once; requests beyond wait in order. */
  readonly connections: number;
}

/** Bytes of all response headers of one answer. */
const MAX_HEADER_BYTES = 64 * 1024;

/**
 * HTTP/1.1 connections to one origin. Nothing here follows redirects, repeats a request or times an answer out; whoever asks
 * has a signal.
 */
export class Origin {
  /** For requests to the origin only. */
  readonly dispatcher: Dispatcher;
  readonly #pool: Pool;
  readonly #sockets = new SocketSet();

  constructor(options: OriginOptions) {
    const { target, proxy, connections } = options;
    const origin = originOf(target);
    const shared = { connections, pipelining: 1, allowH2: false, maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: 0, bodyTimeout: 0 };
    if (proxy === undefined || proxy.kind === 'socks5' || target.scheme === 'https') {
      const connect = proxy === undefined ? directConnector(options, this.#sockets) : tunnelConnector(options, proxy, this.#sockets);
      this.#pool = new Pool(origin, { ...shared, connect });
      this.dispatcher = this.#pool;
    } else {
      // What is not encrypted goes through an HTTP proxy in absolute form (RFC 9112 section 3.2.2): many tunnel to port 443 only.
      this.#pool = new Pool(originOf({ scheme: proxy.kind, host: proxy.host, port: proxy.port }), {
        ...shared,
        connect: forwardConnector(options, proxy, target.host, this.#sockets),
      });
      this.dispatcher = this.#pool.compose(forwarding(origin, proxy));
    }
  }

  /** Open sockets, those that connect included. */
  get sockets(): number {
    return this.#sockets.size;
  }

  /** Fails what is under way and destroys every socket. Never rejects; idempotent. */
  async close(): Promise<void> {
    await this.#pool.destroy().catch(() => undefined);
    await this.#sockets.close();
  }
}

/** As URLs write it, the default port left out. */
export function originOf({ scheme, host, port }: Pick<HostTarget, 'scheme' | 'host' | 'port'>): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${name}${port === defaultPort(scheme) ? '' : `:${port}`}`;
}

function forwarding(origin: string, proxy: ProxyServer): Dispatcher.DispatcherComposeInterceptor {
  const own = { host: origin.slice(origin.indexOf('//') + 2), ...proxyAuthorization(proxy) };
  return (dispatch) => (options, handler) => {
    const { headers } = options;
    return dispatch({ ...options, path: origin + options.path, headers: { ...(headers as Record<string, string>), ...own } }, handler);
  };
}
