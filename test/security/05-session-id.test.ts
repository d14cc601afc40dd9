import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Authentication } from '../../src/auth/authenticator.ts';
import type { Identity } from '../../src/auth/identity.ts';
import type { LegacyClient } from './kit/clients.ts';
import { HttpFixture } from './kit/fixtures.ts';
import { GatewayRig, USERS, type User } from './kit/gateway.ts';
import { open, type Reply, type Stream, send } from './kit/http.ts';

/** Class 5: a session id is no credential. Whoever is not its principal gets the answer of an unknown id. */

let upstream: HttpFixture;
let rig: GatewayRig;
let session: LegacyClient;
let standing: Stream;

beforeAll(async () => {
  upstream = await HttpFixture.start('legacy');
  rig = await GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }] });
});
beforeEach(async () => {
  session = await rig.session('alice');
  standing = await session.listen();
  await upstream.clear();
});
afterAll(async () => {
  standing.close();
  await rig[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const CALL = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x_up_write', arguments: { key: 'stolen' } } });
const RESPONSE = JSON.stringify({ jsonrpc: '2.0', id: 1, result: {} });
const CANCEL = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });

/** Every way of using a session, by somebody's token. */
const VERBS: readonly [string, (user: User, id: string) => Promise<Reply>][] = [
  ['POST of a call', (user, id) => verb(user, id, 'POST', CALL)],
  ['POST of a response', (user, id) => verb(user, id, 'POST', RESPONSE)],
  ['POST of a cancel', (user, id) => verb(user, id, 'POST', CANCEL)],
  ['POST of a batch', (user, id) => verb(user, id, 'POST', `[${CALL}]`)],
  [
    'POST of initialize',
    (user, id) => verb(user, id, 'POST', '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}'),
  ],
  ['GET', (user, id) => verb(user, id, 'GET')],
  ['resume', (user, id) => verb(user, id, 'GET', undefined, { 'last-event-id': '0-0' })],
  ['DELETE', (user, id) => verb(user, id, 'DELETE')],
];

async function verb(user: User, id: string, method: string, body?: string, more: Record<string, string> = {}): Promise<Reply> {
  const accept = method === 'GET' ? { accept: 'text/event-stream' } : {};
  const stream = await open(rig.url, method, { ...session.headers({ token: USERS[user].token, session: id }), ...accept, ...more }, body);
  if (stream.headers['content-type'] === 'text/event-stream') stream.close();
  await stream.ended;
  return { status: stream.status, headers: stream.headers, text: stream.text, messages: stream.messages };
}

/** What an answer shows, less what differs by time. */
function visible({ status, headers, text }: Reply): unknown {
  const { date: _date, ...others } = headers;
  return { status, headers: others, text };
}

describe.each(VERBS)('%s', (_name, use) => {
  it.each<User>(['bob', 'carol'])("with another principal's valid token (%s) is the 404 of an unknown id", async (user) => {
    const foreign = await use(user, session.id);
    const unknown = await use(user, 'A'.repeat(43));
    expect(foreign.status).toBe(404);
    expect(foreign.text).toContain('Session not found');
    expect(visible(foreign)).toEqual(visible(unknown));

    // It touched nothing: no call upstream, nothing on the stream, the session lives and its stream is still its own.
    expect(await upstream.logged('tools/call')).toEqual([]);
    expect(standing.messages).toEqual([]);
    const { result } = await session.call('x_up_write', { key: crypto.randomUUID() });
    expect(result.structuredContent).toMatchObject({ count: 1 });
    expect(await upstream.logged('tools/call')).toHaveLength(1);
    expect(await verb('alice', session.id, 'GET')).toMatchObject({ status: 409 });
  });

  it('without a token, or with a wrong one, is 401 whether or not the id is live', async () => {
    const { authorization: _mine, ...bare } = session.headers();
    for (const id of [session.id, 'B'.repeat(43)]) {
      const reply = await send(rig.url, 'POST', { ...bare, 'mcp-session-id': id }, CALL);
      expect(reply.status).toBe(401);
    }
    const wrong = await send(rig.url, 'POST', session.headers({ token: `${USERS.alice.token}x` }), CALL);
    expect(wrong.status).toBe(401);
    expect(await upstream.log()).toEqual([]);
  });
});

it('an ended session is unknown, to its own principal too', async () => {
  expect((await session.end()).status).toBe(204);
  const replies = await Promise.all(VERBS.map(([, use]) => use('alice', session.id)));
  expect(replies.map(({ status }) => status)).toEqual(VERBS.map(() => 404));
  expect(await standing.ended).toBe('complete');
  expect(await upstream.logged('tools/call')).toEqual([]);
});

it('two ids, or one in another case, are unknown', async () => {
  const twice = await send(rig.url, 'POST', { ...session.headers(), 'mcp-session-id': [session.id, session.id] }, CALL);
  const folded = await send(rig.url, 'POST', session.headers({ session: session.id.toLowerCase() }), CALL);
  expect([twice.status, folded.status]).toEqual([404, 404]);
  expect(await upstream.logged('tools/call')).toEqual([]);
});

it('ids are 256 bits, all different', async () => {
  const ids = await Promise.all(Array.from({ length: 50 }, async () => (await rig.session('bob')).id));
  expect(new Set(ids).size).toBe(50);
  for (const id of ids) expect(Buffer.from(id, 'base64url')).toHaveLength(32);
});

it.each([
  ['subject', { principal: { issuer: 'i', subject: '' }, tenant: 't' }],
  ['issuer', { principal: { issuer: '', subject: 's' }, tenant: 't' }],
  ['tenant', { principal: { issuer: 'i', subject: 's' }, tenant: '' }],
])('an identity with an empty %s is refused, whichever mode vouches for it', async (_what, identity) => {
  const verdict = { kind: 'accepted', identity: { mode: 'static', scopes: new Set(), ...identity } as unknown as Identity } as const;
  const authentication = new Authentication([{ mode: 'static', authenticate: () => verdict }]);
  const context = { peer: undefined, address: undefined };
  await expect(authentication.authenticate(undefined, context, new AbortController().signal)).rejects.toMatchObject({ code: 'auth/invalid' });
});
