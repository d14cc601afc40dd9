import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { get, open, send } from '../security/kit/http.ts';
import { BOTH, type Person, refusal, StandaloneRig, text, until } from './standalone.ts';

/** Budgets, places, numbers and lines of `turnpike gitlab` over HTTP (gitlab.md 2.4 to 2.6; acceptance 19, 21, 22, 30, 32). */

let rig: StandaloneRig;
let alice: Person;
let bob: Person;
let carol: Person;

beforeAll(async () => {
  rig = await StandaloneRig.make();
  ({ alice, bob, carol } = rig.people());
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };
const whoami = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } };

describe('the budget of a minute', () => {
  it('is each principal’s own: the 61st request is 429 and says when to come again; strangers spend nothing of it', async () => {
    const server = await rig.start();
    expect((await server.post(ping, { 'private-token': 'glpat-aaaaaaaaaaaaaaaaaaaa' })).status).toBe(401);
    const first = await server.post(ping, alice);
    expect([first.status, first.headers['ratelimit-limit'], first.headers['ratelimit-remaining']]).toEqual([200, '60', '59']);
    expect(Number(first.headers['ratelimit-reset'])).toBeGreaterThan(55);
    // What is only said, and what is answered, is no request.
    const told = await server.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, alice);
    expect([told.status, told.headers['ratelimit-remaining']]).toEqual([202, undefined]);
    const session = { ...alice, 'mcp-session-id': String(first.headers['mcp-session-id']) };
    const batch = await server.post([ping, { ...ping, id: 8 }], session);
    expect([batch.status, batch.headers['ratelimit-remaining']]).toEqual([200, '57']);
    for (let left = 56; left >= 0; left--) {
      const reply = await server.post(ping, left % 2 === 0 ? alice : session);
      expect([reply.status, reply.headers['ratelimit-remaining']]).toEqual([200, String(left)]);
    }
    const refused = await server.post(ping, session);
    expect(refusal(refused)).toEqual([429, 'Rate limit exceeded', 'Maximum 60 requests per minute allowed']);
    expect(refused.messages[0]?.id).toBe(7);
    expect(refused.headers).toMatchObject({ 'ratelimit-limit': '60', 'ratelimit-remaining': '0' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(30);
    expect(refused.headers['retry-after']).toBe(refused.headers['ratelimit-reset']);
    expect((await server.post(ping, bob)).headers['ratelimit-remaining']).toBe('59');
    expect(await server.metrics()).toMatchObject({ requestsProcessed: 61, rejectedByRateLimit: 1, authFailures: 1 });
  });
});

describe('places of sessions', () => {
  it('when all are taken: 503 with Retry-After, alive but not ready; one that expires frees its place, and is 404', async () => {
    const server = await rig.start({ MAX_SESSIONS: '2', SESSION_TIMEOUT_SECONDS: '2' });
    expect((await get(`${server.root}/readyz`)).status).toBe(200);
    // An open stream is use.
    const kept = { ...alice, 'mcp-session-id': String((await server.initialize(alice)).headers['mcp-session-id']) };
    const stream = await open(server.url, 'GET', { accept: 'text/event-stream', ...kept });
    expect((await server.initialize(alice)).status).toBe(200);
    for (const reply of [await server.initialize(bob), await server.post(whoami, bob)]) {
      expect(refusal(reply)).toEqual([503, 'Server capacity reached', 'Maximum 2 concurrent sessions allowed. Please try again later.']);
      expect(reply.headers['retry-after']).toBe('5');
    }
    expect([(await get(`${server.root}/healthz`)).status, (await get(`${server.root}/readyz`)).status]).toEqual([200, 503]);
    expect(await server.metrics()).toMatchObject({ activeSessions: 2, totalSessions: 2, expiredSessions: 0, rejectedByCapacity: 2 });
    await until(async () => (await server.metrics()).activeSessions === 1);
    expect(await server.metrics()).toMatchObject({ totalSessions: 2, expiredSessions: 1 });
    expect((await get(`${server.root}/readyz`)).status).toBe(200);
    stream.close();
    expect((await server.post(ping, kept)).status).toBe(200);
    await until(async () => (await server.metrics()).activeSessions === 0);
    expect(refusal(await server.post(ping, kept))).toEqual([404, 'Session not found', undefined]);
  });
});

describe('places of instances', () => {
  it('when all are in use: 503 with Retry-After, and it is counted; an idle one gives way', async () => {
    const server = await rig.start({ GITLAB_POOL_MAX_SIZE: '1' });
    expect((await server.post(ping, alice)).status).toBe(200);
    rig.com.log.clear();
    rig.com.faults.add({ path: '/user', token: 'alice', fault: { kind: 'delay', ms: 1_000 } });
    const running = server.post(whoami, alice);
    await rig.com.log.waitFor({ path: '/user', token: 'alice' }, 1, AbortSignal.timeout(5_000));
    const refused = await server.post(ping, { ...carol, 'x-gitlab-api-url': rig.corp.url });
    expect(refusal(refused)).toEqual([503, 'Server capacity reached', 'Connection pool is full (max 1 instances). Please try again later.']);
    expect(refused.headers['retry-after']).toBe('5');
    expect(text(await running)).toContain('alice');
    expect((await server.post(ping, { ...carol, 'x-gitlab-api-url': rig.corp.url })).status).toBe(200);
    expect(await server.metrics()).toMatchObject({ rejectedByCapacity: 1, authFailures: 0 });
    // Who is known by now is answered alike, and not by the result of a call.
    rig.com.faults.add({ path: '/user', token: 'alice', fault: { kind: 'delay', ms: 1_000 } });
    const again = server.post(whoami, alice);
    await rig.com.log.waitFor({ path: '/user', token: 'alice' }, 2, AbortSignal.timeout(5_000));
    expect(refusal(await server.post(whoami, { ...carol, 'x-gitlab-api-url': rig.corp.url }))).toEqual([
      503,
      'Server capacity reached',
      'Connection pool is full (max 1 instances). Please try again later.',
    ]);
    expect(text(await again)).toContain('alice');
    expect(await server.metrics()).toMatchObject({ rejectedByCapacity: 2, authFailures: 0 });
  });
});

describe('places of credentials', () => {
  it('are nobody’s for guessing: a thousand texts evict none, and block the address that they come from alone (acceptance 11)', async () => {
    const server = await rig.start({ GITLAB_SERVER_POOL_MAX_SIZE: '2', TURNPIKE_LISTEN_TRUSTED_PROXIES: '127.0.0.1' });
    const at = (address: string) => ({ 'x-forwarded-for': address });
    for (const who of [alice, bob]) expect((await server.post(ping, { ...who, ...at('192.0.2.1') })).status).toBe(200);
    rig.com.log.clear();
    const statuses: number[] = [];
    for (let index = 0; index < 1_000; index++) {
      const reply = await server.post(ping, { 'private-token': `glpat-${String(index).padStart(20, 'x')}`, ...at('192.0.2.1') });
      statuses.push(reply.status);
      if (reply.status === 429) expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    }
    expect(statuses.slice(0, 11)).toEqual([...new Array<number>(10).fill(401), 429]);
    expect(new Set(statuses.slice(10))).toEqual(new Set([429]));
    // Who is in use there is served, and so is everybody elsewhere.
    for (const who of [alice, bob]) expect((await server.post(ping, { ...who, ...at('192.0.2.1') })).status).toBe(200);
    expect(rig.com.log.of({ path: '/user' }).filter(({ token }) => token !== 'unknown')).toEqual([]);
    const { text: page } = await get(`${server.root}/metrics`, { accept: 'text/plain' });
    expect(page).toMatch(/^turnpike_pool_evictions_total\{pool="gitlab_servers"\} 0$/m);
    expect(page).toMatch(/^turnpike_pool_max_size\{pool="gitlab_servers"\} 2$/m);
    const eve = { 'private-token': rig.com.person('eve-elsewhere').token.value };
    expect((await server.post(ping, { ...eve, ...at('192.0.2.1') })).status).toBe(429);
    expect((await server.post(ping, { ...eve, ...at('192.0.2.2') })).status).toBe(200);
  }, 60_000);
});

describe('a POST without a session id', () => {
  it('is served in the one session of its principal and instance, as JSON', async () => {
    const server = await rig.start();
    const ids = new Set<unknown>();
    // Ids of requests that know nothing of each other may be the same at the same time.
    const replies = await Promise.all(
      [undefined, '*/*', 'application/json', BOTH].map((accept) => server.post(whoami, { ...alice, ...(accept === undefined ? {} : { accept }) })),
    );
    for (const reply of replies) {
      expect([reply.status, reply.headers['content-type'], text(reply)]).toEqual([200, 'application/json', expect.stringContaining('alice')]);
      ids.add(reply.headers['mcp-session-id']);
    }
    const again = await server.post({ jsonrpc: '2.0', id: 'x', method: 'tools/list' }, alice);
    ids.add(again.headers['mcp-session-id']);
    expect(ids.size).toBe(1);
    const [id] = [...ids];
    expect(text(await server.post(whoami, { ...alice, 'mcp-session-id': String(id) }))).toContain('alice');
    expect((await server.post([ping], { ...alice, 'mcp-session-id': String(id) })).status).toBe(200);
    const other = await server.post(whoami, { ...carol, 'x-gitlab-api-url': rig.corp.url });
    expect(text(other)).toContain('carol');
    expect(ids.has(other.headers['mcp-session-id'])).toBe(false);
    expect((await send(server.url, 'DELETE', { ...alice, 'mcp-session-id': String(id) })).status).toBe(204);
    const next = await server.post(whoami, alice);
    expect([next.status, ids.has(next.headers['mcp-session-id'])]).toEqual([200, false]);
    expect(await server.metrics()).toMatchObject({ activeSessions: 2, totalSessions: 3 });
    // What answers nothing, and what belongs to another revision, has no place there.
    expect((await server.post({ jsonrpc: '2.0', id: 1, result: {} }, alice)).status).toBe(400);
    expect((await server.post(whoami, { ...alice, 'mcp-protocol-version': '2026-07-28' })).status).toBe(400);
  });

  it('is not served where the operator’s own credential counts', async () => {
    const token = rig.com.person('robot').token.value;
    const server = await rig.start({ REMOTE_AUTHORIZATION: 'false', ENABLE_DYNAMIC_API_URL: 'false', GITLAB_PERSONAL_ACCESS_TOKEN: token });
    expect((await server.post(whoami)).status).toBe(400);
    const session = { 'mcp-session-id': String((await server.initialize()).headers['mcp-session-id']) };
    expect(text(await server.post(whoami, session))).toContain('robot');
    expect(await server.metrics()).toMatchObject({ config: { remoteAuthEnabled: false }, authenticatedSessions: 0, activeSessions: 1 });
  });
});

describe('numbers', () => {
  it('are free on loopback, need the credential for others, and never fall', async () => {
    const server = await rig.start({ TURNPIKE_TELEMETRY_METRICS_TOKEN: 'operations', GITLAB_POOL_MAX_SIZE: '7' });
    const page = `${server.root}/metrics`;
    expect((await get(page)).headers['content-type']).toBe('application/json');
    for (const headers of [{ 'x-forwarded-for': '192.0.2.1' }, { forwarded: 'for=192.0.2.1' }, { 'x-real-ip': '127.0.0.1' }]) {
      const refused = await get(page, headers);
      expect([headers, refused.status, refused.headers['www-authenticate']]).toEqual([headers, 401, 'Bearer']);
      expect((await get(page, { ...headers, authorization: 'Bearer operations' })).status).toBe(200);
      expect((await get(page, { ...headers, authorization: 'Bearer operation' })).status).toBe(401);
    }
    expect(text(await server.post(whoami, alice))).toContain('alice');
    expect(text(await server.post(whoami, { ...carol, 'x-gitlab-api-url': rig.corp.url }))).toContain('carol');
    expect((await server.post(whoami, alice)).status).toBe(200);
    const { text: prometheus, headers } = await get(page, { accept: 'application/openmetrics-text;q=0.9, text/plain;q=0.5, */*;q=0.1' });
    expect(headers['content-type']).toContain('text/plain');
    const value = (name: string) => Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(prometheus)?.[1]);
    expect(value('turnpike_pool_misses_total{pool="gitlab_servers"}')).toBe(2);
    expect(value('turnpike_pool_hits_total{pool="gitlab_servers"}')).toBeGreaterThan(2);
    expect(value('turnpike_pool_evictions_total{pool="gitlab_servers"}')).toBe(0);
    expect(value('turnpike_pool_size{pool="gitlab_servers"}')).toBe(2);
    expect(value('turnpike_pool_max_size{pool="gitlab_servers"}')).toBe(1_000);
    expect(value('turnpike_pool_misses_total{pool="gitlab_instances"}')).toBe(2);
    expect(value('turnpike_pool_size{pool="gitlab_instances"}')).toBe(2);
    expect(value('turnpike_pool_max_size{pool="gitlab_instances"}')).toBe(7);
    for (const outcome of ['succeeded', 'failed', 'skipped']) expect(value(`turnpike_gitlab_revalidations_${outcome}_total`)).toBe(0);
    expect(value(`turnpike_gitlab_requests_total{instance="${rig.com.apiUrl}",method="GET",status="200"}`)).toBeGreaterThan(1);
    expect(value(`turnpike_gitlab_requests_total{instance="${rig.corp.apiUrl}",method="GET",status="200"}`)).toBeGreaterThan(0);
    for (const token of [alice, carol]) expect(prometheus + server.process.err()).not.toContain(token['private-token'].slice(-8));
  });
});

it('instances that the operator did not name are one in numbers, however many callers name (acceptance 30)', async () => {
  const server = await rig.start({ GITLAB_ALLOWED_HOSTS: '*.invalid' });
  for (const name of ['one', 'two']) {
    const reply = await server.post(ping, { ...alice, 'x-gitlab-api-url': `https://${name}.invalid` });
    expect(refusal(reply)).toEqual([503, 'GitLab is unreachable', 'The credential could not be checked.']);
  }
  const { text: page } = await get(`${server.root}/metrics`, { accept: 'text/plain' });
  expect(page).toMatch(/^turnpike_gitlab_requests_total\{instance="other",method="GET",status="0"\} 2$/m);
  expect(page).not.toContain('.invalid');
});

describe('without ENABLE_DYNAMIC_API_URL', () => {
  it('the header is ignored with one line for each session, and everything goes to GITLAB_API_URL', async () => {
    const server = await rig.start({ ENABLE_DYNAMIC_API_URL: 'false', GITLAB_API_URL: rig.com.url });
    rig.corp.log.clear();
    for (const url of [rig.corp.url, 'http://169.254.169.254', 'nonsense']) {
      expect(text(await server.post(whoami, { ...alice, 'x-gitlab-api-url': url }))).toContain('alice');
    }
    const session = { ...alice, 'x-gitlab-api-url': rig.corp.url };
    const { headers } = await server.initialize(session);
    for (let time = 0; time < 2; time++)
      expect(text(await server.post(whoami, { ...session, 'mcp-session-id': String(headers['mcp-session-id']) }))).toContain('alice');
    expect(rig.corp.log.entries).toEqual([]);
    expect(server.process.err().match(/X-GitLab-API-URL is ignored/g)).toHaveLength(2);
    const { text: prometheus } = await get(`${server.root}/metrics`, { accept: 'text/plain' });
    expect(prometheus).not.toContain('{pool="gitlab_instances"}');
  });
});

describe('lines of the level debug', () => {
  it('tell what happens to URLs, connections, sessions and credentials, and no token', async () => {
    const server = await rig.start({ LOG_LEVEL: 'debug', GITLAB_POOL_MAX_SIZE: '1' });
    const session = { ...alice, 'mcp-session-id': String((await server.initialize(alice)).headers['mcp-session-id']) };
    await server.post(whoami, session);
    await server.post(whoami, { ...carol, 'x-gitlab-api-url': rig.corp.url });
    await server.post(ping, { 'private-token': 'glpat-bbbbbbbbbbbbbbbbbbbb' });
    await send(server.url, 'DELETE', session);
    const lines = server.process
      .err()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as JsonObject)
      .filter(({ level }) => level === 'debug');
    const said = new Set(lines.map(({ message }) => message));
    for (const message of [
      'custom API URL detected',
      'connection pool: created',
      'connection pool: reused',
      'connection pool: evicted',
      'session created',
      'session closed',
      'credential accepted',
      'credential refused',
    ])
      expect([...said]).toContain(message);
    // One for each request to GitLab that found its instance there: the calls of both.
    expect(lines.filter(({ message }) => message === 'connection pool: reused')).toHaveLength(2);
    const refused = lines.find(({ message }) => message === 'credential refused');
    expect(refused).toMatchObject({ credential: 'private-token', fingerprint: expect.stringMatching(/^[0-9a-f]{8}$/) });
    expect(server.process.err()).not.toMatch(/b{8}/);
    for (const token of [alice, carol]) expect(server.process.err()).not.toContain(token['private-token'].slice(-8));
  });
});

it('an instance that nobody uses is closed, and a line says so', async () => {
  const server = await rig.start({ LOG_LEVEL: 'debug', GITLAB_POOL_IDLE_TIMEOUT: '1000', GITLAB_POOL_CLEANUP_INTERVAL: '1000' });
  expect((await server.post(ping, alice)).status).toBe(200);
  await server.process.until(/connection pool: closed idle/);
  const { text: page } = await get(`${server.root}/metrics`, { accept: 'text/plain' });
  expect(page).toMatch(/^turnpike_pool_size\{pool="gitlab_instances"\} 0$/m);
  expect(page).toMatch(/^turnpike_pool_evictions_total\{pool="gitlab_instances"\} 0$/m);
});

it('whoever names us by another name than one of loopback needs the credential for the numbers', async () => {
  const server = await rig.start({ TURNPIKE_LISTEN_ALLOWED_HOSTS: 'gitlab-mcp,127.0.0.1' });
  expect((await get(`${server.root}/metrics`)).status).toBe(200);
  expect((await get(`${server.root}/metrics`, { host: 'gitlab-mcp' })).status).toBe(401);
});
