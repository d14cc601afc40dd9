import { isIP, Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { buildConnector } from 'undici';
import type { Clock } from '../core/clock.ts';
import { AddressRefused, type AddressRule, refusedClass } from './address-guard.ts';
import { ConnectFailure } from './connect-failure.ts';
import { guardedLookup, type Resolve, systemResolve } from './guarded-lookup.ts';
import { openTunnel } from './http-tunnel.ts';
import type { ProxyServer } from './proxy-choice.ts';
import type { SocketSet } from './socket-set.ts';
import { openSocks5 } from './socks5.ts';

export interface ConnectorOptions {
  readonly clock: Clock;
  /** Milliseconds for one connection: name, TCP, tunnel and TLS. */
  readonly timeoutMs: number;
  /** Which addresses may be reached; absent: all. */
  readonly rule?: AddressRule | undefined;
  /** How names are resolved; absent: as the system does. */
  readonly resolve?: Resolve | undefined;
  /** Roots that are trusted; absent: those of the runtime. */
  readonly roots?: SecureContext | undefined;
  /** False: the target's certificate is not checked. That of a proxy always is. */
  readonly rejectUnauthorized?: boolean | undefined;
}

type Connector = buildConnector.connector;

/** Time is told by a clock of ours. */
const PLAIN = { timeout: 0, allowH2: false } as const;

/**
 * Connects to one target, guarded (security class 2): a literal address is judged before there is a socket, since sockets look
 * no literals up; a name by the look-up of its socket.
 */
export function directConnector(options: ConnectorOptions, sockets: SocketSet): Connector {
  const lookup = guardedLookup(options.rule, options.resolve ?? systemResolve);
  const connect = tracked(buildConnector({ ...PLAIN, lookup, ...tlsOf(options) }), sockets);
  return judged(options.rule, limited(options, connect));
}

/** Connects to an HTTP proxy that requests to `host` are handed to as they are; it resolves names, so only a literal is judged. */
export function forwardConnector(options: ConnectorOptions, proxy: ProxyServer, host: string, sockets: SocketSet): Connector {
  const connect = proxyConnector(options, proxy, sockets);
  return judged(options.rule, limited(options, connect), host);
}

/** @param host of the target, where the connector is asked for another one */
function judged(rule: AddressRule | undefined, connect: Connector, host?: string): Connector {
  return (target, callback) => {
    const refusal = literalRefusal(rule, host ?? target.hostname);
    if (refusal === undefined) connect(target, callback);
    // Not at once: undici is still about to note that it connects.
    else queueMicrotask(() => callback(refusal, null));
  };
}

/** Connects to a proxy itself. It is the operator's word, so nothing is guarded. */
function proxyConnector({ roots }: ConnectorOptions, proxy: ProxyServer, sockets: SocketSet): Connector {
  const connect = tracked(buildConnector({ ...PLAIN, ...tlsOf({ roots }) }), sockets);
  const protocol = proxy.kind === 'https' ? 'https:' : 'http:';
  const host = proxy.host.includes(':') ? `[${proxy.host}]` : proxy.host;
  return (_target, callback) => connect({ hostname: proxy.host, host: `${host}:${proxy.port}`, protocol, port: String(proxy.port) }, callback);
}

/**
 * Connects to a target through a proxy, which resolves names: only literals can be judged here. undici's agents for proxies are
 * not used: that for SOCKS5 is experimental and mistakes IPv6 literals for names, and neither has one deadline for all steps, nor
 * tells of the sockets that it opens.
 */
export function tunnelConnector(options: ConnectorOptions, proxy: ProxyServer, sockets: SocketSet): Connector {
  const toProxy = proxyConnector(options, proxy, sockets);
  const toTarget = tracked(buildConnector({ ...PLAIN, ...tlsOf(options) }), sockets);
  return (target, callback) => {
    void reach(target).then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  };

  async function reach(target: buildConnector.Options): Promise<Socket> {
    const refusal = literalRefusal(options.rule, target.hostname);
    if (refusal !== undefined) throw refusal;
    let current: Socket | undefined;
    const late = tooLate();
    let isLate = false;
    const timer = options.clock.after(options.timeoutMs, () => {
      isLate = true;
      current?.destroy(late);
    });
    const step = (connector: Connector, to: buildConnector.Options): Promise<Socket> =>
      connected(connector, to, (born) => {
        current = born;
      });
    try {
      const socket = await step(toProxy, target);
      await tunnelled(socket, target, proxy);
      if (target.protocol !== 'https:') return socket;
      return await step(toTarget, { ...target, httpSocket: socket });
    } catch (error) {
      current?.destroy();
      throw isLate ? late : error;
    } finally {
      timer.cancel();
    }
  }
}

/** The connector, which is given up when time is over. */
function limited({ clock, timeoutMs }: ConnectorOptions, connector: Connector): Connector {
  return (target, callback) => {
    let socket: unknown;
    const timer = clock.after(timeoutMs, () => {
      if (socket instanceof Socket) socket.destroy(tooLate());
    });
    socket = connector(target, (...outcome) => {
      timer.cancel();
      callback(...outcome);
    });
  };
}

function tooLate(): ConnectFailure {
  return new ConnectFailure('timeout', 'timed out');
}

function tunnelled(socket: Socket, target: buildConnector.Options, proxy: ProxyServer): Promise<void> {
  const host = target.hostname.replace(/^\[|\]$/g, '');
  const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80);
  if (proxy.kind === 'socks5') return openSocks5(socket, proxy, { host, port });
  return openTunnel(socket, proxy, `${isIP(host) === 6 ? `[${host}]` : host}:${port}`);
}

function connected(connector: Connector, target: buildConnector.Options, onBirth: (socket: Socket) => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: unknown = connector(target, (error, made) => (error === null ? resolve(made) : reject(error)));
    if (socket instanceof Socket) onBirth(socket);
  });
}

function literalRefusal(rule: AddressRule | undefined, hostname: string): AddressRefused | undefined {
  if (rule === undefined) return undefined;
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 0) return undefined;
  const refused = refusedClass(rule, host, host);
  return refused === undefined ? undefined : new AddressRefused(host, refused);
}

function tlsOf({ roots, rejectUnauthorized }: Pick<ConnectorOptions, 'roots' | 'rejectUnauthorized'>): object {
  return {
    // Said either way, so that no variable of the process can turn it off.
    rejectUnauthorized: rejectUnauthorized !== false,
    ...(roots === undefined ? { minVersion: 'TLSv1.2' } : { secureContext: roots }),
  };
}

/** The connector, whose sockets are kept account of. It returns the socket, as undici's own does. */
function tracked(connector: Connector, sockets: SocketSet): Connector {
  return (target, callback) => {
    const socket: unknown = connector(target, callback);
    if (socket instanceof Socket) sockets.add(socket);
    return socket;
  };
}
