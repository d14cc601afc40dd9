import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refusal, type Standalone, StandaloneRig, text, until } from './standalone.ts';

/** Many people at once, and what is left of them. */

const PEOPLE = 12;
const ROUNDS = 240;
const AT_ONCE = 32;

let rig: StandaloneRig;
let server: Standalone;

beforeAll(async () => {
  rig = await StandaloneRig.make();
  server = await rig.start({ MAX_REQUESTS_PER_MINUTE: '1000' });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

describe('people at two instances, all at once from one address', () => {
  it('are each answered as themselves, in one session each, and no instance sees a foreign token', async () => {
    const people = Array.from({ length: PEOPLE }, (_, index) => {
      const double = index % 2 === 0 ? rig.com : rig.corp;
      const { user, token } = double.person(`person-${index}`);
      return { name: user.username, headers: { 'private-token': token.value, 'x-gitlab-api-url': double.url }, sessions: new Set<unknown>() };
    });
    let next = 0;
    const worker = async () => {
      for (let turn = next++; turn < ROUNDS; turn = next++) {
        const { name, headers, sessions } = people[(turn * 7) % PEOPLE] as (typeof people)[number];
        const [session] = sessions;
        // In turns with and without the session that the first answer named.
        const named = turn % 3 === 0 && session !== undefined ? { 'mcp-session-id': String(session) } : {};
        const message = { jsonrpc: '2.0', id: turn, method: 'tools/call', params: { name: 'whoami', arguments: {} } };
        const reply = await server.post(message, { ...headers, ...named });
        expect([reply.status, text(reply)]).toEqual([200, expect.stringMatching(new RegExp(`\\b${name}\\b`))]);
        if (!('mcp-session-id' in named)) sessions.add(reply.headers['mcp-session-id']);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    expect(people.map(({ sessions }) => sessions.size)).toEqual(people.map(() => 1));
    expect([...rig.com.log.foreign(), ...rig.corp.log.foreign()]).toEqual([]);
    expect(await server.metrics()).toMatchObject({ activeSessions: PEOPLE, authenticatedSessions: PEOPLE, requestsProcessed: ROUNDS });
  });

  it('may all have a call running, more of them than a pool of servers has places by default', async () => {
    const people = Array.from({ length: 105 }, (_, index) => ({ 'private-token': rig.com.person(`waiting-${index}`).token.value }));
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    for (const headers of people) expect((await server.post(ping, headers)).status).toBe(200);
    const back = rig.com.faults.add({ path: '/version', fault: { kind: 'delay', ms: 1_000 }, times: Number.POSITIVE_INFINITY });
    const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'health_check', arguments: {} } };
    const replies = await Promise.all(people.map((headers) => server.post(call, headers)));
    back();
    const failed = replies.filter((reply) => reply.status !== 200 || reply.text.includes('"isError":true'));
    expect(failed.map((reply) => reply.text)).toEqual([]);
    expect(await server.metrics()).toMatchObject({ rejectedByCapacity: 0 });
  });

  it('may have two tokens, and use both at once, in one session: each is asked about anew, and nothing is refused or closed', async () => {
    const { user, token } = rig.com.person('twofold');
    const values = [token.value, rig.com.world.addToken(user, { name: 'twofold-2' }).value];
    const first = await server.call('whoami', {}, { 'private-token': values[0] as string });
    const session = String(first.headers['mcp-session-id']);
    const before = (await server.metrics()).activeSessions;
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } };
    const calls = Array.from({ length: 60 }, (_, turn) =>
      server.post(
        { ...message, id: turn },
        { 'private-token': values[turn % 2] as string, ...(turn % 3 === 0 ? {} : { 'mcp-session-id': session }) },
      ),
    );
    for (const reply of await Promise.all(calls)) expect([reply.status, text(reply)]).toEqual([200, expect.stringContaining('twofold')]);
    const { activeSessions, authFailures } = await server.metrics();
    expect([activeSessions, authFailures, rig.com.log.foreign()]).toEqual([before, 0, []]);
    expect((await server.post({ jsonrpc: '2.0', id: 'x', method: 'ping' }, { 'private-token': token.value, 'mcp-session-id': session })).status).toBe(
      200,
    );
  });

  it('may hang up at any moment: what was begun for them ends, and they are served again', async () => {
    const { user, token } = rig.com.person('hasty');
    const before = Number((await server.metrics()).activeSessions);
    const headers = { 'private-token': token.value, 'content-type': 'application/json' };
    rig.com.faults.delays.set(user.username, 200);
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } });
    const hangUp = async (after: number) => {
      const asked = request(server.url, { method: 'POST', headers, agent: false });
      asked.on('error', () => {});
      asked.on('response', (response) => response.resume());
      asked.end(body);
      await delay(after);
      asked.destroy();
    };
    await Promise.all(Array.from({ length: 16 }, (_, index) => hangUp(index * 30)));
    rig.com.faults.clear();
    await rig.com.log.idle(AbortSignal.timeout(5_000));
    expect(text(await server.post(JSON.parse(body), headers))).toContain('hasty');
    await until(async () => (await server.metrics()).activeSessions === before + 1);
  });

  it('who are let go by GitLab lose their sessions: the next request is 401', async () => {
    const { token } = rig.com.person('leaver');
    const headers = { 'private-token': token.value };
    const first = await server.call('whoami', {}, headers);
    const session = { ...headers, 'mcp-session-id': String(first.headers['mcp-session-id']) };
    token.revoked = true;
    // The call that finds it out hears so.
    expect(text(await server.call('whoami', {}, session))).toContain('authentication failed: your session may have expired');
    await until(async () => (await server.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, session)).status === 404);
    const refused = await server.call('whoami', {}, headers);
    expect(refusal(refused)).toEqual([401, 'Invalid GitLab token', 'GitLab rejected the token.']);
    expect(refused.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
  });
});
