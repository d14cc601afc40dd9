import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AuthRateLimiter,
  extractCredential,
  type GitLabApi,
  GitLabClient,
  GitLabClientPool,
  Instances,
  instanceRules,
  isAuthenticationFailure,
  ServerPool,
  systemClock,
} from '../../src/gitlab/index.ts';
import { Authority } from '../fixtures/authority.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';

/** The HTTP handler that users of the Go package know: each request finds the MCP server of its token, here of a published SDK. */

const USERS = 25;
const CALLS = 1_000;
const AT_ONCE = 64;

let authority: Authority;
let instances: readonly [GitLabDouble, GitLabDouble];
let pool: ServerPool<Toolbox>;
let server: Server;
let url: string;
let built = 0;

/** One caller's complete set of tools. */
class Toolbox {
  readonly #client: GitLabApi;

  constructor(client: GitLabApi) {
    built++;
    this.#client = client;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const mcp = new McpServer({ name: 'gitlab', version: '1.0.0' });
    mcp.registerTool('whoami', {}, async ({ signal }) => {
      const { body } = await this.#client.request({ path: '/user', signal });
      return { content: [{ type: 'text', text: `${(body as { username: string }).username} at ${this.#client.apiUrl}` }] };
    });
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
    response.once('close', () => void transport.close());
    await mcp.connect(transport as Parameters<McpServer['connect']>[0]);
    await transport.handleRequest(request, response);
  }
}

beforeAll(async () => {
  authority = new Authority('IP:127.0.0.1,IP:::1,DNS:localhost');
  instances = [await GitLabDouble.start({ authority }), await GitLabDouble.start({ authority, root: '/gitlab' })];
  const [first, second] = instances;
  const rules = instanceRules({ dynamic: true, apiUrl: `${first.url},${second.url}` });
  if (!rules.ok) throw new Error(rules.error);
  const known = new Instances(rules.value);
  // Both are the operator's, so neither address is guarded.
  const connections = new GitLabClientPool({ caCertPath: first.caFile, isExempt: (canonical) => known.isOperators(canonical) });
  const version = '1.0.0';
  pool = new ServerPool({ gitlabUrl: first.url }, (client) => new Toolbox(client), {
    clients: (apiUrl, credential) => new GitLabClient({ apiUrl, credential, instances: connections, clock: systemClock, version }),
  });
  const limiter = new AuthRateLimiter(3, 60_000);
  server = createServer(async (request, response) => {
    const address = String(request.headers['x-test-address'] ?? request.socket.remoteAddress);
    try {
      const credential = extractCredential(request);
      if (credential === undefined) return void response.writeHead(401).end();
      const header = request.headers['x-gitlab-api-url'];
      const chosen = known.choose(Array.isArray(header) ? header : header === undefined ? undefined : [header]);
      if (chosen.kind === 'refused') return void response.writeHead(chosen.status).end();
      const token = credential.token.reveal();
      const which = { kind: credential.kind, gitlabUrl: chosen.url.canonical };
      if (limiter.isBlocked(address) && !pool.has(token, which)) return void response.writeHead(429).end();
      const toolbox = await pool.getOrCreate(token, which);
      await toolbox.handle(request, response);
    } catch (error) {
      if (isAuthenticationFailure(error)) limiter.recordFailure(address);
      response.writeHead(isAuthenticationFailure(error) ? 401 : 503).end();
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  ending = async () => {
    await new Promise<void>((closed) => server.close(() => closed()));
    await pool[Symbol.asyncDispose]();
    expect(connections.size()).toBe(2);
    await connections.close();
  };
});
let ending: () => Promise<void>;
afterAll(async () => {
  await ending();
  for (const one of instances) await one[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
});

async function whoami(headers: Readonly<Record<string, string>>): Promise<{ readonly status: number; readonly text: string | undefined }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } }),
  });
  const body = await response.text();
  if (!response.ok) return { status: response.status, text: undefined };
  return { status: response.status, text: JSON.parse(body).result.content[0].text };
}

describe('a handler that picks the server by the token', () => {
  it('answers each of many callers at two instances with themselves, and no instance sees a foreign token', async () => {
    const callers = instances.flatMap((double, at) =>
      Array.from({ length: USERS }, (_, index) => {
        const username = `user-${at}-${index}`;
        const token = double.person(username).token.value;
        const credential: Record<string, string> = index % 2 === 0 ? { 'private-token': token } : { authorization: `Bearer ${token}` };
        return { expected: `${username} at ${double.apiUrl}`, headers: { ...credential, 'x-gitlab-api-url': double.url } };
      }),
    );
    let next = 0;
    const wrong: unknown[] = [];
    const worker = async () => {
      while (next < CALLS) {
        const caller = callers[(next++ * 7) % callers.length] as (typeof callers)[number];
        const { text } = await whoami(caller.headers);
        if (text !== caller.expected) wrong.push([text, caller.expected]);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    expect(wrong).toEqual([]);
    expect(built).toBe(2 * USERS);
    expect(instances.flatMap((one) => one.log.foreign())).toEqual([]);
    expect(pool.stats()).toMatchObject({ misses: 2 * USERS, hits: CALLS - 2 * USERS, evictions: 0, current_size: 2 * USERS });
  }, 60_000);

  it('has two entries for one token at two instances, and one for all spellings of an instance', async () => {
    const [first, second] = instances;
    const token = 'glpat-of-both-instances-0001';
    for (const one of instances) one.world.addToken(one.world.addUser('both'), { value: token });
    const size = pool.size();
    const from = (instance: string) => whoami({ 'private-token': token, 'x-gitlab-api-url': instance });
    for (const spelling of [first.url, first.apiUrl, `${first.apiUrl}/`]) expect((await from(spelling)).text).toBe(`both at ${first.apiUrl}`);
    expect(pool.size()).toBe(size + 1);
    expect((await from(second.url)).text).toBe(`both at ${second.apiUrl}`);
    expect(pool.size()).toBe(size + 2);
  });

  it('refuses what is no token, blocks an address that guesses, and goes on to serve who is known', async () => {
    const [double] = instances;
    const known = { 'private-token': double.person('ann').token.value, 'x-test-address': '203.0.113.9' };
    expect(await whoami(known)).toEqual({ status: 200, text: `ann at ${double.apiUrl}` });
    const before = double.log.of({}).length;
    expect((await whoami({})).status).toBe(401);
    expect((await whoami({ 'private-token': 'short', 'x-test-address': '203.0.113.9' })).status).toBe(401);
    expect(double.log.of({}).length).toBe(before);
    for (const status of [401, 401, 429])
      expect((await whoami({ 'private-token': `glpat-guess-${status}-${Math.random()}`, 'x-test-address': '203.0.113.9' })).status).toBe(status);
    expect((await whoami(known)).status).toBe(200);
    const stranger = double.person('eve').token.value;
    expect((await whoami({ 'private-token': stranger, 'x-test-address': '203.0.113.9' })).status).toBe(429);
    expect((await whoami({ 'private-token': stranger, 'x-test-address': '203.0.113.10' })).status).toBe(200);
    expect((await whoami({ ...known, 'x-gitlab-api-url': 'https://gitlab.example.org' })).status).toBe(403);
  });
});
