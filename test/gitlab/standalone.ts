import type { JsonObject } from '../../src/core/mcp.ts';
import { Rig, type Started } from '../e2e/cli-rig.ts';
import { Authority } from '../fixtures/authority.ts';
import { freePort } from '../fixtures/free-port.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { get, type Headers, type Reply, send } from '../security/kit/http.ts';

export const BOTH = 'application/json, text/event-stream';
export const JSON_TYPE = { 'content-type': 'application/json' };

/** `turnpike gitlab` as a process of its own, over HTTP, in front of doubles. */
export interface Standalone {
  readonly process: Started;
  /** Without a path. */
  readonly root: string;
  readonly url: string;
  post(message: unknown, headers?: Headers): Promise<Reply>;
  /** `tools/call` without a session, as the documented examples do it. */
  call(name: string, args: JsonObject, headers?: Headers): Promise<Reply>;
  /** Opens a session by `initialize`. */
  initialize(headers?: Headers): Promise<Reply>;
  metrics(headers?: Headers): Promise<Record<string, unknown>>;
}

/** By which somebody comes in. */
export type Person = Readonly<Record<'private-token', string>>;

/** Doubles and processes of one test file. */
export class StandaloneRig implements AsyncDisposable {
  readonly authority: Authority;
  readonly com: GitLabDouble;
  readonly corp: GitLabDouble;
  readonly #rig: Rig;

  private constructor(authority: Authority, com: GitLabDouble, corp: GitLabDouble, rig: Rig) {
    this.authority = authority;
    this.com = com;
    this.corp = corp;
    this.#rig = rig;
  }

  static async make(): Promise<StandaloneRig> {
    const authority = new Authority('IP:127.0.0.1,IP:::1,DNS:localhost');
    const com = await GitLabDouble.start({ authority });
    const corp = await GitLabDouble.start({ authority, root: '/gitlab' });
    return new StandaloneRig(authority, com, corp, await Rig.make());
  }

  /** Alice and Bob of `com`, Carol of `corp`: the headers by which they come in. */
  people(): Record<'alice' | 'bob' | 'carol', Person> {
    const come = (gitlab: GitLabDouble, name: string) => ({ 'private-token': gitlab.person(name).token.value });
    return { alice: come(this.com, 'alice'), bob: come(this.com, 'bob'), carol: come(this.corp, 'carol') };
  }

  /** Both instances may be chosen; `com` is the default. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<Standalone> {
    const port = await freePort();
    const process = this.#rig.start(['gitlab'], {
      open: true,
      env: {
        STREAMABLE_HTTP: 'true',
        REMOTE_AUTHORIZATION: 'true',
        ENABLE_DYNAMIC_API_URL: 'true',
        PORT: String(port),
        GITLAB_API_URL: `${this.com.url},${this.corp.url}`,
        GITLAB_CA_CERT_PATH: this.com.caFile ?? '',
        ...env,
      },
    });
    await process.until(/lists every setting|Tools|tools are served|Upstream/i);
    const root = `http://127.0.0.1:${port}`;
    const url = `${root}/mcp`;
    const post: Standalone['post'] = (message, headers) => send(url, 'POST', { ...JSON_TYPE, ...headers }, JSON.stringify(message));
    await until(async () => (await get(`${root}/healthz`).catch(() => undefined))?.status === 200);
    return {
      process,
      root,
      url,
      post,
      call: (name, args, headers) => post({ jsonrpc: '2.0', method: 'tools/call', params: { name, arguments: args }, id: 1 }, headers),
      initialize: (headers) =>
        post(
          {
            jsonrpc: '2.0',
            id: 0,
            method: 'initialize',
            params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
          },
          { accept: BOTH, ...headers },
        ),
      metrics: async (headers) => JSON.parse((await get(`${root}/metrics`, headers)).text) as Record<string, unknown>,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rig[Symbol.asyncDispose]();
    await Promise.all([this.com[Symbol.asyncDispose](), this.corp[Symbol.asyncDispose]()]);
    this.authority[Symbol.dispose]();
  }
}

/** What a refusal says: status, message, detail. */
export function refusal({ status, messages: [message] }: Reply): readonly [number, unknown, unknown] {
  const error = message?.error as { readonly message?: unknown; readonly data?: { readonly detail?: unknown } } | undefined;
  return [status, error?.message, error?.data?.detail];
}

/** The text of the result of a call: what sessions of 2025-03-26 get. */
export function text({ messages: [message] }: Pick<Reply, 'messages'>): string {
  return (message?.result as { readonly content?: readonly { readonly text?: string }[] } | undefined)?.content?.[0]?.text ?? '';
}

/** Looks again until something holds; throws after 10 s. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('it did not come true');
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
