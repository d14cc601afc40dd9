import type http from 'node:http';
import { isJsonObject, type JsonObject } from '../../../src/core/mcp.ts';
import { HttpUpstream, type SeenRequest } from '../../fixtures/http-upstream.ts';

/** One request as an upstream saw it. */
export interface Received extends SeenRequest {
  readonly message: JsonObject;
  readonly method: string;
  readonly params: JsonObject;
}

export interface Script {
  readonly tools?: readonly JsonObject[];
  readonly prompts?: readonly JsonObject[];
  readonly resources?: readonly JsonObject[];
  readonly templates?: readonly JsonObject[];
  /** The result of a call, read or get; or nothing, when the script answers by itself. */
  readonly act?: (received: Received, response: http.ServerResponse) => JsonObject | undefined | Promise<JsonObject | undefined>;
}

const CALLS = ['tools/call', 'prompts/get', 'resources/read'];

/** A tool definition that passes every check. */
export function tool(name: string, more: JsonObject = {}): JsonObject {
  return { name, description: `Tool ${name}`, inputSchema: { type: 'object', properties: {} }, ...more };
}

export const text = (value: string): JsonObject => ({ content: [{ type: 'text', text: value }] });

/** An MCP server of revision 2026-07-28 that does what its script says, records every request, and can be told to notify. */
export class ScriptedUpstream extends HttpUpstream {
  script: Script;
  /** Open answers to `subscriptions/listen`, with the id they answer. */
  readonly listeners = new Map<http.ServerResponse, unknown>();

  constructor(script: Script) {
    super((response, seen) => void this.#answer(response, seen));
    this.script = script;
  }

  /** Every request so far, as a message. */
  get received(): Received[] {
    return this.requests.map(receivedOf);
  }

  /** Requests of one method, or all calls, reads and gets. */
  calls(method?: string): Received[] {
    return this.received.filter((one) => (method === undefined ? CALLS.includes(one.method) : one.method === method));
  }

  count(method: string): number {
    return this.calls(method).length;
  }

  /** Tells every listener; `times` at once. */
  notify(method: string, times = 1): void {
    for (const [response, id] of this.listeners) {
      const params = { _meta: { 'io.modelcontextprotocol/subscriptionId': id } };
      response.write(event({ jsonrpc: '2.0', method, params }).repeat(times));
    }
  }

  async #answer(response: http.ServerResponse, seen: SeenRequest): Promise<void> {
    const received = receivedOf(seen);
    const { id } = received.message;
    if (id === undefined) {
      response.writeHead(202).end();
      return;
    }
    if (received.method === 'subscriptions/listen') return this.#listen(response, id, received.params);
    const result = CALLS.includes(received.method)
      ? await (this.script.act ?? (() => text('done')))(received, response)
      : this.#listing(received.method);
    if (result === undefined || response.headersSent || response.destroyed) return;
    json(response, 200, { jsonrpc: '2.0', id, result: { resultType: 'complete', ...result } });
  }

  #listing(method: string): JsonObject {
    const { tools = [], prompts = [], resources = [], templates = [] } = this.script;
    const cache = { ttlMs: 0, cacheScope: 'private' };
    if (method === 'tools/list') return { tools, ...cache };
    if (method === 'prompts/list') return { prompts, ...cache };
    if (method === 'resources/list') return { resources, ...cache };
    if (method === 'resources/templates/list') return { resourceTemplates: templates, ...cache };
    const capabilities = { tools: { listChanged: true }, prompts: { listChanged: true }, resources: { listChanged: true } };
    return { supportedVersions: ['2026-07-28'], capabilities, ...cache };
  }

  #listen(response: http.ServerResponse, id: unknown, params: JsonObject): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const _meta = { 'io.modelcontextprotocol/subscriptionId': id };
    response.write(
      event({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: { notifications: params.notifications, _meta } }),
    );
    this.listeners.set(response, id);
    response.once('close', () => this.listeners.delete(response));
  }
}

export async function scripted(script: Script): Promise<ScriptedUpstream> {
  const upstream = new ScriptedUpstream(script);
  await upstream.listen();
  return upstream;
}

/** One event of a stream. */
export function event(message: JsonObject): string {
  return `data: ${JSON.stringify(message)}\n\n`;
}

export function json(response: http.ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function receivedOf(seen: SeenRequest): Received {
  let message: JsonObject = {};
  try {
    const value: unknown = JSON.parse(seen.body);
    if (isJsonObject(value)) message = value;
  } catch {
    // Not JSON: recorded as it is.
  }
  return { ...seen, message, method: String(message.method ?? ''), params: isJsonObject(message.params) ? message.params : {} };
}
