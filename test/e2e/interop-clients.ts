import { Client as Client2, StreamableHTTPClientTransport as HttpTransport2, type Transport as Transport2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioTransport2 } from '@modelcontextprotocol/client/stdio';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SseTransport1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as StdioTransport1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpTransport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport as Transport1 } from '@modelcontextprotocol/sdk/shared/transport.js';
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { type JsonObject, META } from '../../src/core/mcp.ts';

/** The published clients, as their users configure them. */
export type Kind = 'SDK 1.32' | 'SDK 2.4 session' | 'SDK 2.4 stateless';

export interface Message {
  readonly method: string;
  readonly params: JsonObject;
}

export interface CallOptions {
  readonly onprogress?: (progress: { progress: number; total?: number | undefined }) => void;
  readonly signal?: AbortSignal;
  /** Per request, where the era has it. */
  readonly logLevel?: string;
}

interface Item {
  readonly name: string;
  readonly uri?: string;
  readonly uriTemplate?: string;
}

/** What both clients offer under the same names. */
interface Surface {
  listTools(): Promise<{ readonly tools: readonly Item[] }>;
  listPrompts(): Promise<{ readonly prompts: readonly Item[] }>;
  listResources(): Promise<{ readonly resources: readonly Item[] }>;
  listResourceTemplates(): Promise<{ readonly resourceTemplates: readonly Item[] }>;
  readResource(params: { uri: string }): Promise<JsonObject>;
  subscribeResource(params: { uri: string }): Promise<JsonObject>;
  unsubscribeResource(params: { uri: string }): Promise<JsonObject>;
  getPrompt(params: { name: string; arguments?: Record<string, string> }): Promise<JsonObject>;
  complete(params: { ref: { type: 'ref/prompt'; name: string }; argument: { name: string; value: string } }): Promise<{
    readonly completion: { readonly values: readonly string[] };
  }>;
  setLoggingLevel(level: 'debug' | 'warning' | 'error'): Promise<JsonObject>;
  getServerVersion(): { readonly name: string } | undefined;
  close(): Promise<void>;
}

/** What the client says when it is asked. */
export const ANSWERS: Readonly<Record<string, JsonObject>> = {
  'sampling/createMessage': { model: 'test-model', role: 'assistant', content: { type: 'text', text: 'a sampled answer' } },
  'elicitation/create': { action: 'accept', content: { name: 'Anna', day: 'Monday', seat: '4a' } },
  'roots/list': { roots: [{ uri: 'file:///srv/work', name: 'work' }] },
};
/** To a question that offers tools. */
export const TOOL_USE: JsonObject = {
  model: 'test-model',
  role: 'assistant',
  stopReason: 'toolUse',
  content: [{ type: 'tool_use', id: 'use-1', name: 'add', input: { a: 1, b: 2 } }],
};
const CAPABILITIES = { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } };
/** Everything that a server may ask for. */
export const ALL_CAPABILITIES = { sampling: { tools: {} }, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };
/** What the handlers need, in their order: the SDKs take none for what was not declared. */
const NEEDED = ['sampling', 'elicitation', 'roots'];
const INFO = { name: 'interop', version: '1.0.0' };

export interface PartyOptions {
  /** By default: sampling, forms, roots. */
  readonly capabilities?: JsonObject;
  readonly token?: string;
}

/** A published client that is connected, what it heard, and what it was asked. */
export class Party implements AsyncDisposable {
  readonly kind: Kind;
  readonly client: Surface;
  readonly heard: Message[] = [];
  readonly asked: Message[] = [];
  /** What it says instead of `ANSWERS`. */
  answering: ((message: Message) => Promise<JsonObject> | undefined) | undefined;
  readonly call: (name: string, args?: JsonObject, options?: CallOptions) => Promise<JsonObject>;
  /** `subscriptions/listen`, where the era has it. */
  readonly listen: (filter: JsonObject) => Promise<{ close(): Promise<void> }>;
  /** `DELETE`, where the transport has it; returns the id of the session that was. */
  terminate: () => Promise<string | undefined> = async () => undefined;

  private constructor(kind: Kind, made: Client1 | Client2, capabilities: JsonObject) {
    this.kind = kind;
    this.client = made as unknown as Surface;
    made.fallbackNotificationHandler = async ({ method, params }: { method: string; params?: object | undefined }) => {
      this.heard.push({ method, params: { ...params } });
    };
    const answer = (method: string, given: unknown): JsonObject | Promise<JsonObject> => {
      const params = (given ?? {}) as JsonObject;
      this.asked.push({ method, params });
      const own = this.answering?.({ method, params });
      if (own !== undefined) return own;
      if (params.tools !== undefined) return TOOL_USE;
      if (params.mode === 'url') return { action: 'accept' };
      return method === 'elicitation/create' ? filledIn(params) : (ANSWERS[method] ?? {});
    };
    if (made instanceof Client1) {
      for (const schema of [CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema].filter(
        (_, at) => capabilities[NEEDED[at] ?? ''],
      ))
        made.setRequestHandler(schema, ({ method, params }) => answer(method, params) as never);
      this.call = (name, args = {}, options = {}) => made.callTool({ name, arguments: args }, undefined, options as never);
      this.listen = async () => Promise.reject(new Error('this revision has no listen'));
    } else {
      for (const method of (['sampling/createMessage', 'elicitation/create', 'roots/list'] as const).filter(
        (_, at) => capabilities[NEEDED[at] ?? ''],
      ))
        made.setRequestHandler(method, ({ params }) => answer(method, params) as never);
      this.call = (name, args = {}, { logLevel, ...options } = {}) =>
        made.callTool({ name, arguments: args, ...(logLevel === undefined ? {} : { _meta: { [META.logLevel]: logLevel } }) }, options as never);
      this.listen = (filter) => made.listen(filter);
    }
  }

  /** Over streamable HTTP. */
  static async overHttp(kind: Kind, url: URL, { capabilities, token }: PartyOptions = {}): Promise<Party> {
    const options = token === undefined ? {} : { requestInit: { headers: { authorization: `Bearer ${token}` } } };
    if (kind === 'SDK 1.32') {
      const transport = new HttpTransport1(url, options);
      const party = await Party.#over1(transport as Transport1, capabilities);
      party.terminate = () => terminated(transport);
      return party;
    }
    const transport = new HttpTransport2(url, options);
    const party = await Party.#over2(kind, transport, capabilities);
    party.terminate = () => terminated(transport);
    return party;
  }

  /** SDK 1.32 over HTTP+SSE, the transport of 2024-11-05. */
  static overSse(url: URL, { capabilities }: PartyOptions = {}): Promise<Party> {
    return Party.#over1(new SseTransport1(url) as Transport1, capabilities);
  }

  /** Over the pipes of a child. */
  static overStdio(
    kind: Kind,
    command: string,
    args: readonly string[],
    env: Record<string, string>,
    cwd: string,
    capabilities?: JsonObject,
  ): Promise<Party> {
    const parameters = { command, args: [...args], env, cwd, stderr: 'ignore' as const };
    return kind === 'SDK 1.32'
      ? Party.#over1(new StdioTransport1(parameters), capabilities)
      : Party.#over2(kind, new StdioTransport2(parameters), capabilities);
  }

  static async #over1(transport: Transport1, capabilities: JsonObject = CAPABILITIES): Promise<Party> {
    const client = new Client1(INFO, { capabilities });
    const party = new Party('SDK 1.32', client, capabilities);
    await client.connect(transport);
    return party;
  }

  static async #over2(kind: Kind, transport: Transport2, capabilities: JsonObject = CAPABILITIES): Promise<Party> {
    const mode = kind === 'SDK 2.4 stateless' ? { pin: '2026-07-28' } : 'legacy';
    const client = new Client2(INFO, { capabilities, versionNegotiation: { mode } });
    const party = new Party(kind, client, capabilities);
    await client.connect(transport);
    return party;
  }

  /** Notifications of one method so far. */
  of(method: string): JsonObject[] {
    return this.heard.filter((message) => message.method === method).map(({ params }) => params);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
  }
}

/** A form holds the fields that were asked for, and no others. */
function filledIn({ requestedSchema }: JsonObject): JsonObject {
  const { action, content } = ANSWERS['elicitation/create'] as { action: string; content: JsonObject };
  const { properties } = requestedSchema as { properties: JsonObject };
  return { action, content: Object.fromEntries(Object.entries(content).filter(([name]) => properties[name] !== undefined)) };
}

async function terminated(transport: HttpTransport1 | HttpTransport2): Promise<string | undefined> {
  const { sessionId } = transport;
  await transport.terminateSession();
  return sessionId;
}

/** The text of a result's first content block. */
export function textOf(result: JsonObject): string {
  const [first] = (result.content ?? []) as JsonObject[];
  return String(first?.text);
}
