import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { read } from '../docs/markdown.ts';
import { JSON_TYPE, refusal, type Standalone, StandaloneRig, text } from './standalone.ts';

/** The documented examples as they are written, apart from the names of hosts and tokens. */

const run = promisify(execFile);
const hasCurl = spawnSync('curl', ['--version']).status === 0;

let rig: StandaloneRig;
let server: Standalone;
let tokens: Record<'com' | 'corp', string>;

beforeAll(async () => {
  rig = await StandaloneRig.make();
  const [alice, carol] = [rig.com.person('alice'), rig.corp.person('carol')];
  tokens = { com: alice.token.value, corp: carol.token.value };
  rig.com.world.addProject(alice.user, 'my-project', { files: { 'README.md': '# com\n' } });
  rig.corp.world.addProject(carol.user, 'corp-project', { files: { 'README.md': '# corp\n' } });
  server = await rig.start();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const list = { jsonrpc: '2.0', method: 'tools/call', params: { name: 'list_projects', arguments: {} }, id: 1 };

describe('the documented example', () => {
  it('of fetch: two instances, two sessions, and the first again by its id', async () => {
    const response1 = await fetch(server.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${tokens.com}`, 'X-GitLab-API-URL': rig.com.url },
      body: JSON.stringify(list),
    });
    const session1 = response1.headers.get('mcp-session-id');
    expect(response1.headers.get('content-type')).toBe('application/json');
    const response2 = await fetch(server.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Private-Token': tokens.corp, 'X-GitLab-API-URL': rig.corp.url },
      body: JSON.stringify({ ...list, id: 2 }),
    });
    const session2 = response2.headers.get('mcp-session-id');
    const response3 = await fetch(server.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'MCP-Session-ID': session1 ?? '', Authorization: `Bearer ${tokens.com}` },
      body: JSON.stringify({
        jsonrpc: '2.0',
        method: 'tools/call',
        params: { name: 'get_project', arguments: { project_id: 'alice/my-project' } },
        id: 3,
      }),
    });
    const answers = (await Promise.all([response1, response2, response3].map((response) => response.json()))) as JsonObject[];
    expect(answers.map(({ id }) => id)).toEqual([1, 2, 3]);
    const [texts1 = '', texts2 = '', texts3 = ''] = answers.map((answer) => text({ messages: [answer] }));
    expect(texts1).toContain('alice/my-project');
    expect(texts2).toContain('carol/corp-project');
    expect(texts2).not.toContain('alice/my-project');
    expect(texts3).toContain('alice/my-project');
    expect(session1).toMatch(/^[\w-]{43}$/);
    expect(session2).toMatch(/^[\w-]{43}$/);
    expect(session2).not.toBe(session1);
    expect([...rig.com.log.foreign(), ...rig.corp.log.foreign()]).toEqual([]);
  });

  it.skipIf(!hasCurl)('of curl (needs curl): the first answer shows MCP-Session-ID, the second request uses it', async () => {
    // Bodies over several lines, as they are written there.
    const post = (headers: readonly string[], body: object, ...more: string[]) =>
      run('curl', ['-sS', '-X', 'POST', server.url, ...headers.flatMap((header) => ['-H', header]), '-d', JSON.stringify(body, null, 2), ...more]);
    const [type, bearer] = ['Content-Type: application/json', `Authorization: Bearer ${tokens.com}`];
    const first = await post([type, bearer, `X-GitLab-API-URL: ${rig.com.url}`], list, '-i');
    const session = /^mcp-session-id: (\S+)\r$/im.exec(first.stdout)?.[1] ?? '';
    expect(first.stdout).toContain('alice/my-project');
    const call = { jsonrpc: '2.0', method: 'tools/call', params: { name: 'get_project', arguments: { project_id: 'alice/my-project' } }, id: 2 };
    const second = await post([type, `MCP-Session-ID: ${session}`, bearer], call);
    const answer = JSON.parse(second.stdout) as JsonObject;
    expect(answer.id).toBe(2);
    expect(text({ messages: [answer] })).toContain('alice/my-project');
    // The example of the headers: session, token and URL at once.
    const third = await post([type, `MCP-Session-ID: ${session}`, bearer, `X-GitLab-API-URL: ${rig.com.url}`], { ...call, id: 1 });
    expect(text({ messages: [JSON.parse(third.stdout) as JsonObject] })).toContain('alice/my-project');
  });

  it('of monitoring: /metrics has exactly the documented keys and types', async () => {
    const url = `${server.root}/metrics`;
    const said = hasCurl ? (await run('curl', ['-sS', url])).stdout : await (await fetch(url)).text();
    const metrics = JSON.parse(said) as Record<string, unknown>;
    expect(shape(metrics)).toEqual({
      ...Object.fromEntries(
        'activeSessions totalSessions expiredSessions authFailures requestsProcessed rejectedByRateLimit rejectedByCapacity authenticatedSessions'
          .split(' ')
          .map((key) => [key, 'integer']),
      ),
      uptime: 'number',
      memoryUsage: { rss: 'integer', heapTotal: 'integer', heapUsed: 'integer', external: 'integer' },
      config: { maxSessions: 'integer', maxRequestsPerMinute: 'integer', sessionTimeoutSeconds: 'integer', remoteAuthEnabled: 'boolean' },
    });
    expect(metrics.config).toEqual({ maxSessions: 1000, maxRequestsPerMinute: 60, sessionTimeoutSeconds: 3600, remoteAuthEnabled: true });
    expect(metrics).toMatchObject({ activeSessions: 2, totalSessions: 2, authenticatedSessions: 2, requestsProcessed: hasCurl ? 6 : 3 });
  });

  it('of URL formats: with and without /api/v4, below a path', async () => {
    for (const url of [rig.corp.url, `${rig.corp.url}/`, rig.corp.apiUrl, `${rig.corp.apiUrl}/`]) {
      const reply = await server.call('whoami', {}, { 'private-token': tokens.corp, 'x-gitlab-api-url': url });
      expect([url, text(reply)]).toEqual([url, expect.stringContaining('carol')]);
    }
  });

  it('of mistakes: the documented messages', async () => {
    expect(refusal(await server.post(list))).toEqual([401, 'Missing Authorization or Private-Token header', undefined]);
    const reply = await server.post(list, { ...JSON_TYPE, 'private-token': tokens.com, 'x-gitlab-api-url': 'gitlab' });
    expect(refusal(reply)).toEqual([400, 'Invalid custom API URL provided', 'not a URL']);
  });
});

describe('the guide', () => {
  const commands = [...read('docs/guides/gitlab.md').matchAll(/^ {4}curl.*\n(?: {4}.*\n)*/gm)].map(([command]) => command);

  it.skipIf(!hasCurl)('has commands of curl that work as they are written, but for the port (needs curl)', async () => {
    const answers: string[] = [];
    for (const command of commands) {
      const here = command.replaceAll('http://127.0.0.1:3002', server.root);
      expect(here).not.toBe(command);
      answers.push((await run('sh', ['-c', here], { env: { PATH: process.env.PATH, TOKEN: tokens.com } })).stdout);
    }
    expect(answers).toEqual([
      expect.stringMatching(/^mcp-session-id: [\s\S]*alice\/my-project/im),
      expect.stringContaining('"username":"alice"'),
      expect.stringContaining('"activeSessions"'),
    ]);
  });
});

function shape(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shape(member)]));
  if (typeof value !== 'number') return typeof value;
  return Number.isInteger(value) ? 'integer' : 'number';
}
