import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { ConnectFailure } from './connect-failure.ts';
import type { ProxyServer } from './proxy-choice.ts';

/**
 * Asks the HTTP proxy at the other end of `socket` for a tunnel (RFC 9110 section 9.3.6). Afterwards the socket carries what
 * the target says. Destroying the socket ends it.
 *
 * @param authority `host:port` of the target
 * @throws `ConnectFailure`
 */
export function openTunnel(socket: Socket, proxy: ProxyServer, authority: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { host: authority, ...proxyAuthorization(proxy) };
    const asked = request({ method: 'CONNECT', path: authority, headers, createConnection: () => socket });
    asked.once('connect', (answer: IncomingMessage, _socket: Socket, head: Buffer) => {
      const status = answer.statusCode ?? 0;
      if (status < 200 || status > 299) return reject(new ConnectFailure('proxy', `the proxy refused the tunnel (status ${status})`));
      if (head.length > 0) socket.unshift(head);
      resolve();
    });
    asked.once('error', (error) => {
      reject(error instanceof ConnectFailure ? error : new ConnectFailure('proxy', 'the proxy closed the connection', error));
    });
    asked.end();
  });
}

/** The credentials of a proxy, as the header that it reads (RFC 7617). */
export function proxyAuthorization({ username, password }: ProxyServer): Record<string, string> {
  if (username === undefined) return {};
  const pair = Buffer.from(`${username}:${password?.reveal() ?? ''}`).toString('base64');
  return { 'proxy-authorization': `Basic ${pair}` };
}
