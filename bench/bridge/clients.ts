import type { Pool } from 'undici';
import type { Era, JsonObject } from '../../src/core/mcp.ts';

/** What a client of the load says; in a session after its handshake, else by itself. */
export interface Answer {
  readonly result?: JsonObject;
  readonly error?: { readonly code: number; readonly message: string };
}

const CAPABILITIES = { elicitation: { form: {} } };
const INFO = { name: 'bench', version: '1.0.0' };

/** A client of either era that does no more than it must. All clients of one load share the sockets. */
export class LoadClient {
  readonly #pool: Pool;
  readonly #path: string;
  readonly #era: Era;
  readonly #token: string;
  #session: string | undefined;
  #id = 0;

  private constructor(pool: Pool, path: string, era: Era, token: string) {
    this.#pool = pool;
    this.#path = path;
    this.#era = era;
    this.#token = token;
  }

  static async open(pool: Pool, path: string, era: Era, token: string): Promise<LoadClient> {
    const client = new LoadClient(pool, path, era, token);
    if (era === 'legacy') {
      await client.#send('initialize', { protocolVersion: '2025-11-25', capabilities: CAPABILITIES, clientInfo: INFO });
      await client.#post(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }), {});
    }
    return client;
  }

  /** Throws when the answer is not the one to this request. */
  call(name: string, args: object, more: object = {}): Promise<Answer> {
    return this.#send('tools/call', { name, arguments: args, ...more }, { 'mcp-name': name });
  }

  /** All tools, of a list that fits on one page. */
  list(): Promise<Answer> {
    return this.#send('tools/list', {});
  }

  async #send(method: string, params: JsonObject, named: Record<string, string> = {}): Promise<Answer> {
    const id = ++this.#id;
    const isModern = this.#era === 'modern';
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': CAPABILITIES,
      'io.modelcontextprotocol/clientInfo': INFO,
    };
    const body = JSON.stringify({ jsonrpc: '2.0', id, method, params: isModern ? { ...params, _meta: meta } : params });
    const headers = isModern ? { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...named } : {};
    const text = await this.#post(body, headers);
    const message = JSON.parse(text.startsWith('{') ? text : (/^data: (\{.*)$/m.exec(text)?.[1] ?? text)) as Answer & { id: unknown };
    if (message.id !== id) throw new Error(`${JSON.stringify(message.id)} was answered, ${id} was asked: ${text}`);
    return message;
  }

  async #post(body: string, more: Record<string, string>): Promise<string> {
    const headers = {
      ...more,
      authorization: `Bearer ${this.#token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(this.#session === undefined ? {} : { 'mcp-session-id': this.#session }),
    };
    const response = await this.#pool.request({ method: 'POST', path: this.#path, headers, body });
    const session = response.headers['mcp-session-id'];
    if (typeof session === 'string') this.#session = session;
    return response.body.text();
  }
}

export function textOf({ result, error }: Answer): string {
  if (error !== undefined) throw new Error(`${error.code} ${error.message}`);
  const [first] = (result?.content ?? []) as { text?: string }[];
  return String(first?.text);
}

/** Does `work` for each item, `width` at a time. */
export async function each<T>(items: readonly T[], width: number, work: (item: T, at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) await work(items[at] as T, at);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
