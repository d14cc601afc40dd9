import { LATEST_LEGACY_VERSION, META, MODERN_VERSION } from '../../src/core/mcp.ts';
import { headerOf } from '../http1.ts';
import { Connection, type HttpAnswer } from './connection.ts';
import type { LoadPlan } from './plan.ts';

/** Ids keep their width, so that lengths are known beforehand. */
const FIRST_ID = 1_000_000_000;
const INFO = { name: 'bench', version: '1.0.0' };

/** Request texts of one plan, all but the id. */
export class Script {
  readonly plan: LoadPlan;
  readonly url: URL;
  /** The body around its id. */
  readonly pieces: readonly string[];
  readonly #length: number;
  #lastId = FIRST_ID;

  constructor(plan: LoadPlan) {
    this.plan = plan;
    this.url = new URL(plan.url);
    const body = JSON.stringify({ jsonrpc: '2.0', id: FIRST_ID, method: plan.method, params: paramsOf(plan) });
    this.pieces = body.split(String(FIRST_ID));
    this.#length = Buffer.byteLength(body);
  }

  nextId(): string {
    return String(this.#lastId++);
  }

  /** The head of every call of one client. */
  callHead(session: string | undefined): string {
    return this.#head(this.#length, {
      ...(this.plan.era === 'modern' ? { 'Mcp-Method': this.plan.method } : {}),
      ...(this.plan.era === 'modern' && this.plan.method === 'tools/call' ? { 'Mcp-Name': this.plan.tool } : {}),
      ...(session === undefined ? {} : { 'Mcp-Session-Id': session }),
    });
  }

  initialize(): string {
    const params = { protocolVersion: LATEST_LEGACY_VERSION, capabilities: {}, clientInfo: INFO };
    return this.#whole({ id: 1, method: 'initialize', params }, {});
  }

  initialized(session: string | undefined): string {
    return this.#whole({ method: 'notifications/initialized' }, session === undefined ? {} : { 'Mcp-Session-Id': session });
  }

  #whole(message: object, headers: Record<string, string>): string {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    return this.#head(Buffer.byteLength(body), headers) + body;
  }

  #head(length: number, more: Record<string, string>): string {
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
    return `POST ${this.url.pathname} HTTP/1.1\r\n${lines.join('')}\r\n`;
  }
}

function paramsOf({ era, method, tool, text, size, events, eventSize }: LoadPlan): object {
  const meta = {
    // The id again: nothing else in the request is as surely unique.
    ...(events > 0 ? { progressToken: FIRST_ID } : {}),
    ...(era === 'modern' ? { [META.protocolVersion]: MODERN_VERSION, [META.clientInfo]: INFO, [META.clientCapabilities]: {} } : {}),
  };
  return {
    ...(method === 'tools/call' ? { name: tool, arguments: { text: 'x'.repeat(text), size, ...(events > 0 ? { events, eventSize } : {}) } } : {}),
    ...(Object.keys(meta).length > 0 ? { _meta: meta } : {}),
  };
}

/** One client: a socket, a session if the era has them, and the check of each answer. */
export class Client {
  readonly #script: Script;
  readonly #connection: Connection;
  readonly #head: string;

  private constructor(script: Script, connection: Connection, session: string | undefined) {
    this.#script = script;
    this.#connection = connection;
    this.#head = script.callHead(session);
  }

  static async open(script: Script): Promise<Client> {
    return Client.over(await Connection.open(script.url), script);
  }

  /** A client over a socket that others may have used before. */
  static async over(connection: Connection, script: Script): Promise<Client> {
    if (script.plan.era === 'modern') return new Client(script, connection, undefined);
    const answer = await connection.send(script.initialize());
    if (answer.status !== 200) throw new Error(`initialize was answered ${quoted(answer)}`);
    const session = headerOf(answer.head, 'mcp-session-id');
    await connection.send(script.initialized(session));
    return new Client(script, connection, session);
  }

  /** What `call` sends next, for whoever sends it otherwise. */
  nextRequest(): { readonly id: string; readonly text: string } {
    const id = this.#script.nextId();
    return { id, text: this.#head + this.#script.pieces.join(id) };
  }

  /** Throws unless the answer is the result of this very call, and whole. */
  async call(): Promise<HttpAnswer> {
    const { id, text } = this.nextRequest();
    const answer = await this.#connection.send(text);
    const { status, raw, at } = answer;
    const isRight =
      status === 200 &&
      raw.indexOf(`"id":${id}`, at, 'latin1') >= 0 &&
      raw.indexOf('"result":', at, 'latin1') >= 0 &&
      raw.indexOf('"isError":true', at, 'latin1') < 0 &&
      raw.length - at > this.#script.plan.size;
    if (!isRight) throw new Error(`call ${id} was answered ${quoted(answer)}`);
    return answer;
  }

  close(): void {
    this.#connection.close();
  }
}

function quoted({ status, raw, at }: HttpAnswer): string {
  return `${status} ${raw.toString('latin1', at, at + 300)}`;
}
