import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EdgeSettings } from '../settings.ts';
import { STREAM_HEADERS, type StreamHead } from '../sse-writer.ts';

/** One of them: whether they were set. */
export const COMMON = 'x-content-type-options';
/** Headers of every answer (security.md, "Defaults that follow"). */
const ALWAYS: Readonly<Record<string, string>> = {
  [COMMON]: 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'content-security-policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cache-control': 'no-store',
};
const HSTS = 'max-age=31536000; includeSubDomains';
const REQUEST_HEADERS = [
  ...['Authorization', 'Content-Type', 'Mcp-Session-Id', 'MCP-Protocol-Version', 'Mcp-Method', 'Mcp-Name', 'Last-Event-ID', 'X-Turnpike-Toolset'],
  ...['Private-Token', 'Job-Token', 'X-GitLab-API-URL'],
].join(', ');
const SHOWN_HEADERS = 'Mcp-Session-Id, WWW-Authenticate, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset';

/** Bodies up to this size leave in one write with their head. */
const MAX_ONE_WRITE_BYTES = 16_384;

type Listen = Pick<EdgeSettings['listen'], 'hsts' | 'tls' | 'allowedOrigins' | 'writeTimeout'>;

/** What every answer carries, by the settings in force. */
export class ResponseHeaders {
  readonly #listen: Listen;
  readonly #always: readonly (readonly [string, string])[];
  /** Name, value, name, value, …: of answers whose headers are known at once. */
  readonly #bare: readonly string[];
  readonly #json: readonly string[];
  readonly #events: StreamHead;

  constructor(listen: Listen) {
    this.#listen = listen;
    const hsts: [string, string][] = listen.hsts || listen.tls !== undefined ? [['strict-transport-security', HSTS]] : [];
    this.#always = [...Object.entries(ALWAYS), ...hsts];
    this.#bare = this.#always.flat();
    this.#json = [...this.#bare, 'content-type', 'application/json', 'content-length'];
    const others = this.#always.filter(([name]) => !STREAM_HEADERS.includes(name));
    this.#events = { headers: [...others.flat(), ...STREAM_HEADERS], writeTimeout: listen.writeTimeout };
  }

  /** Before an answer of whatever kind; CORS only for origins of `listen.allowedOrigins`. */
  set({ headers: { origin } }: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of this.#always) response.setHeader(name, value);
    // From the end on the answer only has to be taken. Streams end late and are written to all the time, so they are not cut.
    response.once('prefinish', () => response.socket?.setTimeout(this.#listen.writeTimeout));
    if (origin === undefined || !this.#listen.allowedOrigins.includes(origin)) return;
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('access-control-expose-headers', SHOWN_HEADERS);
    response.setHeader('vary', 'Origin');
  }

  /** The head of an event stream for which nothing was set. */
  ofEvents(request: IncomingMessage, response: ServerResponse): StreamHead | undefined {
    if (request.headers.origin === undefined) return this.#events;
    this.set(request, response);
    return undefined;
  }

  /** 202 without a body, for which nothing was set: a message was taken. */
  sendTaken(request: IncomingMessage, response: ServerResponse): void {
    if (response.headersSent || response.destroyed) return;
    if (request.headers.origin === undefined) response.writeHead(202, [...this.#bare]);
    else {
      this.set(request, response);
      response.writeHead(202);
    }
    response.end();
    this.#limit(response);
  }

  /** One JSON body in pieces, for which nothing was set: the way of nearly all answers. */
  sendJson(request: IncomingMessage, response: ServerResponse, status: number, pieces: readonly Buffer[]): void {
    if (response.headersSent || response.destroyed) return;
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (request.headers.origin === undefined) response.writeHead(status, [...this.#json, String(length)]);
    else {
      this.set(request, response);
      response.writeHead(status, { 'content-type': 'application/json', 'content-length': length });
    }
    if (length <= MAX_ONE_WRITE_BYTES) {
      let text = '';
      // As text the head and a small body are one piece, which costs less than several.
      for (const piece of pieces) text += piece.toString('latin1');
      response.end(text, 'latin1');
    } else {
      response.cork();
      for (const piece of pieces) response.write(piece);
      response.end();
    }
    this.#limit(response);
  }

  /** What is left of an answer that was given must be taken in time. One behind another on its connection has no socket before that one is taken. */
  #limit(response: ServerResponse): void {
    const { socket } = response;
    if (socket === null) response.once('prefinish', () => response.socket?.setTimeout(this.#listen.writeTimeout));
    else if (socket.writableLength > 0) socket.setTimeout(this.#listen.writeTimeout);
  }
}

/** Answers a CORS preflight of an allowed origin. `Mcp-Param-*` names are echoed, because a wildcard would not cover them. */
export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
  const asked = String(request.headers['access-control-request-headers'] ?? '');
  const params = asked
    .split(',')
    .map((name) => name.trim())
    .filter((name) => /^mcp-param-[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/i.test(name));
  response.setHeader('access-control-allow-methods', 'GET, POST, DELETE, OPTIONS');
  response.setHeader('access-control-allow-headers', [REQUEST_HEADERS, ...params.slice(0, 50)].join(', '));
  response.setHeader('access-control-max-age', '3600');
  response.writeHead(204).end();
}
