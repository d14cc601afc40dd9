import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { createGateway } from '../../src/gateway.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { configurationText, GatewayRig, USERS, type User } from './kit/gateway.ts';
import { get } from './kit/http.ts';
import { grownBy, liveBytes } from './kit/memory.ts';
import { scripted, tool } from './kit/upstreams.ts';

/** Class 23, the soak: 10,000 sessions come and go, and memory is what it was. */

const SESSIONS = 10_000;
const MIB = 1024 * 1024;
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
const people = Object.keys(USERS) as User[];

const open: AsyncDisposable[] = [];
afterEach(async () => {
  agent.destroy();
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** One request on a kept connection: ten thousand sockets would be another test. */
function ask(port: number, method: string, user: User, session?: string, body?: string): Promise<{ status: number; session: string }> {
  const headers = {
    authorization: `Bearer ${USERS[user].token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(session === undefined ? {} : { 'mcp-session-id': session }),
    ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
  };
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path: '/mcp', method, headers, agent }, (response) => {
      response.resume();
      response.once('end', () => resolve({ status: response.statusCode ?? 0, session: String(response.headers['mcp-session-id'] ?? '') }));
    });
    request.once('error', reject);
    request.end(body);
  });
}

async function inParallel<T, R>(items: readonly T[], work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index] as T, index);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return results;
}

const userAt = (index: number): User => people[index % people.length] ?? 'alice';
const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: { sampling: {}, roots: {} }, clientInfo: { name: 'soak', version: '1' } },
});
const LIST = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/list' });

async function flood(port: number): Promise<string[]> {
  const opened = await inParallel(Array.from({ length: SESSIONS }), async (_, index) => ask(port, 'POST', userAt(index), undefined, INITIALIZE));
  expect(opened.filter(({ status }) => status !== 200)).toEqual([]);
  return opened.map(({ session }) => session);
}

async function sessionCount(url: string): Promise<number> {
  const { text } = await get(url.replace(/mcp$/, 'metrics'));
  return Number(/^turnpike_sessions (\d+)/m.exec(text)?.[1]);
}

it('sessions that are deleted leave nothing', { timeout: 240_000 }, async () => {
  const upstream = await scripted({ tools: [tool('say')] });
  const rig = await GatewayRig.start({
    limits: { sessions: SESSIONS },
    telemetry: { log: { level: 'error', format: 'json' } },
    upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }],
  });
  open.push(upstream, rig);
  const round = async (): Promise<number> => {
    const ids = await flood(rig.port);
    expect(await sessionCount(rig.url)).toBe(SESSIONS);
    // Some of them work, and one more is refused.
    await inParallel(ids.slice(0, 1_000), (id, index) => ask(rig.port, 'POST', userAt(index), id, LIST));
    expect((await ask(rig.port, 'POST', 'alice', undefined, INITIALIZE)).status).toBe(503);
    const full = await liveBytes();
    const ended = await inParallel(ids, (id, index) => ask(rig.port, 'DELETE', userAt(index), id));
    expect(ended.every(({ status }) => status === 204)).toBe(true);
    expect(await sessionCount(rig.url)).toBe(0);
    return full;
  };
  // The first round warms caches and compiled code.
  const empty = await liveBytes();
  const full = await round();
  expect((full - empty) / SESSIONS).toBeLessThan(16 * 1024);
  const grown = await grownBy(round);
  expect(grown).toBeLessThan(4 * MIB);
  expect(upstream.count('tools/list')).toBe(1);
});

it('sessions that expire leave nothing', { timeout: 240_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'turnpike-soak-'));
  const file = join(folder, 'turnpike.yaml');
  await writeFile(file, configurationText(folder, { limits: { sessions: SESSIONS, sessionIdle: '1h' } }));
  const { config } = await loadConfig({ file, cwd: folder, env: { HOME: folder } });
  const clock = new ManualClock();
  const gateway = await createGateway(config, { clock, logger: silentLogger, environment: {} });
  open.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }, gateway);
  await gateway.start(AbortSignal.timeout(5_000));
  const port = Number(new URL(gateway.endpoint).port);
  const round = async () => {
    const ids = await flood(port);
    clock.advance(59 * 60_000);
    expect(await sessionCount(gateway.endpoint)).toBe(SESSIONS);
    clock.advance(3 * 60_000);
    expect(await sessionCount(gateway.endpoint)).toBe(0);
    expect((await ask(port, 'POST', userAt(0), ids[0], LIST)).status).toBe(404);
  };
  await round();
  expect(await grownBy(round)).toBeLessThan(4 * MIB);
});
