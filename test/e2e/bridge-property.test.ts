import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import type { Answered, LegacyClient } from '../security/kit/clients.ts';
import { HttpFixture, type Logged, stdioFixture } from '../security/kit/fixtures.ts';
import { GatewayRig, USERS, type User } from '../security/kit/gateway.ts';

/**
 * Random calls, rounds, retries, cancels, crashes and restarts of three people in both eras, all at once, at upstreams of both
 * eras over HTTP and stdio. Everything that a call says, asks and is answered holds its marker: nothing of it may turn up
 * elsewhere, no call may run twice, and none may stay parked. `router/bridge-model.test.ts` has the same without wires, and many more runs.
 */

const INVALID = { code: -32602, message: 'Invalid or expired request state' };
const PEOPLE = Object.keys(USERS) as User[];
const UPSTREAMS = ['ohttp', 'opipe', 'nhttp', 'npipe'] as const;
/** No random id or sealed state has such characters: base64url does not know them. */
const MARKER = /m~\d+~/g;

let folder: string;
let old: HttpFixture;
let young: HttpFixture;
let rig: GatewayRig;
let sessions: Map<User, LegacyClient>;
let next = 0;
/** Connections that the gateway holds by itself. */
let leases = 0;
const LEASES = 'turnpike_pool_leases{pool="upstream-connections"}';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnpike-bridge-'));
  [old, young] = await Promise.all([HttpFixture.start('legacy'), HttpFixture.start('modern')]);
  rig = await GatewayRig.start({
    bridge: { stateTtl: '3s', park: { perPrincipal: 1_000, perUpstream: 1_000 } },
    upstreams: [
      { name: 'ohttp', type: 'streamable-http', url: old.url },
      // A question that came to another call than the one that asked is over with that call; the one that asked ends with its time.
      { name: 'opipe', ...stdioFixture('legacy', join(folder, 'opipe')), timeouts: { call: '4s' } },
      { name: 'nhttp', type: 'streamable-http', url: young.url },
      { name: 'npipe', ...stdioFixture('modern', join(folder, 'npipe')) },
    ],
  });
  leases = await rig.metric(LEASES);
  const opened = PEOPLE.map(async (who) => [who, await rig.session(who, { capabilities: { sampling: {} } })] as const);
  sessions = new Map(await Promise.all(opened));
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await Promise.all([old[Symbol.asyncDispose](), young[Symbol.asyncDispose]()]);
  await rm(folder, { recursive: true, force: true });
});

interface Op {
  readonly front: 'modern' | 'session';
  readonly who: number;
  readonly up: (typeof UPSTREAMS)[number];
  readonly fate: 'plain' | 'ask' | 'crash';
  readonly steps: number;
  readonly bend: 'good' | 'double' | 'again' | 'foreign' | 'tampered' | 'broken' | 'abandon' | 'hang up';
  readonly pause: number;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Whose call it is, and at which upstream. */
const owners = new Map<string, string>();

/**
 * What a client got: nothing but its own. On a pipe a log line or a question names no call: there it may come to another one of
 * the same caller's connection, never to anybody else (protocol.md section 10, "Attribution").
 */
function check(text: string, marker: string): void {
  const owner = owners.get(marker) ?? '';
  const isAllowed = (one: string) => one === marker || (owner.endsWith('pipe') && owners.get(one) === owner);
  expect((text.match(MARKER) ?? []).filter((one) => !isAllowed(one))).toEqual([]);
}

function answerOf(who: User, marker: string): JsonObject {
  return { role: 'assistant', model: 'm', content: { type: 'text', text: `${who} ${marker}` } };
}

async function play(op: Op): Promise<string> {
  const marker = `m~${next++}~`;
  const who = PEOPLE[op.who] ?? 'alice';
  owners.set(marker, `${op.front} ${who} ${op.up}`);
  const args = { marker, number: op.steps, steps: op.steps, delayMs: 2, fate: op.fate };
  const params = { name: `x_${op.up}_trace`, arguments: args };
  await pause(op.pause);
  if (op.front === 'modern') await playModern(op, who, marker, params);
  else await playSession(op, who, marker, params);
  return marker;
}

/** Every request has the same id and the same progress token. */
const OPTIONS = { id: 1, capabilities: { sampling: {} }, meta: { progressToken: 'same', 'io.modelcontextprotocol/logLevel': 'debug' } };

async function playModern(op: Op, who: User, marker: string, params: JsonObject): Promise<void> {
  const client = rig.modern(who);
  if (op.bend === 'hang up' && op.fate !== 'ask') {
    const stream = client.stream('tools/call', params, OPTIONS);
    await pause(op.pause % 7);
    const { close, text } = await stream;
    check(text, marker);
    close();
    return;
  }
  const first = await client.send('tools/call', params, OPTIONS);
  check(first.text, marker);
  if (first.result.resultType !== 'input_required') return;
  const state = first.result.requestState;
  const isParked = op.up.startsWith('o');
  const retry = async (text = `${who} ${marker}`, by: User = who, own = state) => {
    const answer = { ...answerOf(who, marker), content: { type: 'text', text } };
    const reply = await rig
      .modern(by)
      .send('tools/call', { ...params, inputResponses: { answer }, ...(own === undefined ? {} : { requestState: own }) }, OPTIONS);
    if (by === who) check(reply.text, marker);
    return reply;
  };
  const refused = (reply: Answered) => expect(reply.answer).toEqual({ jsonrpc: '2.0', id: 1, error: INVALID });
  if (op.bend === 'abandon') return;
  if (op.bend === 'hang up') {
    const stream = client.stream(
      'tools/call',
      { ...params, inputResponses: { answer: answerOf(who, marker) }, ...(state === undefined ? {} : { requestState: state }) },
      OPTIONS,
    );
    await pause(op.pause % 5);
    (await stream).close();
    return;
  }
  // Without a state there is nothing to steal: it would be the other's own call.
  if (state !== undefined && op.bend === 'foreign') refused(await retry('EVIL', PEOPLE[(op.who + 1) % PEOPLE.length]));
  if (state !== undefined && op.bend === 'tampered') refused(await retry('EVIL', who, `${String(state).slice(0, -9)}AAAAAAAAA`));
  if (op.bend === 'broken') {
    const broken = { ...params, inputResponses: { answer: { role: 'user' } }, ...(state === undefined ? {} : { requestState: state }) };
    check((await client.send('tools/call', broken, OPTIONS)).text, marker);
    return;
  }
  const replies = await Promise.all(op.bend === 'double' ? [retry(), retry(), retry()] : [retry()]);
  if (op.bend === 'again') {
    replies.push(await retry());
    if (isParked) refused(await retry('something else'));
  }
  if (isParked) for (const reply of replies) expect(reply.answer).toEqual(replies[0]?.answer);
}

async function playSession(op: Op, who: User, marker: string, params: JsonObject): Promise<void> {
  const client = sessions.get(who) as LegacyClient;
  const id = `call ${marker}`;
  const stream = await client.stream('tools/call', { ...params, _meta: { progressToken: marker } }, id);
  const isDone = (messages: readonly JsonObject[]) => messages.some((one) => one.id === id && one.method === undefined);
  const answered = new Set<unknown>();
  const asked = (messages: readonly JsonObject[]) =>
    messages.find((one) => one.method !== undefined && one.id !== undefined && !answered.has(one.id));
  if (op.bend === 'hang up' || op.bend === 'abandon') {
    await pause(op.pause % 7);
    await client.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
    check(stream.text, marker);
    stream.close();
    return;
  }
  for (;;) {
    await stream.until((messages) => isDone(messages) || asked(messages) !== undefined, 20_000);
    const question = asked(stream.messages);
    if (question === undefined || isDone(stream.messages)) break;
    answered.add(question.id);
    // Somebody else answers first, with a token of his own: to him there is no such session.
    if (op.bend === 'foreign') {
      const { token } = USERS[PEOPLE[(op.who + 1) % PEOPLE.length] as User];
      const foreign = await client.post({ jsonrpc: '2.0', id: question.id, result: answerOf(who, 'm~666~') }, { authorization: `Bearer ${token}` });
      expect(foreign.status).toBe(404);
    }
    const error = { code: -1, message: 'rejected' };
    for (let times = op.bend === 'double' ? 2 : 1; times > 0; times--)
      await client.post({ jsonrpc: '2.0', id: question.id, ...(op.bend === 'broken' ? { error } : { result: answerOf(who, marker) }) });
  }
  check(stream.text, marker);
}

/** What reached the upstreams so far. */
async function logged(): Promise<Record<(typeof UPSTREAMS)[number], readonly Logged[]>> {
  const read = async (name: string) =>
    (await readFile(join(folder, name), 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Logged);
  return { ohttp: await old.log(), nhttp: await young.log(), opipe: await read('opipe'), npipe: await read('npipe') };
}

/** Calls of `trace` by marker: those that began, not rounds of one that had. */
function begun(entries: readonly Logged[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { message } of entries) {
    const params = message?.params;
    if (message?.method !== 'tools/call' || !isJsonObject(params) || params.inputResponses !== undefined) continue;
    const marker = String((params.arguments as JsonObject | undefined)?.marker);
    found.set(marker, (found.get(marker) ?? 0) + 1);
  }
  return found;
}

const op: fc.Arbitrary<Op> = fc.record({
  front: fc.constantFrom('modern', 'modern', 'session'),
  who: fc.nat(2),
  up: fc.constantFrom(...UPSTREAMS),
  fate: fc.constantFrom('plain', 'ask', 'ask', 'ask', 'ask', 'ask', 'crash'),
  steps: fc.nat(3),
  bend: fc.constantFrom('good', 'good', 'double', 'again', 'foreign', 'tampered', 'broken', 'abandon', 'hang up'),
  pause: fc.nat(120),
});

it('nobody gets what is another\u2019s, no call runs twice, nothing stays parked', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 30, maxLength: 60 }), async (ops) => {
      await Promise.all(ops.map(play));
    }),
    { numRuns: 4, endOnFailure: true },
  );
  // Those that nobody came back for end with their time.
  await until(
    () => rig.metric('turnpike_bridge_parked'),
    (parked) => parked === 0,
    15_000,
  );
  await until(
    () => rig.metric(LEASES),
    (held) => held <= leases,
    15_000,
  );
  const logs = await logged();
  let calls = 0;
  for (const [name, entries] of Object.entries(logs)) {
    for (const [marker, times] of begun(entries)) expect({ name, marker, times }).toEqual({ name, marker, times: 1 });
    calls += begun(entries).size;
    const ran = entries.filter(({ kind, name: event }) => kind === 'event' && event === 'ran').map(({ marker }) => String(marker));
    if (name.startsWith('o')) expect(ran).toHaveLength(new Set(ran).size);
    // What others tried to answer reached nobody.
    expect(JSON.stringify(entries)).not.toContain('EVIL');
    expect(JSON.stringify(entries)).not.toContain('m~666~');
  }
  // And it was no empty exercise.
  expect(calls).toBeGreaterThan(next / 2);
}, 180_000);
