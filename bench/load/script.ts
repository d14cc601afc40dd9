import { LATEST_LEGACY_VERSION, META, MODERN_VERSION } from '../../src/core/mcp.ts';
import type { LoadPlan } from './plan.ts';

/** Ids keep their width, so that lengths are known beforehand. */
const FIRST_ID = 1_000_000_000;
const INFO = { name: 'bench', version: '1.0.0' };

/** Request texts of one plan, all but the id. */
export class Script {
  readonly plan: LoadPlan;
  readonly url: URL;
  /** The body around its id. */
  readonly #pieces: readonly string[];
  readonly #length: number;
  #lastId = FIRST_ID;

  constructor(plan: LoadPlan) {
    this.plan = plan;
    this.url = new URL(plan.url);
    const body = JSON.stringify({ jsonrpc: '2.0', id: FIRST_ID, method: plan.method, params: paramsOf(plan) });
    this.#pieces = body.split(String(FIRST_ID));
    this.#length = Buffer.byteLength(body);
  }

  nextId(): string {
    return String(this.#lastId++);
  }

  bodyOf(id: string): string {
    return this.#pieces.join(id);
  }

  /** The head of every call of one client. */
  callHead(session: string | undefined, path = this.url.pathname): string {
    return this.#head(path, this.#length, {
      ...(this.plan.era === 'modern' ? { 'Mcp-Method': this.plan.method } : {}),
      ...(this.plan.era === 'modern' && this.plan.method === 'tools/call' ? { 'Mcp-Name': this.plan.tool } : {}),
      ...(session === undefined ? {} : { 'Mcp-Session-Id': session }),
    });
  }

  initialize(path = this.url.pathname): string {
    const params = { protocolVersion: LATEST_LEGACY_VERSION, capabilities: {}, clientInfo: INFO };
    return this.#whole(path, { id: 1, method: 'initialize', params }, {});
  }

  initialized(session: string | undefined, path = this.url.pathname): string {
    return this.#whole(path, { method: 'notifications/initialized' }, session === undefined ? {} : { 'Mcp-Session-Id': session });
  }

  #whole(path: string, message: object, headers: Record<string, string>): string {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    return this.#head(path, Buffer.byteLength(body), headers) + body;
  }

  #head(path: string, length: number, more: Record<string, string>): string {
    const headers = {
      Host: this.url.host,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      Authorization: `Bearer ${this.plan.token}`,
      'MCP-Protocol-Version': this.plan.era === 'modern' ? MODERN_VERSION : LATEST_LEGACY_VERSION,
      ...more,
      'Content-Length': String(length),
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
  }
}

function paramsOf({ era, method, tool, text, size, events, speech, eventSize }: LoadPlan): object {
  const meta = {
    // The id again: nothing else in the request is as surely unique.
    ...(events > 0 ? { progressToken: FIRST_ID } : {}),
    ...(era === 'modern' ? { [META.protocolVersion]: MODERN_VERSION, [META.clientInfo]: INFO, [META.clientCapabilities]: {} } : {}),
    ...(era === 'modern' && speech === 'log' ? { [META.logLevel]: 'info' } : {}),
  };
  return {
    ...(method === 'tools/call'
      ? { name: tool, arguments: { text: 'x'.repeat(text), size, ...(events > 0 ? { events, speech, eventSize } : {}) } }
      : {}),
    ...(Object.keys(meta).length > 0 ? { _meta: meta } : {}),
  };
}
