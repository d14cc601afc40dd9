import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** A request as a test server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export type Handler = (request: SeenRequest, response: http.ServerResponse) => void;

/** A listener on a free port, and every socket that must end with it. */
class Listener implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  protected constructor(server: net.Server) {
    this.#server = server;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Open sockets. */
  get open(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  protected async listen(address: string, onSocket: (socket: net.Socket) => void = () => {}): Promise<this> {
    this.#server.on('connection', (socket: net.Socket) => onSocket(this.keep(socket)));
    this.#server.listen(0, address);
    await once(this.#server, 'listening');
    return this;
  }

  protected keep(socket: net.Socket): net.Socket {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }
}

/** An HTTP or HTTPS server on a free port of 127.0.0.1, or of another address of this machine. */
export class TestServer extends Listener {
  readonly requests: SeenRequest[] = [];
  /** TCP connections that ever came. */
  connections = 0;

  private constructor(handler: Handler, tls: { readonly cert: Buffer; readonly key: Buffer } | undefined) {
    const listener = (request: http.IncomingMessage, response: http.ServerResponse) => void this.#answer(handler, request, response);
    super(tls === undefined ? http.createServer(listener) : https.createServer({ cert: tls.cert, key: tls.key }, listener));
  }

  static async start(handler: Handler, tls?: { readonly cert: Buffer; readonly key: Buffer }, address = '127.0.0.1'): Promise<TestServer> {
    const server = new TestServer(handler, tls);
    return server.listen(address, () => {
      server.connections++;
    });
  }

  async #answer(handler: Handler, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const seen = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() };
    this.requests.push(seen);
    handler(seen, response);
  }
}

/** A proxy that reaches every target at 127.0.0.1, whatever its name; what it was asked for is kept. */
export class TestProxy extends Listener {
  /** `CONNECT host:port`, `GET http://…`, or `socks host:port`. */
  readonly asked: string[] = [];
  readonly credentials: string[] = [];
  /** Takes connections and says nothing. */
  silent = false;
  /** Status of HTTP proxies, or reply of SOCKS. */
  refusal: number | undefined;

  private constructor(server: net.Server) {
    super(server);
  }

  static async http(tls?: { readonly cert: Buffer; readonly key: Buffer }): Promise<TestProxy> {
    const server = tls === undefined ? http.createServer() : https.createServer({ cert: tls.cert, key: tls.key });
    const proxy = new TestProxy(server);
    const note = (request: http.IncomingMessage) => {
      proxy.asked.push(`${request.method} ${request.url}`);
      const { 'proxy-authorization': credentials } = request.headers;
      if (credentials !== undefined) proxy.credentials.push(credentials);
    };
    server.on('connect', (request: http.IncomingMessage, socket: net.Socket) => {
      note(request);
      proxy.keep(socket);
      if (proxy.silent) return;
      if (proxy.refusal !== undefined) return void socket.end(`HTTP/1.1 ${proxy.refusal} No\r\n\r\n`);
      const behind = proxy.keep(net.connect(Number(/:(\d+)$/.exec(request.url ?? '')?.[1]), '127.0.0.1'));
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(behind).pipe(socket);
    });
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      note(request);
      if (proxy.refusal !== undefined) return void response.writeHead(proxy.refusal).end();
      const { port, pathname, search } = new URL(request.url ?? '');
      const behind = http.request({ port, path: pathname + search, method: request.method, headers: request.headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(response);
      });
      request.pipe(behind);
    });
    return proxy.listen('127.0.0.1');
  }

  /** @param login `user:password` that it wants, if any */
  static async socks5(login?: string): Promise<TestProxy> {
    const proxy: TestProxy = new TestProxy(net.createServer((socket) => void proxy.#socks(socket, login).catch(() => socket.destroy())));
    return proxy.listen('127.0.0.1');
  }

  async #socks(socket: net.Socket, login: string | undefined): Promise<void> {
    if (this.silent) return void socket.resume();
    const take = async (count: number): Promise<Buffer> => {
      for (;;) {
        const bytes: Buffer | null = socket.read(count);
        if (bytes !== null) return bytes;
        await once(socket, 'readable');
      }
    };
    const [, methods = 0] = await take(2);
    const offered = [...(await take(methods))];
    const method = login === undefined ? 0 : 2;
    if (!offered.includes(method)) return void socket.end(Buffer.from([5, 255]));
    socket.write(Buffer.from([5, method]));
    if (login !== undefined) {
      const user = (await take(((await take(2))[1] as number) ?? 0)).toString();
      const password = (await take((await take(1))[0] as number)).toString();
      this.credentials.push(`${user}:${password}`);
      socket.write(Buffer.from([1, `${user}:${password}` === login ? 0 : 1]));
    }
    const type = (await take(4))[3];
    const host = type === 3 ? (await take((await take(1))[0] as number)).toString() : [...(await take(type === 4 ? 16 : 4))].join('.');
    const port = (await take(2)).readUInt16BE();
    this.asked.push(`socks ${host}:${port}`);
    // Byte by byte, and with what the target says in the same piece as the last: a reader must take exactly what is its own.
    for (const byte of [5, this.refusal ?? 0, 0, 1, 0, 0, 0]) {
      socket.write(Buffer.from([byte]));
      await turn();
    }
    const behind = this.keep(net.connect(port, '127.0.0.1'));
    await once(behind, 'connect');
    socket.write(Buffer.from([0, 0, 0]));
    socket.pipe(behind).pipe(socket);
  }
}
