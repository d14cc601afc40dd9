import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';

/** What came back for one POST: its status, and every message of its answer, in order. */
export interface Reply {
  readonly status: number;
  readonly messages: readonly JsonObject[];
}

export interface PostOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Called with every message as it arrives. */
  readonly onMessage?: (message: JsonObject) => void;
}

const ACCEPT = 'application/json, text/event-stream';

/** Sends bytes as they are to `/mcp` and reads the answer to its end. */
export async function post(url: URL, body: string, { headers = {}, signal, onMessage }: PostOptions = {}): Promise<Reply> {
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', accept: ACCEPT, ...headers },
    ...(signal === undefined ? {} : { signal }),
  });
  const messages: JsonObject[] = [];
  for await (const message of messagesOf(response)) {
    messages.push(message);
    onMessage?.(message);
  }
  return { status: response.status, messages };
}

/** The messages of a response, JSON or events; a broken stream just ends. */
export async function* messagesOf(response: Response): AsyncGenerator<JsonObject> {
  if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
    const text = await response.text();
    const value: unknown = text === '' ? undefined : JSON.parse(text);
    if (isJsonObject(value)) yield value;
    return;
  }
  let rest = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) {
      rest += decoder.decode(chunk as Uint8Array, { stream: true });
      const events = rest.split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        const data = /^data: ?(.*)$/m.exec(event)?.[1] ?? '';
        if (data === '') continue;
        const value: unknown = JSON.parse(data);
        if (isJsonObject(value)) yield value;
      }
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw error;
  }
}

/** A request of 2026-07-28: its body, and the headers that repeat it. */
export function modernRequest(
  id: string | number,
  method: string,
  params: JsonObject = {},
  meta: JsonObject = {},
): { readonly body: string; readonly headers: Record<string, string> } {
  const envelope = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {}, ...meta };
  const name = params.name ?? params.uri ?? params.taskId;
  return {
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta: envelope } }),
    headers: {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
    },
  };
}

/** The answer among the messages, if it came. */
export function answerIn({ messages }: Reply): JsonObject | undefined {
  return messages.find((message) => message.method === undefined);
}

/** A session of 2025-11-25, opened by hand, with its standing stream. */
export class RawSession {
  readonly id: string;
  /** Everything that came on the standing stream. */
  readonly heard: JsonObject[] = [];
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #stream = new AbortController();

  private constructor(url: URL, id: string, headers: Readonly<Record<string, string>>) {
    this.#url = url;
    this.id = id;
    this.#headers = { ...headers, 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
  }

  static async open(url: URL, capabilities: JsonObject = {}, headers: Readonly<Record<string, string>> = {}): Promise<RawSession> {
    const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'raw', version: '1' } };
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
      headers: { 'content-type': 'application/json', accept: ACCEPT, ...headers },
    });
    await response.arrayBuffer();
    const id = response.headers.get('mcp-session-id');
    if (id === null) throw new Error(`no session: ${response.status}`);
    return new RawSession(url, id, headers);
  }

  /** Opens the standing stream; what comes there that is a request is given to `onRequest`. */
  async stand(onRequest: (message: JsonObject) => void = () => {}): Promise<void> {
    const response = await fetch(this.#url, { headers: { accept: 'text/event-stream', ...this.#headers }, signal: this.#stream.signal });
    if (response.status !== 200) throw new Error(`no stream: ${response.status}`);
    void (async () => {
      for await (const message of messagesOf(response)) {
        this.heard.push(message);
        if (message.method !== undefined && message.id !== undefined) onRequest(message);
      }
    })();
  }

  post(message: JsonObject, options: PostOptions = {}): Promise<Reply> {
    return post(this.#url, JSON.stringify({ jsonrpc: '2.0', ...message }), { ...options, headers: { ...this.#headers, ...options.headers } });
  }

  request(id: number, method: string, params: JsonObject = {}, options: PostOptions = {}): Promise<Reply> {
    return this.post({ id, method, params }, options);
  }

  /** Sends DELETE; returns the status. */
  async end(): Promise<number> {
    const response = await fetch(this.#url, { method: 'DELETE', headers: this.#headers });
    await response.arrayBuffer();
    this.#stream.abort();
    return response.status;
  }
}
