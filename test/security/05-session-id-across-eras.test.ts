import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { AskingUpstreams, answer, CAN_ASK } from './kit/asking-upstreams.ts';
import type { LegacyClient } from './kit/clients.ts';
import { GatewayRig, USERS, type User } from './kit/gateway.ts';
import { open, type Reply, type Stream, send } from './kit/http.ts';

/** Class 5 where the eras meet: a session that waits for an answer is its principal's alone, whatever its upstream speaks. */

let upstreams: AskingUpstreams;
let rig: GatewayRig;

beforeAll(async () => {
  upstreams = await AskingUpstreams.start();
  rig = await GatewayRig.start({ upstreams: upstreams.section });
});
beforeEach(() => upstreams.clear());
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await upstreams[Symbol.asyncDispose]();
});

/** A session of Alice's in the middle of a call whose question is open. */
async function asked(up: string): Promise<{ readonly session: LegacyClient; readonly stream: Stream; readonly question: JsonObject }> {
  const session = await rig.session('alice', { capabilities: CAN_ASK });
  const stream = await session.stream('tools/call', { name: `x_${up}_ask`, arguments: {} }, 'the call');
  await stream.until((messages) => messages.some(({ method }) => method === 'elicitation/create'));
  const question = stream.messages.find(({ method }) => method === 'elicitation/create') as JsonObject;
  return { session, stream, question };
}

const ATTACKS: readonly [string, string, (id: unknown) => JsonObject | undefined, Record<string, string>?][] = [
  ['answer', 'POST', (id) => ({ jsonrpc: '2.0', id, result: answer('stolen') })],
  ['refuse', 'POST', (id) => ({ jsonrpc: '2.0', id, error: { code: -1, message: 'stolen' } })],
  ['cancel', 'POST', () => ({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'the call' } })],
  ['listen', 'GET', () => undefined],
  ['resume', 'GET', () => undefined, { 'last-event-id': '0-0' }],
  ['end', 'DELETE', () => undefined],
];

describe.each(['old', 'young'])('a question of upstream "%s"', (up) => {
  it.each<User>(['bob', 'carol'])('cannot be reached with the session id and the token of %s', async (user) => {
    const { session, stream, question } = await asked(up);
    for (const [, method, message, more = {}] of ATTACKS) {
      const headers = { ...session.headers({ token: USERS[user].token }), ...(method === 'GET' ? { accept: 'text/event-stream' } : {}), ...more };
      const body = message(question.id);
      const foreign = await open(rig.url, method, headers, body && JSON.stringify(body));
      if (foreign.status === 200) foreign.close();
      await foreign.ended;
      expect({ status: foreign.status, text: foreign.text.includes('Session not found') }).toEqual({ status: 404, text: true });
    }
    expect(upstreams.heard(up)).toEqual([]);
    expect((await session.post({ jsonrpc: '2.0', id: question.id, result: answer('mine') })).status).toBe(202);
    await stream.ended;
    expect(stream.text).toContain('mine');
    expect(upstreams.heard(up)).toEqual([answer('mine')]);
    await session.end();
  });

  it('cannot be answered from a session of one\u2019s own, by its id: nobody asked there', async () => {
    const { session, stream, question } = await asked(up);
    for (const user of ['bob', 'alice'] as const) {
      const other = await rig.session(user, { capabilities: CAN_ASK });
      await other.post({ jsonrpc: '2.0', id: question.id, result: answer('stolen') });
      await other.end();
    }
    expect(upstreams.heard(up)).toEqual([]);
    await session.post({ jsonrpc: '2.0', id: question.id, result: answer('mine') });
    await stream.ended;
    expect(upstreams.heard(up)).toEqual([answer('mine')]);
    // And a second answer of the same client is too late.
    await session.post({ jsonrpc: '2.0', id: question.id, result: answer('changed') });
    expect(upstreams.heard(up)).toEqual([answer('mine')]);
    await session.end();
  });

  it('goes with the session', async () => {
    const { session, stream } = await asked(up);
    expect((await session.end()).status).toBe(204);
    await stream.ended;
    expect(upstreams.heard(up).filter(({ action }) => action === 'accept')).toEqual([]);
  });

  it('a session id means nothing on a stateless request, whoever\u2019s it is: it is neither used nor echoed nor told', async () => {
    const session = await rig.session('alice', { capabilities: CAN_ASK });
    await session.call(`x_${up}_plain`);
    upstreams.clear();
    const reply = await rig.modern('bob').call(`x_${up}_plain`, {}, { headers: { 'mcp-session-id': session.id, 'last-event-id': '0-0' } });
    expect(reply.result.content).toEqual([{ type: 'text', text: 'plain' }]);
    expect(reply.headers['mcp-session-id']).toBeUndefined();
    for (const { headers } of upstreams.requests(up, 'tools/call')) {
      expect(headers['mcp-session-id']).not.toBe(session.id);
      expect(headers['last-event-id']).toBeUndefined();
    }
    await session.end();
  });
});

it('the connections of a session, of its principal without one, and of others are not the same', async () => {
  const [one, two] = [await rig.session('alice'), await rig.session('alice')];
  const replies: Reply[] = [await one.call('x_old_plain'), await two.call('x_old_plain')];
  for (const user of ['alice', 'bob', 'carol'] as const) replies.push(await rig.modern(user).call('x_old_plain'));
  const used = upstreams.old.of('plain').map(({ session }) => session);
  expect(new Set(used).size).toBe(5);
  for (const { text, headers } of replies) for (const id of used) expect(text + JSON.stringify(headers)).not.toContain(`"${id}"`);
  // The id of an upstream's session opens nothing here.
  const guess = await send(rig.url, 'POST', one.headers({ session: used[0] ?? '' }), '{"jsonrpc":"2.0","id":1,"method":"ping"}');
  expect(guess.status).toBe(404);
  await one.end();
  await two.end();
});
