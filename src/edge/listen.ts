import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { TurnpikeError } from '../core/errors.ts';
import type { EdgeSettings } from './settings.ts';

/** A listener that is open. */
export interface Listening {
  readonly host: string;
  readonly port: number;
  /** Takes no new connections; idle ones close now, busy ones with their answer. */
  stop(): void;
  /** Ends what is left. */
  close(): Promise<void>;
  /**
   * Reads certificate and key again; the function that is returned uses them for new connections. Throws `config/invalid` when they
   * cannot be read or do not belong together. Does nothing without TLS.
   */
  renew(): Promise<() => void>;
}

const MAX_HEADER_BYTES = 32 * 1024;
const MIN_TLS = 'TLSv1.2';

/** Opens the listener. Throws `config/refused` naming address and fix when that is not possible. */
export async function listenHttp({ listen }: EdgeSettings, serve: RequestListener): Promise<Listening> {
  const options: ServerOptions = {
    headersTimeout: listen.readHeaderTimeout,
    // For receiving a whole request; how long its answer takes is another matter.
    requestTimeout: Math.max(listen.readHeaderTimeout, listen.writeTimeout),
    keepAliveTimeout: listen.idleTimeout,
    maxHeaderSize: MAX_HEADER_BYTES,
    connectionsCheckingInterval: 1_000,
    requireHostHeader: false,
    insecureHTTPParser: false,
    noDelay: true,
  };
  const server: Server = listen.tls === undefined ? createServer(options, serve) : await secure(options, listen.tls, serve);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const status =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? '408 Request Timeout'
          : '400 Bad Request';
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
  // Node would put the head of the answer in front of a 100 that waits behind an earlier answer of its connection.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    const goOn = () => {
      if (!response.headersSent) response.writeContinue();
    };
    if (response.socket === null) response.once('socket', goOn);
    else goOn();
    serve(request, response);
  });
  server.on('upgrade', (_request: IncomingMessage, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, listen.host, listen.port)));
    server.listen(listen.port, listen.host, resolve);
  });
  const { address, port } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  const stop = () => {
    closed ??= new Promise((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
  };
  return {
    host: address,
    port,
    stop,
    async renew() {
      if (listen.tls === undefined || !(server instanceof SecureServer)) return () => {};
      const secrets = await readSecrets(listen.tls);
      return () => server.setSecureContext(secrets);
    },
    async close() {
      stop();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function secure(options: ServerOptions, tls: { readonly certFile: string; readonly keyFile: string }, serve: RequestListener): Promise<Server> {
  const [cert, key] = await Promise.all([readFile(tls.certFile), readFile(tls.keyFile)]);
  return createSecureServer({ ...options, cert, key, minVersion: MIN_TLS }, serve);
}

async function readSecrets(tls: { readonly certFile: string; readonly keyFile: string }): Promise<SecureContextOptions> {
  try {
    const [cert, key] = await Promise.all([readFile(tls.certFile), readFile(tls.keyFile)]);
    const options = { cert, key, minVersion: MIN_TLS } as const;
    // Throws for a pair that does not fit: such a one must never be put in force.
    createSecureContext(options);
    return options;
  } catch (error) {
    throw new TurnpikeError('config/invalid', 'listen.tls: certificate and key cannot be used (expected a PEM file of each, made for each other)', {
      cause: error,
    });
  }
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): TurnpikeError {
  const why =
    error.code === 'EADDRINUSE'
      ? 'the port is in use; stop what uses it, or set listen.port'
      : error.code === 'EACCES'
        ? 'not permitted; take a port above 1023, or grant CAP_NET_BIND_SERVICE'
        : error.code === 'EADDRNOTAVAIL'
          ? 'this machine has no such address; set listen.host'
          : error.message;
  return new TurnpikeError('config/refused', `Cannot listen on ${host}:${port}: ${why}`, { cause: error });
}
