import { isIP } from 'node:net';
import * as z from 'zod';
import { hostHeaderProblem, hostInUrl, httpUrlProblem, isLoopbackHost, isWildcardHost, networkProblem, originProblem } from '../addresses.ts';
import { boolean, duration, integer, path, size, text, words } from '../leaves.ts';

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'] as const;

/** `listen`: where and how the gateway is reached (identity.md 2, protocol.md 1, security.md "Defaults that follow"). */
export const listenSection = z
  .strictObject({
    host: text('an address or host name', hostProblem)
      .prefault('127.0.0.1')
      .meta({ reload: false, description: 'Address to listen on. Anything but loopback needs `auth.modes`.' }),
    port: integer(0, 65_535).prefault(8080).meta({ reload: false, description: 'Port to listen on; 0 takes a free one.' }),
    publicUrl: text('an http or https URL', baseUrlProblem, { example: 'https://mcp.example.com', defaultText: 'http://{host}:{port}' })
      .exactOptional()
      .meta({ reload: false, description: 'Base URL under which clients reach the gateway; `https` by default with `listen.tls`.' }),
    tls: z
      .strictObject({
        certFile: path({ mustExist: true, example: '/etc/turnpike/tls.crt' }).meta({ description: 'PEM file with the certificate chain.' }),
        keyFile: path({ mustExist: true, example: '/etc/turnpike/tls.key' }).meta({ description: 'PEM file with its private key.' }),
      })
      .exactOptional()
      .meta({ reload: false, description: 'Serve TLS (1.2 and up). Without it: plain HTTP.' }),
    hsts: boolean().prefault(false).meta({ description: 'Send Strict-Transport-Security; always with our own TLS, true behind a TLS proxy.' }),
    streaming: boolean().prefault(true).meta({ description: 'false: JSON answers only, and GET on /mcp is 405.' }),
    allowedHosts: words('a list of hosts such as mcp.example.com, localhost or [::1]', hostHeaderProblem, {
      min: 1,
      example: '[mcp.example.com, localhost]',
      defaultText: 'the host of `listen.publicUrl`, and loopback names when listening there',
    })
      .exactOptional()
      .meta({ description: 'What the `Host` header may say.' }),
    allowedOrigins: words('a list of exact origins such as https://app.example.com', originProblem)
      .prefault([])
      .meta({ description: 'What the `Origin` header may say, when there is one; also switches CORS on for these.' }),
    trustedProxies: words('a list of addresses or networks such as 10.0.0.0/8', networkProblem)
      .prefault([])
      .meta({ description: 'Proxies whose `X-Forwarded-*` headers count.' }),
    maxBodyBytes: size(1024, 256 * 1024 * 1024)
      .prefault('4MiB')
      .meta({ description: 'Largest request body; beyond it: 413.' }),
    readHeaderTimeout: duration({ min: 1 }).prefault('10s').meta({ reload: false, description: 'Time for a client to send all headers.' }),
    writeTimeout: duration({ min: 1 })
      .prefault('120s')
      .meta({ description: 'Time for a client to take an answer; never cuts a stream or a running call.' }),
    idleTimeout: duration({ min: 1 }).prefault('120s').meta({ reload: false, description: 'How long an idle connection of a client is kept.' }),
    shutdownTimeout: duration().prefault('30s').meta({ description: 'How long running calls and streams may go on after a signal to stop.' }),
  })
  .transform((listen) => {
    const publicUrl = listen.publicUrl?.replace(/\/+$/, '') ?? defaultPublicUrl(listen);
    const allowedHosts = (listen.allowedHosts ?? defaultHosts(listen.host, publicUrl)).map((host) => host.toLowerCase());
    return { ...listen, publicUrl, allowedHosts };
  })
  .prefault({})
  .meta({ description: 'Where and how the gateway is reached.' });

/** `http://{host}:{port}`, `https` with our own TLS. Call it again with the real port after listening on port 0. */
export function defaultPublicUrl(listen: { readonly host: string; readonly port: number; readonly tls?: unknown }): string {
  return `${listen.tls === undefined ? 'http' : 'https'}://${hostInUrl(listen.host)}:${listen.port}`;
}

function defaultHosts(host: string, publicUrl: string): string[] {
  const loopback = isLoopbackHost(host) || isWildcardHost(host) ? LOOPBACK_NAMES : [];
  return [...new Set([new URL(publicUrl).hostname, ...loopback])];
}

function hostProblem(host: string): string | undefined {
  if (isIP(host) !== 0) return undefined;
  // A name of digits and dots only would be a mistyped address, which resolvers read in surprising ways.
  const isName = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(host) && /[A-Za-z]/.test(host);
  return isName ? undefined : 'is no address or host name';
}

function baseUrlProblem(url: string): string | undefined {
  return httpUrlProblem(url) ?? (url.includes('?') ? 'holds a query' : undefined);
}
