import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import type { Gateway } from '../../src/gateway.ts';
import { Rig } from '../e2e/rig.ts';
import { Authority } from '../fixtures/authority.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { ModernClient, textOf } from '../security/kit/clients.ts';
import { get, type Headers, type Reply, send } from '../security/kit/http.ts';
import { refusal } from './standalone.ts';

/** Whose sessions they are in a gateway, and the words of refusals in both eras (gitlab.md 1.4, 2.5; acceptance 2 to 5, 9). */

const BOTH = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

let authority: Authority;
let com: GitLabDouble;
let rig: Rig;
let gateway: Gateway;

beforeAll(async () => {
  authority = new Authority('IP:127.0.0.1,IP:::1,DNS:localhost');
  com = await GitLabDouble.start({ authority });
  rig = await Rig.make();
  const gitlab = { url: com.url, dynamicUrl: { enabled: true, allowedHosts: ['gitlab.com', `localhost:${new URL(com.url).port}`] } };
  const upstreams = [{ name: 'com', type: 'gitlab', tls: { caFile: com.caFile as string }, gitlab }];
  const auth = { modes: ['gitlab'], failures: { max: 1_000 } };
  gateway = await rig.start({ auth, upstreams, limits: { ip: 10_000, ipBurst: 10_000, user: 10_000, userBurst: 10_000 } });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await com[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
});

const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };
const whoami = { jsonrpc: '2.0', id: 8, method: 'tools/call', params: { name: 'x_com_whoami', arguments: {} } };
const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } };
const post = (message: unknown, headers: Headers) => send(gateway.endpoint, 'POST', { ...BOTH, ...headers }, JSON.stringify(message));
const person = (name: string) => ({ 'private-token': com.person(name).token.value });

async function session(who: Headers): Promise<Headers> {
  const { status, headers } = await post(initialize, who);
  expect(status).toBe(200);
  return { 'mcp-session-id': String(headers['mcp-session-id']) };
}

/** The three ways to use a session. */
const uses = (headers: Headers): Promise<Reply>[] => [
  post(ping, headers),
  send(gateway.endpoint, 'GET', { accept: 'text/event-stream', ...headers }),
  send(gateway.endpoint, 'DELETE', headers),
];

const metrics = async () => (await get(new URL('/metrics', gateway.endpoint).href)).text;
const counted = (page: string, name: string) => Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(page)?.[1]);

describe('a session of a gateway', () => {
  it('is somebody’s own: 404 for others, 401 for nobody, and it goes on; the counter rises for others alone', async () => {
    const [alice, bob] = [person('alice'), person('bob')];
    const own = await session(alice);
    const name = 'turnpike_session_principal_mismatch_total';
    const before = counted(await metrics(), name);
    for (const reply of await Promise.all(uses({ ...own, ...bob }))) expect(refusal(reply)).toEqual([404, 'Session not found', undefined]);
    expect(counted(await metrics(), name)).toBe(before + 3);
    for (const reply of await Promise.all(uses(own))) {
      expect(refusal(reply)).toEqual([401, 'Missing Authorization or Private-Token header', undefined]);
      expect(reply.headers['www-authenticate']).toMatch(/^Bearer/);
    }
    expect((await post(ping, { ...own, ...alice })).status).toBe(200);
    expect(counted(await metrics(), name)).toBe(before + 3);
  });

  it('goes on with a newer token of its owner, and the old one is asked about no more', async () => {
    const { user, token } = com.person('dora');
    const own = await session({ 'private-token': token.value });
    const newer = { 'private-token': com.world.addToken(user, { name: 'dora-2' }).value };
    token.revoked = true;
    com.log.clear();
    expect((await post(whoami, { ...own, ...newer })).text).toContain('dora');
    expect(com.log.of({ token: 'dora' })).toEqual([]);
    expect((await post(ping, { ...own, 'private-token': token.value })).status).toBe(401);
    expect((await post(ping, { ...own, ...newer })).status).toBe(200);
  });

  it('that is over is 404 before anything is counted or asked', async () => {
    const before = com.log.entries.length;
    const [fresh, page] = [person('erin'), await metrics()];
    for (let index = 0; index < 3; index++) expect((await post(ping, { ...fresh, 'mcp-session-id': 'gone' })).status).toBe(404);
    expect(com.log.entries.length).toBe(before);
    const name = 'turnpike_pool_misses_total{pool="gitlab_servers"}';
    expect(counted(await metrics(), name)).toBe(counted(page, name));
  });
});

it('100 first requests of one token at once are one question to GitLab: misses 1, hits 99 (acceptance 9)', async () => {
  const { token } = com.person('hundred');
  com.log.clear();
  const before = await metrics();
  const client = new ModernClient(gateway.endpoint, token.value);
  const replies = await Promise.all(Array.from({ length: 100 }, () => client.send('tools/list')));
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
  expect(com.log.of({ token: 'hundred' }).length).toBe(1);
  const after = await metrics();
  const rise = (name: string) => counted(after, name) - counted(before, name);
  expect([rise('turnpike_pool_misses_total{pool="gitlab_servers"}'), rise('turnpike_pool_hits_total{pool="gitlab_servers"}')]).toEqual([1, 99]);
});

describe.each<[string, (headers: Headers) => Promise<Reply>]>([
  ['of 2026-07-28', (own) => new ModernClient(gateway.endpoint).send('tools/list', {}, { headers: own as Record<string, string> })],
  ['that opens a session', (own) => post(initialize, own)],
])('a request %s', (era, ask) => {
  it('is refused in the words of the page', async () => {
    const { user, token } = com.person(`poor-${era.length}`);
    const own = { 'private-token': token.value };
    const down = com.faults.add({ path: '/user', token: user.username, fault: { kind: 'status', status: 503, headers: { 'retry-after': '7' } } });
    const port = new URL(com.url).port;
    for (const [headers, expected, more] of [
      [{ 'private-token': 'short' }, [401, 'Malformed GitLab token', 'A token has at least 20 characters of A-Z a-z 0-9 - _ .'], {}],
      [{ 'private-token': `glpat-${era.length}aaaaaaaaaaaaaaaaaaaa` }, [401, 'Invalid GitLab token', 'GitLab rejected the token.'], {}],
      [{ ...own, 'x-gitlab-api-url': 'nonsense' }, [400, 'Invalid custom API URL provided', 'not a URL'], {}],
      [{ ...own, 'x-gitlab-api-url': 'https://gitlab.com@evil.test' }, [403, 'GitLab API URL is not allowed', undefined], {}],
      [{ ...own, 'x-gitlab-api-url': 'https://gitlab.com.evil.test' }, [403, 'GitLab API URL is not allowed', undefined], {}],
      // Allowed by its name, but it is at an address of this machine.
      [{ ...own, 'x-gitlab-api-url': `https://localhost:${port}` }, [403, 'GitLab API URL is not allowed', undefined], {}],
      [own, [503, 'GitLab is unreachable', 'The credential could not be checked.'], { 'retry-after': '7' }],
    ] as const) {
      const reply = await ask(headers);
      expect([headers, ...refusal(reply)]).toEqual([headers, ...expected]);
      expect(reply.headers).toMatchObject(more as JsonObject);
      expect(reply.text).not.toMatch(/evil|allowedHosts/);
    }
    down();
    expect((await ask(own)).status).toBe(200);
  });
});

it('a stateless client chooses its instance with each request', async () => {
  const { token } = com.person('chooser');
  const client = new ModernClient(gateway.endpoint, token.value);
  for (const url of [com.url, `${com.apiUrl}/`]) {
    const params = { name: 'x_com_whoami', arguments: {} };
    expect(textOf(await client.send('tools/call', params, { headers: { 'x-gitlab-api-url': url } }))).toContain('chooser');
  }
  expect((await client.send('tools/list', {}, { headers: { 'x-gitlab-api-url': 'https://elsewhere.test' } })).status).toBe(403);
});
