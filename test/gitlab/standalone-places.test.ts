import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { get } from '../security/kit/http.ts';
import { type Person, type Standalone, StandaloneRig, text } from './standalone.ts';

/** Who has a place among the credentials, who gives way, and that nobody waits for somebody else (gitlab.md 1.3; acceptance 8, 10). */

let rig: StandaloneRig;
let people: Record<'a' | 'b' | 'c' | 'd', Person>;

beforeAll(async () => {
  rig = await StandaloneRig.make();
  const person = (name: string) => ({ 'private-token': rig.com.person(name).token.value });
  people = { a: person('ann'), b: person('ben'), c: person('cat'), d: person('dan') };
});
beforeEach(() => {
  rig.com.faults.clear();
  rig.com.log.clear();
});
afterAll(() => rig[Symbol.asyncDispose]());

const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };
const whoami = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } };
const names = () => rig.com.log.of({ path: '/user' }).map(({ token }) => token);

/** The answers of a server to somebody's requests, in this order; each has its session. */
async function come(server: Standalone, order: string): Promise<Record<string, string>> {
  const sessions: Record<string, string> = {};
  for (const who of order) {
    const reply = await server.post(ping, people[who as keyof typeof people]);
    expect([who, reply.status]).toEqual([who, 200]);
    sessions[who] = String(reply.headers['mcp-session-id']);
  }
  return sessions;
}

async function expectEvictions(server: Standalone, count: number): Promise<void> {
  const { text: page } = await get(`${server.root}/metrics`, { accept: 'text/plain' });
  expect(page).toMatch(new RegExp(`^turnpike_pool_evictions_total\\{pool="gitlab_servers"\\} ${count}$`, 'm'));
}

it('of three places, after A, B, C and A, D takes that of B, who keeps the session and is asked about anew (acceptance 8)', async () => {
  const server = await rig.start({ GITLAB_SERVER_POOL_MAX_SIZE: '3' });
  const sessions = await come(server, 'abcad');
  expect(names()).toEqual(['ann', 'ben', 'cat', 'dan']);
  await expectEvictions(server, 1);
  await come(server, 'cad');
  expect(names()).toHaveLength(4);
  const again = await server.post(ping, { ...people.b, 'mcp-session-id': sessions.b ?? '' });
  expect([again.status, names().slice(4)]).toEqual([200, ['ben']]);
  await expectEvictions(server, 2);
});

it('with a call running for B it is C who goes, and the call finishes (acceptance 8)', async () => {
  const server = await rig.start({ GITLAB_SERVER_POOL_MAX_SIZE: '3' });
  await come(server, 'ab');
  const { promise, resolve } = Promise.withResolvers<void>();
  rig.com.faults.add({ path: '/user', token: 'ben', fault: { kind: 'hold', until: promise } });
  const running = server.post(whoami, people.b);
  await rig.com.log.waitFor({ path: '/user', token: 'ben' }, 2, AbortSignal.timeout(5_000));
  await come(server, 'cad');
  await expectEvictions(server, 1);
  rig.com.log.clear();
  await come(server, 'ad');
  expect(names()).toEqual([]);
  resolve();
  expect(text(await running)).toContain('ben');
  await come(server, 'c');
  expect(names()).toEqual(['cat']);
});

it('whoever GitLab keeps waiting delays nobody: others are asked about, served, and done before (acceptance 10)', async () => {
  const server = await rig.start();
  await come(server, 'b');
  const { promise, resolve } = Promise.withResolvers<void>();
  rig.com.faults.add({ path: '/user', token: 'ann', fault: { kind: 'hold', until: promise } });
  let isDone = false;
  const waiting = server.post(ping, people.a).finally(() => {
    isDone = true;
  });
  await rig.com.log.waitFor({ path: '/user', token: 'ann' }, 1, AbortSignal.timeout(5_000));
  const others = await Promise.all(Array.from({ length: 40 }, (_, turn) => server.post(ping, turn % 2 === 0 ? people.b : people.c)));
  expect(new Set(others.map(({ status }) => status))).toEqual(new Set([200]));
  expect(isDone).toBe(false);
  resolve();
  expect((await waiting).status).toBe(200);
});
