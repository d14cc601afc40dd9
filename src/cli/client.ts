import { Agent, type Dispatcher, request } from 'undici';
import { editObject, member, parseJson, toJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, META, MODERN_VERSION } from '../core/mcp.ts';
import { encodeHeaderValue } from '../core/mcp-headers.ts';
import type { Secret } from '../core/secret.ts';
import { SseParser } from '../upstream/http/sse-parser.ts';

export interface ClientOptions {
  readonly url: URL;
  readonly token?: Secret;
  readonly version: string;
}

/** What a request ended in: its result, or what was answered in place of one. */
export type Reply =
  | { readonly kind: 'result'; readonly bytes: Buffer; readonly result: JsonObject }
  | { readonly kind: 'error'; readonly status: number; readonly message: string; readonly data?: unknown };

export interface ClientRequest {
  readonly method: string;
  /** A JSON object without `_meta`; its bytes are sent as they are. */
  readonly params: Buffer;
  /** `Mcp-Name`, for methods that need it. */
  readonly name?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Progress of this request. */
  readonly onProgress?: (params: JsonObject) => void;
}

/** Largest answer that is read. Bytes. */
const MAX_ANSWER = 256 * 1024 * 1024;
/** Longest text of a refusal that is no JSON-RPC answer. Characters. */
const MAX_FOREIGN = 300;

/** A client of revision 2026-07-28, as small as `list` and `call` need it: no session, one request per answer. */
export class GatewayClient implements AsyncDisposable {
  readonly #options: ClientOptions;
  readonly #agent = new Agent({ connect: { timeout: 10_000 }, headersTimeout: 0, bodyTimeout: 0 });
  #nextId = 1;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Throws what the connection fails with, and the signal's reason. */
  async request({ method, params, name, headers = {}, signal, onProgress }: ClientRequest): Promise<Reply> {
    const { url, token, version } = this.#options;
    const id = this.#nextId++;
    const meta = {
      [META.protocolVersion]: MODERN_VERSION,
      [META.clientCapabilities]: {},
      [META.clientInfo]: { name: 'turnpike-cli', version },
      ...(onProgress === undefined ? {} : { [META.progressToken]: id }),
    };
    const response = await request(url, {
      method: 'POST',
      dispatcher: this.#agent,
      signal,
      headers: {
        ...headers,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        'mcp-protocol-version': MODERN_VERSION,
        'mcp-method': method,
        ...(name === undefined ? {} : { 'mcp-name': encodeHeaderValue(name) }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
      },
      body: editObject(toJson({ jsonrpc: '2.0', id, method }), { params: editObject(params, { _meta: toJson(meta) }) }),
    });
    const isStream = String(response.headers['content-type'] ?? '').startsWith('text/event-stream');
    return isStream ? readStream(response, id, onProgress) : readWhole(response, id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

async function readWhole({ body, statusCode }: Dispatcher.ResponseData, id: number): Promise<Reply> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER) throw new Error(`the answer is larger than ${MAX_ANSWER} bytes`);
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  const reply = replyOf(bytes, id, statusCode);
  if (reply !== undefined) return reply;
  const text = bytes.toString('utf8').replaceAll(/\s+/g, ' ').trim().slice(0, MAX_FOREIGN);
  return { kind: 'error', status: statusCode, message: `HTTP ${statusCode}${text === '' ? '' : `: ${text}`}` };
}

async function readStream({ body, statusCode }: Dispatcher.ResponseData, id: number, onProgress?: (params: JsonObject) => void): Promise<Reply> {
  let reply: Reply | undefined;
  const parser = new SseParser(
    ({ data }) => {
      const parsed = parseJson(data);
      if (!parsed.ok || !isJsonObject(parsed.value)) return;
      const { method, params } = parsed.value;
      if (method === 'notifications/progress' && isJsonObject(params)) onProgress?.(params);
      else if (method === undefined) reply ??= replyOf(data, id, statusCode);
    },
    { sender: 'the gateway', maxLineBytes: MAX_ANSWER, maxEventBytes: MAX_ANSWER },
  );
  for await (const chunk of body as AsyncIterable<Buffer>) {
    parser.push(chunk);
    if (reply !== undefined) return reply;
  }
  throw new Error('the gateway closed the connection before it had answered');
}

/** The reply in a JSON-RPC answer; undefined if it is none of ours. An error without id is about the request as a whole. */
function replyOf(bytes: Buffer, id: number, status: number): Reply | undefined {
  const parsed = parseJson(bytes);
  if (!parsed.ok || !isJsonObject(parsed.value)) return undefined;
  const { id: answered, result, error } = parsed.value;
  if (isJsonObject(result) && answered === id) return { kind: 'result', bytes: member(bytes, 'result') ?? toJson(result), result };
  if (!isJsonObject(error) || typeof error.message !== 'string') return undefined;
  return { kind: 'error', status, message: error.message, ...(error.data === undefined ? {} : { data: error.data }) };
}
