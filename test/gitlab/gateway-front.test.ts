import http from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import type { Gateway } from '../../src/gateway.ts';
import { Rig } from '../e2e/rig.ts';
import { Authority } from '../fixtures/authority.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { LegacyClient, ModernClient } from '../security/kit/clients.ts';
import { get, send } from '../security/kit/http.ts';
import { refusal } from './standalone.ts';

/** What gitlab.md says of sessions, blocked addresses and numbers, where GitLab is one upstream of a gateway. */

let authority: Authority;
let com: GitLabDouble;
let corp: GitLabDouble;
let rig: Rig;
let gateway: Gateway;
let alice: string;
let carol: string;

beforeAll(async () => {
  authority = new Authority('IP:127.0.0.1,IP:::1,DNS:localhost');
  com = await GitLabDouble.start({ authority });
  corp = await GitLabDouble.start({ authority, root: '/gitlab' });
  alice = com.person('alice').token.value;
  carol = corp.person('carol').token.value;
  rig = await Rig.make();
  const entry = (name: string, double: GitLabDouble): JsonObject => ({
    name,
    type: 'gitlab',
    family: { name: 'gitlab', instanceArg: 'instance' },
    tls: { caFile: double.caFile as string },
    gitlab: { url: double.url, dynamicUrl: { enabled: name === 'com' } },
  });
  gateway = await rig.start({ auth: { modes: ['gitlab'] }, upstreams: [entry('com', com), entry('corp', corp)] });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await Promise.all([com[Symbol.asyncDispose](), corp[Symbol.asyncDispose]()]);
  authority[Symbol.dispose]();
});

const post = (message: unknown, headers: Record<string, string>) =>
  send(
    gateway.endpoint,
    'POST',
    { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    JSON.stringify(message),
  );
const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };

describe('a session of a gateway', () => {
  it('keeps its instance, though the other one is configured, too', async () => {
    const headers = { 'private-token': carol, 'x-gitlab-api-url': corp.url };
    const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } };
    const opened = await post(initialize, headers);
    const session = { 'private-token': carol, 'mcp-session-id': String(opened.headers['mcp-session-id']) };
    expect((await post(ping, session)).status).toBe(200);
    expect((await post(ping, { ...session, 'x-gitlab-api-url': `${corp.apiUrl}/` })).status).toBe(200);
    const before = com.log.entries.length;
    expect(refusal(await post(ping, { ...session, 'x-gitlab-api-url': com.url }))).toEqual([
      409,
      'Session is bound to another GitLab instance',
      undefined,
    ]);
    expect(com.log.entries.length).toBe(before);
  });

  it('is opened by initialize alone, and gives no budget away', async () => {
    const reply = await post(ping, { 'private-token': alice });
    expect(refusal(reply)).toEqual([400, 'Mcp-Session-Id header is required', undefined]);
    expect(reply.headers['ratelimit-limit']).toBeUndefined();
  });
});

describe('an instance that no upstream is', () => {
  it('is refused where callers may not name any: no token goes to another instance than its owner meant (2.2)', async () => {
    await using other = await Rig.make();
    const entry = (name: string, double: GitLabDouble): JsonObject => ({
      name,
      type: 'gitlab',
      tls: { caFile: double.caFile as string },
      gitlab: { url: double.url },
    });
    const { endpoint } = await other.start({ auth: { modes: ['gitlab'] }, upstreams: [entry('com', com), entry('corp', corp)] });
    const seen = () => com.log.entries.length + corp.log.entries.length;
    const { headers, body } = new ModernClient(endpoint, carol).request('tools/list');
    const statusFor = async (named: string) => (await send(endpoint, 'POST', { ...headers, 'x-gitlab-api-url': named }, body)).status;
    const before = seen();
    expect(await statusFor('https://git.gone.example')).toBe(403);
    expect(await statusFor(`${corp.url}/?a=b`)).toBe(400);
    expect(await statusFor('https://user@git.gone.example')).toBe(403);
    expect(seen()).toBe(before);
    expect(await statusFor(`${corp.url}/`)).toBe(200);
    expect(corp.log.entries.length + com.log.entries.length).toBeGreaterThan(before);
  });
});

it('whose client leaves while GitLab is asked who it is, a call is not made', async () => {
  await using other = await Rig.make();
  const upstreams = [{ name: 'com', type: 'gitlab', tls: { caFile: com.caFile as string }, gitlab: { url: com.url } }];
  const { endpoint } = await other.start({ auth: { modes: ['gitlab'] }, upstreams });
  const client = new ModernClient(endpoint, com.person('dora').token.value);
  const { promise: answering, resolve: answer } = Promise.withResolvers<void>();
  com.faults.add({ path: '/user', token: 'dora', fault: { kind: 'hold', until: answering } });
  const asked = () => com.log.of({ path: '/user' }).length;
  const before = asked();
  const { headers, body } = client.request('tools/call', { name: 'x_com_whoami', arguments: {} });
  const gone = http.request(endpoint, { method: 'POST', headers, agent: false }).on('error', () => {});
  gone.end(body);
  await com.log.waitFor({ path: '/user' }, before + 1, AbortSignal.timeout(5_000));
  gone.destroy();
  // Its end has come before whatever comes later.
  for (let times = 0; times < 3; times++) await get(new URL('/healthz', endpoint).href);
  answer();
  for (let times = 0; times < 8; times++) expect((await client.call('x_com_whoami')).result.isError).toBeFalsy();
  // Who it is, and these calls: nothing else.
  expect(asked()).toBe(before + 1 + 8);
});

describe('an address that failed ten times', () => {
  it('is blocked, but for a credential in use', async () => {
    await using other = await Rig.make();
    const upstreams = [{ name: 'com', type: 'gitlab', tls: { caFile: com.caFile as string }, gitlab: { url: com.url } }];
    const { endpoint } = await other.start({ auth: { modes: ['gitlab'] }, upstreams });
    const client = await LegacyClient.open(endpoint, alice);
    for (let index = 0; index < 10; index++)
      expect((await LegacyClient.open(endpoint, `glpat-random${String(index).padStart(12, '0')}`)).initialized.status).toBe(401);
    expect(refusal((await LegacyClient.open(endpoint, com.person('fresh').token.value)).initialized)).toEqual([
      429,
      'Too many authentication failures',
      undefined,
    ]);
    expect((await client.send('ping')).status).toBe(200);
  });
});

describe('a GitLab that cannot be asked about a credential in use', () => {
  it('is degraded, and nobody loses anything, until it answers again (acceptance 13)', async () => {
    await using other = await Rig.make();
    const upstreams = [{ name: 'com', type: 'gitlab', tls: { caFile: com.caFile as string }, gitlab: { url: com.url } }];
    const own = await other.start({ auth: { modes: ['gitlab'] }, upstreams });
    const page = async () => (await get(new URL('/metrics', own.endpoint).href)).text;
    const states = () => own.status().upstreams.map(({ state }) => state);
    const client = await LegacyClient.open(own.endpoint, alice);
    for (const [verdict, state, skipped, succeeded] of [
      [502, 'degraded', 1, 0],
      [200, 'connected', 1, 1],
    ] as const) {
      // A call that is answered 401 makes the gateway ask.
      com.faults.add({ path: '/version', fault: { kind: 'status', status: 401 } });
      if (verdict !== 200) com.faults.add({ path: '/user', fault: { kind: 'status', status: verdict } });
      expect((await client.call('x_com_health_check')).result.isError).toBe(true);
      expect(states()).toEqual([state]);
      const numbers = await page();
      expect(numbers).toMatch(new RegExp(`^turnpike_upstream_state\\{upstream="com",state="${state}"\\} 1$`, 'm'));
      expect(numbers).toMatch(new RegExp(`^turnpike_gitlab_revalidations_skipped_total ${skipped}$`, 'm'));
      expect(numbers).toMatch(new RegExp(`^turnpike_gitlab_revalidations_succeeded_total ${succeeded}$`, 'm'));
      expect(numbers).toMatch(/^turnpike_gitlab_revalidations_failed_total 0$/m);
      expect((await client.call('x_com_whoami')).result.isError).toBeFalsy();
    }
  });
});

describe('the numbers of a gateway', () => {
  it('are those of the pools of GitLab, with bounded labels, and those of pools are not there without GitLab', async () => {
    await new ModernClient(gateway.endpoint, alice).call('x_gitlab_whoami', { instance: 'com' });
    const page = (await get(new URL('/metrics', gateway.endpoint).href)).text;
    for (const line of [
      /^turnpike_pool_hits_total\{pool="gitlab_servers"\} [1-9]/m,
      // Two people; one of them with the same token under another header, which is another credential.
      /^turnpike_pool_misses_total\{pool="gitlab_servers"\} 3$/m,
      /^turnpike_pool_size\{pool="gitlab_servers"\} 2$/m,
      /^turnpike_pool_size\{pool="gitlab_instances"\} 1$/m,
      /^turnpike_gitlab_revalidations_skipped_total 0$/m,
      /^turnpike_gitlab_url_denied_total\{reason="bound"\} 1$/m,
    ])
      expect(page).toMatch(line);
    expect(page).toContain(`turnpike_gitlab_requests_total{instance="${com.apiUrl}",method="GET",status="200"}`);
    await using other = await Rig.make();
    const { endpoint } = await other.start({ upstreams: [] });
    expect((await get(new URL('/metrics', endpoint).href)).text).not.toContain('{pool="gitlab');
  });
});
