import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { META, MODERN_VERSION } from '../../src/core/mcp.ts';
import { get, send } from '../security/kit/http.ts';
import { BOTH, JSON_TYPE, type Person, refusal, type Standalone, StandaloneRig, text } from './standalone.ts';

/** Who is refused what, in which words, and that GitLab is not bothered with it (gitlab.md 1.1, 1.4, 2.2 to 2.5; acceptance 2 to 5, 15 to 17, 22). */

let rig: StandaloneRig;
let server: Standalone;
let alice: Person;
let bob: Person;
let carol: Person;

beforeAll(async () => {
  rig = await StandaloneRig.make();
  ({ alice, bob, carol } = rig.people());
  server = await rig.start({ MAX_REQUESTS_PER_MINUTE: '1000' });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const asked = () => rig.com.log.entries.length + rig.corp.log.entries.length;
const MALFORMED = [401, 'Malformed GitLab token', 'A token has at least 20 characters of A-Z a-z 0-9 - _ .'];
const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };

async function open(who: Readonly<Record<string, string>>, more: Readonly<Record<string, string>> = {}): Promise<Record<string, string>> {
  const { status, headers } = await server.initialize({ ...who, ...more });
  expect(status).toBe(200);
  return { ...who, 'mcp-session-id': String(headers['mcp-session-id']) };
}

describe('a credential', () => {
  it('that is missing is 401, with the session untouched, on POST, GET and DELETE', async () => {
    const session = await open(alice);
    const { 'private-token': _, ...bare } = session;
    const replies = [
      await server.post(ping, bare),
      await send(server.url, 'GET', { accept: 'text/event-stream', ...bare }),
      await send(server.url, 'DELETE', bare),
    ];
    for (const reply of replies) {
      expect(refusal(reply)).toEqual([401, 'Missing Authorization or Private-Token header', undefined]);
      expect(reply.headers['www-authenticate']).toBe('Bearer');
    }
    expect((await server.post(ping, session)).status).toBe(200);
  });

  it('counts in the order PRIVATE-TOKEN, JOB-TOKEN, Bearer, and is what GitLab sees', async () => {
    rig.com.log.clear();
    const all = { ...bob, 'job-token': 'x'.repeat(30), authorization: `Bearer ${alice['private-token']}` };
    expect(text(await server.call('whoami', {}, all))).toContain('bob');
    const { 'private-token': _, ...job } = all;
    expect((await server.call('whoami', {}, job)).status).toBe(401);
    expect(rig.com.log.of({ path: '/job' }).map(({ header }) => header)).toEqual(['job-token']);
    expect(text(await server.call('whoami', {}, { 'private-token': ' ', authorization: all.authorization }))).toContain('alice');
    expect(new Set(rig.com.log.of({ path: '/user' }).map(({ token }) => token))).toEqual(new Set(['alice', 'bob']));
    expect(rig.com.log.of({ token: 'bob' }).every(({ header }) => header === 'authorization')).toBe(true);
  });

  it('that is malformed, twice, or of another scheme is 401, and GitLab is not asked', async () => {
    const other = await rig.start();
    const before = asked();
    const token = alice['private-token'];
    for (const headers of [
      { 'private-token': 'short' },
      { 'private-token': [token, token] },
      { authorization: [`Bearer ${token}`, `Bearer ${token}`] },
      { authorization: 'Basic dTpw' },
      { 'private-token': `${token}/../x` },
      { 'job-token': 'a b'.repeat(10) },
    ]) {
      const reply = await other.post(ping, headers);
      expect([headers, refusal(reply)]).toEqual([headers, MALFORMED]);
      expect(reply.headers['www-authenticate']).toBe('Bearer');
    }
    expect(asked()).toBe(before);
    expect(await other.metrics()).toMatchObject({ authFailures: 6, totalSessions: 0, requestsProcessed: 0 });
  });

  it('that GitLab rejects, that lacks a scope, and that cannot be checked', async () => {
    const other = await rig.start();
    const rejected = await other.post(ping, { 'private-token': 'glpat-aaaaaaaaaaaaaaaaaaaa' });
    expect(refusal(rejected)).toEqual([401, 'Invalid GitLab token', 'GitLab rejected the token.']);
    expect(rejected.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
    const poor = rig.com.person('poor');
    const body = { error: 'insufficient_scope', error_description: 'x', scope: 'api read_api read_user' };
    rig.com.faults.add({ path: '/user', token: poor.token.name, fault: { kind: 'status', status: 403, body } });
    const scope = await other.post(ping, { 'private-token': poor.token.value });
    expect(refusal(scope)).toEqual([403, 'Insufficient GitLab token scope', 'One of api, read_api, read_user is needed.']);
    rig.com.faults.add({ path: '/user', token: poor.token.name, fault: { kind: 'status', status: 502 } });
    const down = await other.post(ping, { 'private-token': poor.token.value });
    expect(refusal(down)).toEqual([503, 'GitLab is unreachable', 'The credential could not be checked.']);
    expect(down.headers['retry-after']).toBe('5');
    expect((await other.post(ping, { 'private-token': poor.token.value })).status).toBe(200);
    expect(await other.metrics()).toMatchObject({ authFailures: 2 });
  });

  it('failed ten times blocks its address; one that is pooled is served all the same, one that is only good is not', async () => {
    const other = await rig.start();
    expect((await other.post(ping, alice)).status).toBe(200);
    const random = (index: number) => ({ 'private-token': `glpat-random${String(index).padStart(12, '0')}` });
    for (let index = 0; index < 10; index++) expect((await other.post(ping, random(index))).status).toBe(401);
    const before = asked();
    const blocked = await other.post(ping, random(10));
    expect(refusal(blocked)).toEqual([429, 'Too many authentication failures', undefined]);
    expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(50);
    expect((await other.post(ping, bob)).status).toBe(429);
    // Pooled at the one instance is not pooled at the other.
    expect((await other.post(ping, { ...alice, 'x-gitlab-api-url': rig.corp.url })).status).toBe(429);
    expect(asked()).toBe(before);
    expect((await other.post(ping, alice)).status).toBe(200);
  });
});

describe('a session', () => {
  it("of somebody else is 404, whoever's works on, and the counter rose", async () => {
    const session = await open(alice);
    expect(refusal(await server.post(ping, { ...session, ...bob }))).toEqual([404, 'Session not found', undefined]);
    expect((await send(server.url, 'DELETE', { ...session, ...bob })).status).toBe(404);
    expect((await server.post(ping, session)).status).toBe(200);
    const { text: page } = await get(`${server.root}/metrics`, { accept: 'text/plain' });
    expect(page).toMatch(/^turnpike_session_principal_mismatch_total 2$/m);
  });

  it('goes on with a newer token of the same user, and no more with the old one once that is revoked', async () => {
    const { user, token } = rig.com.person('dora');
    const session = await open({ 'private-token': token.value });
    const newer = rig.com.world.addToken(user, { name: 'newer' });
    rig.com.log.clear();
    token.revoked = true;
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } };
    expect(text(await server.post(call, { ...session, 'private-token': newer.value }))).toContain('dora');
    expect(rig.com.log.of({ token: 'dora' })).toEqual([]);
    expect((await server.post(ping, session)).status).toBe(401);
  });

  it('keeps its instance: absent or equal header is that one, another is 409, before GitLab is asked', async () => {
    const session = await open(carol, { 'x-gitlab-api-url': rig.corp.url });
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } };
    expect(text(await server.post(call, session))).toContain('carol');
    expect(text(await server.post(call, { ...session, 'x-gitlab-api-url': `${rig.corp.apiUrl}/` }))).toContain('carol');
    const before = asked();
    for (const method of ['POST', 'GET', 'DELETE']) {
      const headers = { ...JSON_TYPE, accept: BOTH, ...session, 'x-gitlab-api-url': rig.com.url };
      const reply = await send(server.url, method, headers, method === 'POST' ? JSON.stringify(call) : undefined);
      expect([method, ...refusal(reply)]).toEqual([method, 409, 'Session is bound to another GitLab instance', undefined]);
    }
    expect(asked()).toBe(before);
    expect(text(await server.post(call, session))).toContain('carol');
  });

  it('that is unknown is 404 before all counters and without a question to GitLab; stateless requests need none', async () => {
    const other = await rig.start();
    const before = asked();
    const fresh = rig.com.person('eve');
    const gone = { 'private-token': fresh.token.value, 'mcp-session-id': 'gone' };
    for (let index = 0; index < 15; index++) expect(refusal(await other.post(ping, gone))).toEqual([404, 'Session not found', undefined]);
    expect(asked()).toBe(before);
    expect(await other.metrics()).toMatchObject({ authFailures: 0, requestsProcessed: 0, totalSessions: 0, rejectedByRateLimit: 0 });
    const _meta = { [META.protocolVersion]: MODERN_VERSION, [META.clientCapabilities]: {} };
    const headers = { accept: BOTH, 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'tools/list', 'private-token': fresh.token.value };
    const modern = await other.post({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta } }, headers);
    expect([modern.status, modern.headers['mcp-session-id']]).toEqual([200, undefined]);
    expect(await other.metrics()).toMatchObject({ totalSessions: 0, requestsProcessed: 1 });
  });
});

describe('an instance', () => {
  it('that is badly written is 400 with a reason, one that is not allowed 403 without; neither names the list nor is reached', async () => {
    const other = await rig.start({ GITLAB_ALLOWED_HOSTS: 'gitlab.com,git.corp:8443' });
    const fresh = { 'private-token': rig.com.person('frank').token.value };
    const before = asked();
    for (const [url, detail] of [
      ['nonsense', 'not a URL'],
      ['ftp://gitlab.com', 'not an http or https URL'],
      ['https://gitlab.com?x=1', 'has a query or a fragment'],
      ['https://gitlab.com/api/v4/user', 'has text after /api/v4'],
    ] as const) {
      expect(refusal(await other.post(ping, { ...fresh, 'x-gitlab-api-url': url }))).toEqual([400, 'Invalid custom API URL provided', detail]);
    }
    const twice = await other.post(ping, { ...fresh, 'x-gitlab-api-url': ['https://gitlab.com', 'https://gitlab.com'] });
    expect(refusal(twice)).toEqual([400, 'Invalid custom API URL provided', 'sent twice']);
    for (const url of [
      'http://169.254.169.254',
      'https://gitlab.com.evil.test',
      'https://gitlab.com@evil.test',
      'http://git.corp:8443',
      'https://gitlab.com/../x',
    ]) {
      const reply = await other.post(ping, { ...fresh, 'x-gitlab-api-url': url });
      expect([url, ...refusal(reply)]).toEqual([url, 403, 'GitLab API URL is not allowed', undefined]);
      expect(reply.text).not.toMatch(/git\.corp|evil|169\.254/);
    }
    expect(asked()).toBe(before);
    expect(await other.metrics()).toMatchObject({ authFailures: 5 });
    const { text: page } = await get(`${other.root}/metrics`, { accept: 'text/plain' });
    expect(page).toContain('turnpike_gitlab_url_denied_total{reason="invalid"} 5');
    expect(page).toContain('turnpike_gitlab_url_denied_total{reason="hostile"} 2');
    expect(page).toContain('turnpike_gitlab_url_denied_total{reason="not-listed"} 3');
    expect(other.process.err()).toMatch(/"level":"warn".*"reason":"invalid".*GitLab API URL refused/);
  });

  it('that is allowed by name but lies at an address of this machine is 403, and no connection is made', async () => {
    const { port } = new URL(rig.corp.url);
    const other = await rig.start({ GITLAB_ALLOWED_HOSTS: `localhost:${port}/gitlab` });
    const connections = rig.corp.log.entries.length;
    const reply = await other.post(ping, { ...carol, 'x-gitlab-api-url': `https://localhost:${port}/gitlab` });
    expect(refusal(reply)).toEqual([403, 'GitLab API URL is not allowed', undefined]);
    expect(rig.corp.log.entries.length).toBe(connections);
    const { text: page } = await get(`${other.root}/metrics`, { accept: 'text/plain' });
    expect(page).toContain('turnpike_gitlab_url_denied_total{reason="address"} 1');
    expect(other.process.err()).toMatch(/"level":"warn".*"reason":"address","host":"localhost".*GitLab API URL refused/);
    // By the very URL that the operator named, it is reached.
    expect((await other.post(ping, { ...carol, 'x-gitlab-api-url': rig.corp.url })).status).toBe(200);
  });
});
