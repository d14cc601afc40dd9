import { ManualClock } from '../../../core/manual-clock.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import { Secret } from '../../../core/secret.ts';
import type { ElicitAnswer, ToolOutcome } from '../../server/server.ts';
import type { ApiAnswer, ApiPage, ApiRequest, GitLabApi } from '../client/api.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import { ALL_TOOLS } from './all-tools.ts';
import type { GitLabCall, GitLabContext } from './gitlab-call.ts';
import { Runner } from './runner.ts';
import { DEFAULT_SETTINGS, type GitLabSettings, type Sealing } from './settings.ts';

/** For tests: what was sent, without the signal and what is undefined. */
export interface Sent {
  readonly how: 'request' | 'list' | 'page' | 'keyset' | 'stream' | 'graphql';
  readonly method: string;
  readonly path: string;
  readonly query: JsonObject;
  readonly body?: JsonObject;
  readonly keyset?: boolean;
  readonly once?: boolean;
}

/** An answer by method and path, a function of what was sent, or an error to throw. */
export type Reply = unknown | Error | ((sent: Sent) => unknown);

/** A page that is not the whole list. */
export interface FakePage {
  readonly items: readonly JsonObject[];
  readonly next?: ApiPage['next'];
  readonly total?: number;
}

/** A GitLab made of a table, for tests of tools: `'GET /user'` → answer. What is not in it is 404. */
export class FakeApi implements GitLabApi {
  readonly apiUrl = 'https://git.example.com/api/v4';
  readonly sent: Sent[] = [];
  readonly #replies: Record<string, Reply>;
  /** Headers of answers by the same key. */
  readonly headers: Record<string, Record<string, string>> = {};

  constructor(replies: Record<string, Reply> = {}) {
    this.#replies = replies;
  }

  async request(request: ApiRequest): Promise<ApiAnswer> {
    const [key, body] = this.#reply('request', request);
    return { status: 200, body, headers: this.headers[key] ?? {} };
  }

  async list(request: ApiRequest & { readonly keyset?: boolean }): Promise<ApiPage> {
    const [, reply] = this.#reply('list', request);
    const page: FakePage = Array.isArray(reply) ? { items: reply } : (reply as FakePage);
    const { items, next, total = null } = page;
    const pages = { page: 1, per_page: 20, next_page: next === undefined ? null : 2, prev_page: null };
    return { items, next, pagination: { ...pages, total_items: total, total_pages: null, has_more: next !== undefined } };
  }

  async *page(request: ApiRequest): AsyncGenerator<JsonObject> {
    const [, reply] = this.#reply('page', request);
    yield* reply as JsonObject[];
  }

  async *keyset(request: ApiRequest): AsyncGenerator<JsonObject> {
    const [, reply] = this.#reply('keyset', request);
    yield* reply as JsonObject[];
  }

  async stream(request: ApiRequest) {
    const [key, reply] = this.#reply('stream', request);
    const chunks = typeof reply === 'string' ? [Buffer.from(reply)] : (reply as AsyncIterable<Buffer>);
    return {
      headers: this.headers[key] ?? {},
      chunks: (async function* () {
        yield* chunks;
      })(),
    };
  }

  async graphql(query: string, variables: JsonObject): Promise<JsonObject> {
    const [, reply] = this.#reply('graphql', { method: 'POST', path: '/graphql', body: { query, variables }, signal: AbortSignal.timeout(1) });
    return reply as JsonObject;
  }

  #reply(how: Sent['how'], { method = 'GET', path, query = {}, body, once, ...rest }: ApiRequest & { readonly keyset?: boolean }): [string, unknown] {
    const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
    const { keyset } = rest;
    const sent: Sent = {
      how,
      method,
      path,
      query: given,
      ...(body && { body }),
      ...(keyset !== undefined && { keyset }),
      ...(once !== undefined && { once }),
    };
    this.sent.push(sent);
    const key = `${method} ${path}`;
    if (!Object.hasOwn(this.#replies, key)) throw new GitLabError('not_found', '404 Not found', { status: 404 });
    const reply = this.#replies[key];
    const value = typeof reply === 'function' ? reply(sent) : reply;
    if (value instanceof Error) throw value;
    return [key, value];
  }
}

/** Sealing that tests can look into. */
export const openSealing: Sealing = {
  seal: (purpose, value) => Buffer.from(JSON.stringify([purpose, value])).toString('base64url'),
  open(purpose, text) {
    try {
      const [sealedFor, value] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [string, JsonObject];
      return sealedFor === purpose ? value : undefined;
    } catch {
      return undefined;
    }
  },
};

export const TOKEN = 'tok-0123456789abcdefABCDEF';

/** A runner of all tools with a fake GitLab behind it. */
export function bench(replies: Record<string, Reply> = {}, settings: Partial<GitLabSettings> = {}) {
  const api = new FakeApi(replies);
  const clock = new ManualClock();
  const runner = new Runner(ALL_TOOLS, {
    settings: { ...DEFAULT_SETTINGS, toolsets: ['all'], confirm: 'allow', ...settings },
    sealing: openSealing,
    clock,
  });
  const context: GitLabContext = { api, principal: 'https://git.example.com 42', secrets: [new Secret(TOKEN)] };
  const asked: string[] = [];
  const call = (answer?: ElicitAnswer, signal = new AbortController().signal): GitLabCall => ({
    ...{ context, signal, canElicit: answer !== undefined },
    progress: () => {},
    ask: (_key, message) => {
      asked.push(message);
      if (answer === undefined) throw new Error('asked a client that cannot answer');
      return answer;
    },
  });
  const run = (name: string, args: JsonObject = {}, answer?: ElicitAnswer): Promise<ToolOutcome> => runner.run(name, args, call(answer));
  return { api, clock, runner, context, asked, call, run };
}

/** The structured content of a result, for tests that know what is in it. */
export function structured({ structuredContent }: ToolOutcome) {
  return (structuredContent ?? {}) as {
    readonly item: JsonObject;
    readonly items: readonly JsonObject[];
    readonly pagination: JsonObject;
    readonly next_steps: readonly { readonly tool: string; readonly arguments: JsonObject; readonly why: string }[];
  };
}

/** The text of a result. */
export function textOf({ content }: ToolOutcome): string {
  return String(content[0]?.text);
}
