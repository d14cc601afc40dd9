import type http from 'node:http';
import { isJsonObject, type JsonObject } from '../../../src/core/mcp.ts';
import { HttpUpstream, type SeenRequest } from '../../fixtures/http-upstream.ts';
import { event, json } from './upstreams.ts';

/** One `tools/call`, `prompts/get` or `resources/read` at a session server, while it runs. */
export class SessionCall {
  readonly session: string;
  readonly method: string;
  readonly params: JsonObject;
  /** What its questions were answered with, as responses. */
  readonly heard: JsonObject[] = [];
  readonly #stopped = Promise.withResolvers<void>();
  readonly #upstream: SessionUpstream;
  readonly #response: http.ServerResponse;

  constructor(upstream: SessionUpstream, session: string, message: JsonObject, response: http.ServerResponse) {
    this.#upstream = upstream;
    this.session = session;
    this.method = String(message.method);
    this.params = isJsonObject(message.params) ? message.params : {};
    this.#response = response;
  }

  get name(): string {
    return String(this.params.name ?? this.params.uri);
  }

  get args(): JsonObject {
    return isJsonObject(this.params.arguments) ? this.params.arguments : {};
  }

  get meta(): JsonObject {
    return isJsonObject(this.params._meta) ? this.params._meta : {};
  }

  /** Whether `notifications/cancelled` came for it. */
  cancelled = false;

  /** Resolves with `notifications/cancelled`. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  cancel(): void {
    this.cancelled = true;
    this.#stopped.resolve();
  }

  say(message: JsonObject): void {
    this.#response.write(event({ jsonrpc: '2.0', ...message }));
  }

  /** Asks on the call's own stream; resolves with the response, `result` or `error`. */
  async ask(method: string, params: JsonObject): Promise<JsonObject> {
    const { id, answer } = this.#upstream.expect();
    this.say({ id, method, params });
    const heard = await answer;
    this.heard.push(heard);
    return heard;
  }
}

export interface SessionScript {
  readonly tools?: readonly JsonObject[];
  readonly prompts?: readonly JsonObject[];
  /** The result of a call; with `error`, its error. */
  readonly act: (call: SessionCall) => Promise<JsonObject> | JsonObject;
}

/** An MCP server of revision 2025-11-25 over HTTP that does what its script says and records every call. */
export class SessionUpstream extends HttpUpstream {
  readonly script: SessionScript;
  readonly calls: SessionCall[] = [];
  /** What each session's client declared. */
  readonly sessions = new Map<string, JsonObject>();
  readonly #waiting = new Map<number, (answer: JsonObject) => void>();
  readonly #running = new Map<string, SessionCall>();
  #next = 1;

  constructor(script: SessionScript) {
    super((response, seen) => void this.#answer(response, seen));
    this.script = script;
  }

  /** Calls of one tool, oldest first. */
  of(name: string): SessionCall[] {
    return this.calls.filter((call) => call.name === name);
  }

  expect(): { readonly id: number; readonly answer: Promise<JsonObject> } {
    const id = this.#next++;
    return { id, answer: new Promise((resolve) => this.#waiting.set(id, resolve)) };
  }

  async #answer(response: http.ServerResponse, seen: SeenRequest): Promise<void> {
    if (seen.method !== 'POST') {
      response.writeHead(seen.method === 'DELETE' ? 200 : 405).end();
      return;
    }
    const message = JSON.parse(seen.body) as JsonObject;
    const session = String(seen.headers['mcp-session-id'] ?? '');
    if (message.method === undefined) this.#waiting.get(Number(message.id))?.(message);
    else if (message.method === 'notifications/cancelled') {
      this.#running.get(`${session} ${String((message.params as JsonObject).requestId)}`)?.cancel();
    } else if (message.id !== undefined) return this.#request(response, message, session);
    response.writeHead(202).end();
  }

  async #request(response: http.ServerResponse, message: JsonObject, session: string): Promise<void> {
    const { id, method } = message;
    const { tools = [], prompts = [] } = this.script;
    const result = (value: JsonObject) => json(response, 200, { jsonrpc: '2.0', id, result: value });
    if (method === 'server/discover') return json(response, 400, { jsonrpc: '2.0', id, error: { code: -32600, message: 'no session' } });
    if (method === 'initialize') {
      const own = `s-${this.#next++}`;
      this.sessions.set(own, (message.params as JsonObject).capabilities as JsonObject);
      response.setHeader('mcp-session-id', own);
      return result({ protocolVersion: '2025-11-25', capabilities: { tools: {}, prompts: {} }, serverInfo: { name: 'session', version: '1' } });
    }
    if (method === 'tools/list') return result({ tools });
    if (method === 'prompts/list') return result({ prompts });
    if (method !== 'tools/call' && method !== 'prompts/get') return result({});
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const call = new SessionCall(this, session, message, response);
    const key = `${session} ${String(id)}`;
    this.calls.push(call);
    this.#running.set(key, call);
    const answer = await this.script.act(call);
    this.#running.delete(key);
    if (response.destroyed) return;
    response.end(event({ jsonrpc: '2.0', id, ...('error' in answer ? answer : { result: answer }) }));
  }
}

export async function sessionUpstream(script: SessionScript): Promise<SessionUpstream> {
  const upstream = new SessionUpstream(script);
  await upstream.listen();
  return upstream;
}
