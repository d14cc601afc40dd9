import type { IncomingMessage, ServerResponse } from 'node:http';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import type { JsonObject } from '../core/mcp.ts';
import type { Secret } from '../core/secret.ts';
import { isLoopback } from '../limit/address.ts';
import type { Instruments } from '../telemetry/instruments.ts';
import { sendJson } from './answer.ts';

export interface OpsOptions {
  readonly instruments: Instruments;
  /** `telemetry.metrics.token`: needed for /metrics from anywhere but loopback. */
  readonly metricsToken?: Secret | undefined;
  /** How the last reload of the configuration went; undefined before the first. */
  readonly lastReload?: () => JsonObject | undefined;
  /** What is not ready, by name; empty when everything is (`/readyz`). */
  readonly problems: () => Promise<Readonly<Record<string, string>>>;
  /** What /metrics answers to whoever does not ask for the text of Prometheus. Default: that text to everybody. */
  readonly summary?: (() => JsonObject) | undefined;
  /** Whether loopback reads /metrics freely although there is a credential for it. Default false. */
  readonly freeFromLoopback?: boolean | undefined;
}

/** Headers by which a proxy says for whom it asks. */
const FORWARDED = /^(forwarded|via|x-forwarded-.*|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|cf-connecting-ip)$/;
/** Media types of its text. */
const PROMETHEUS = /(?:text\/plain|application\/openmetrics-text)/i;
/** Where operators ask. */
export const OPS_PATHS: readonly string[] = ['/healthz', '/health', '/readyz', '/metrics'];

/** The routes for operators: they need no framework and no MCP. */
export class Ops {
  readonly #options: OpsOptions;

  constructor(options: OpsOptions) {
    this.#options = options;
  }

  serves(path: string): boolean {
    return OPS_PATHS.includes(path);
  }

  async serve(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      throw new TurnpikeError('guard/method', 'Method Not Allowed');
    }
    if (path === '/metrics') return this.#metrics(request, response);
    if (path !== '/readyz') return sendJson(response, 200, toJson({ status: 'ok', ...this.#reloadFor(request) }));
    const problems = await this.#options.problems();
    const ready = Object.keys(problems).length === 0;
    // Names of upstreams and causes are for operators; a stranger learns no more than a load balancer needs.
    const told = this.#hasToken(request) || isLocal(request) ? { problems } : {};
    sendJson(response, ready ? 200 : 503, toJson(ready ? { status: 'ready' } : { status: 'not ready', ...told }));
  }

  /** A problem names settings and files: for operators, as what is not ready is. */
  #reloadFor(request: IncomingMessage): JsonObject {
    const reload = this.#hasToken(request) || isLocal(request) ? this.#options.lastReload?.() : undefined;
    return reload === undefined ? {} : { reload };
  }

  async #metrics(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#mayRead(request)) throw new TurnpikeError('auth/missing', 'Metrics need the operations credential (telemetry.metrics.token)');
    const { summary } = this.#options;
    if (summary !== undefined && !PROMETHEUS.test(request.headers.accept ?? '')) return sendJson(response, 200, toJson(summary()));
    const { contentType, text } = await this.#options.instruments.expose();
    response.writeHead(200, { 'content-type': contentType }).end(text);
  }

  /** The operations credential; where none is set, a loopback peer that no proxy speaks for (security class 4). */
  #mayRead(request: IncomingMessage): boolean {
    const { metricsToken, freeFromLoopback = false } = this.#options;
    return this.#hasToken(request) || ((freeFromLoopback || metricsToken === undefined) && isLocal(request));
  }

  #hasToken(request: IncomingMessage): boolean {
    const bearer = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    return bearer !== undefined && this.#options.metricsToken?.matches(bearer) === true;
  }
}

function isLocal({ headers, socket }: IncomingMessage): boolean {
  return !Object.keys(headers).some((name) => FORWARDED.test(name)) && isLoopback(socket.remoteAddress) && isLoopbackHost(headers.host ?? '');
}

function isLoopbackHost(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(host);
}
