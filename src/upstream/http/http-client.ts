import { readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { ProxyAgent, buildConnector as UndiciConnector } from 'undici';
import { Secret } from '../../core/secret.ts';
import { type Arrival, arrivals, type Turn } from '../../core/turn.ts';
import { SocketSet } from '../../net/socket-set.ts';
import { buildConnector, Pool } from '../../net/undici-parts.ts';
import type { Flight } from './flight.ts';
import { classifyFailure, HttpFailure } from './http-failure.ts';
import { OriginPools } from './origin-pools.ts';

/** `tls` of an upstream (aggregator.md section 1). Files are PEM; they are read when the first connection is opened. */
export interface TlsIdentity {
  /** The only roots that are trusted; absent: the ones of the system. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Name that the certificate must hold, if not the URL's host. */
  readonly serverName?: string;
  readonly insecureSkipVerify?: boolean;
}

export interface HttpClientOptions {
  readonly tls?: TlsIdentity;
  /** URL of an HTTP proxy; it may hold a password. */
  readonly proxy?: string | Secret;
  /** Milliseconds for one connection: name, TCP, TLS, and the proxy's tunnel. Default 30,000. */
  readonly connectTimeoutMs?: number;
  /** Bytes of all response headers of one answer. Default 64 KiB. */
  readonly maxHeaderBytes?: number;
  /** Sockets per origin; requests beyond wait in order. Default 1,024. */
  readonly maxSockets?: number;
  /** Where answers wait for the end of their turn. Default: one of its own. */
  readonly arrivals?: Turn<Arrival> | undefined;
}

/** What is sent, but for where to. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Names, in lower case and each once, and values by turns: undici reads a list a little faster than an object. */
  readonly headers: string[];
  readonly body?: Buffer;
}

type Connector = (options: UndiciConnector.Options, callback: UndiciConnector.Callback) => unknown;

/**
 * HTTP/1.1 to one upstream configuration: a pool per origin, one TLS identity, one way through a proxy. Nothing here
 * follows redirects, repeats a request, or times a body out: a stream may be silent for hours, and whoever waits has a
 * signal (performance.md, "Connections").
 */
export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #sockets = new SocketSet(closed);
  readonly #arrivals: Turn<Arrival>;
  #pools: OriginPools | ProxyAgent | undefined;
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor(options: HttpClientOptions = {}) {
    this.#options = options;
    this.#arrivals = options.arrivals ?? arrivals();
  }

  /** Open sockets, those that connect included. */
  get sockets(): number {
    return this.#sockets.size;
  }

  /** Sends a request, of which the flight hears what comes; it may hear of a failure before this returns. Never throws. */
  dispatch(flight: Flight, request: HttpRequest): void {
    if (!flight.begin(this.#arrivals)) return;
    if (this.#pools !== undefined || this.#closed) this.#send(flight, request);
    else {
      this.#open().then(
        () => this.#send(flight, request),
        (error) => flight.fail(error instanceof HttpFailure ? error : new HttpFailure('request', false, String(error), { cause: error })),
      );
    }
  }

  /** Fails what is under way and destroys every socket. Never throws; idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => undefined);
    await this.#pools?.destroy();
    await this.#sockets.close();
  }

  #open(): Promise<void> {
    this.#opening ??= this.#build().catch((error) => {
      // Nothing of a failure is kept: the next request reads the files again.
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #build(): Promise<void> {
    const { proxy, connectTimeoutMs = 30_000, maxHeaderBytes = 64 * 1024, maxSockets = 1024 } = this.#options;
    const tls = await readIdentity(this.#options.tls ?? {});
    const undici = proxy === undefined ? undefined : await import('undici');
    if (this.#closed) throw closed();
    const shared = {
      pipelining: 1,
      connections: maxSockets,
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
    } as const;
    const base = { timeout: connectTimeoutMs, allowH2: false };
    if (proxy === undefined || undici === undefined) {
      this.#pools = new OriginPools({ ...shared, connect: this.#tracked(buildConnector({ ...base, ...tls })) }, this.#sockets);
    } else {
      this.#pools = new undici.ProxyAgent({
        ...shared,
        uri: proxy instanceof Secret ? proxy.reveal() : proxy,
        connectTimeout: connectTimeoutMs,
        requestTls: { ...tls, allowH2: false },
        proxyTls: { ...(tls.ca === undefined ? {} : { ca: tls.ca }), allowH2: false },
        // Both kinds of pools connect through the function that undici hands over; the tunnel itself has a deadline too.
        factory: (origin, options) => new Pool(origin, { ...shared, connect: this.#tracked(connectorOf(options)) }),
        clientFactory: (origin, options) =>
          new Pool(origin, { ...shared, headersTimeout: connectTimeoutMs, connect: this.#tracked(connectorOf(options)) }),
      });
    }
  }

  #send(flight: Flight, { method, headers, body }: HttpRequest): void {
    // It may have been aborted, and we closed, while files were read.
    if (flight.done) return;
    const { origin, path, host } = flight.route;
    try {
      if (this.#closed) throw closed();
      this.#pools?.dispatch({ origin, path, method, headers, body: body ?? null }, flight);
    } catch (error) {
      flight.fail(classifyFailure(error, false, host));
    }
  }

  /** Remembers every socket from its birth: undici forgets those that still connect when it is destroyed. */
  #tracked(connector: Connector): UndiciConnector.connector {
    return (options, callback) => {
      const socket = connector(options, callback);
      if (socket instanceof Socket) this.#sockets.add(socket);
    };
  }
}

function connectorOf(options: object): Connector {
  return (options as { readonly connect: Connector }).connect;
}

function closed(): HttpFailure {
  return new HttpFailure('closed', false, 'the HTTP client is closed');
}

/** The options of `tls.connect` that make the identity. */
interface TlsOptions {
  readonly minVersion: 'TLSv1.2';
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: false;
}

async function readIdentity(tls: TlsIdentity): Promise<TlsOptions> {
  const [ca, cert, key] = await Promise.all([readPem('caFile', tls.caFile), readPem('certFile', tls.certFile), readPem('keyFile', tls.keyFile)]);
  return {
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    ...(tls.insecureSkipVerify ? { rejectUnauthorized: false } : {}),
  };
}

async function readPem(field: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new HttpFailure('tls', false, `tls.${field} '${path}' cannot be read (${code})`, { cause: error });
  }
}
