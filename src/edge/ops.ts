import type { IncomingMessage, ServerResponse } from 'node:http';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import type { Secret } from '../core/secret.ts';
import { isLoopback } from '../limit/address.ts';
import type { Instruments } from '../telemetry/instruments.ts';
import { sendJson } from './answer.ts';

export interface OpsOptions {
  readonly instruments: Instruments;
  /** `telemetry.metrics.token`: needed for /metrics from anywhere but loopback. */
  readonly metricsToken?: Secret;
  /** What is not ready, by name; empty when everything is (`/readyz`). */
  readonly problems: () => Promise<Readonly<Record<string, string>>>;
}

const PATHS = ['/healthz', '/health', '/readyz', '/metrics'];

/** The routes for operators: they need no framework and no MCP. */
export class Ops {
  readonly #options: OpsOptions;

  constructor(options: OpsOptions) {
    this.#options = options;
  }

  serves(path: string): boolean {
    return PATHS.includes(path);
  }

  async serve(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      throw new TurnpikeError('guard/method', 'Method Not Allowed');
    }
    if (path === '/metrics') return this.#metrics(request, response);
    if (path !== '/readyz') return sendJson(response, 200, toJson({ status: 'ok' }));
    const problems = await this.#options.problems();
    const ready = Object.keys(problems).length === 0;
    sendJson(response, ready ? 200 : 503, toJson(ready ? { status: 'ready' } : { status: 'not ready', problems }));
  }

  async #metrics(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#mayRead(request)) throw new TurnpikeError('auth/missing', 'Metrics need the operations credential (telemetry.metrics.token)');
    const { contentType, text } = await this.#options.instruments.expose();
    response.writeHead(200, { 'content-type': contentType }).end(text);
  }

  /** The operations credential; without one, a loopback peer that no proxy speaks for (security class 4). */
  #mayRead(request: IncomingMessage): boolean {
    const { metricsToken } = this.#options;
    const bearer = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (metricsToken !== undefined && bearer !== undefined) return metricsToken.matches(bearer);
    const forwarded = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'].some((name) => request.headers[name] !== undefined);
    return metricsToken === undefined && !forwarded && isLoopback(request.socket.remoteAddress) && isLoopbackHost(request.headers.host ?? '');
  }
}

function isLoopbackHost(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(host);
}
