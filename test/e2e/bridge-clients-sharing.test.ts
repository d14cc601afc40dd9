import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { ALL_CAPABILITIES, type Kind, Party, textOf } from './interop-clients.ts';
import { logOf, Rig, type RunningServer, requestsIn } from './rig.ts';

/** Warm sessions for clients without one, each its principal's own (protocol.md section 10, aggregator.md section 6). */
let rig: Rig;
let http: RunningServer;

const TOKENS = { alice: `alice-${'a'.repeat(40)}`, bob: `bob-${'b'.repeat(40)}` } as const;
type User = keyof typeof TOKENS;

beforeAll(async () => {
  rig = await Rig.make();
  http = await rig.serve('legacy');
  await rig.start({
    auth: { modes: ['static'], static: Object.entries(TOKENS).map(([name, token]) => ({ name, token, tenant: 'one' })) },
    upstreams: [
      { name: 'http', type: 'streamable-http', url: http.url() },
      { name: 'shared', type: 'streamable-http', url: http.url(), sharing: 'shared' },
      rig.stdio('pipe', 'legacy'),
    ],
  });
});
afterAll(() => rig?.[Symbol.asyncDispose]());

const handshakes = async () => requestsIn(await logOf(http), 'initialize').length;
const client = (user: User, kind: Kind = 'SDK 2.4 stateless', capabilities: JsonObject = ALL_CAPABILITIES) =>
  Party.overHttp(kind, rig.endpoint, { capabilities, token: TOKENS[user] });
/** How many calls the upstream has seen on the connection of this one. */
const count = async (party: Party, upstream: string) => {
  const { structuredContent } = await party.call(`x_${upstream}_counter`);
  return Number((structuredContent as JsonObject).connection);
};

it.each(['http', 'shared', 'pipe'])('%s: what a session upstream keeps is kept for its principal, and for nobody else', async (upstream) => {
  const before = await handshakes();
  {
    await using alice = await client('alice');
    await using bob = await client('bob');
    expect([await count(alice, upstream), await count(alice, upstream), await count(bob, upstream)]).toEqual([1, 2, 1]);
    // Both at once, and in turn: no order brings one to the connection of the other.
    const both = await Promise.all([alice, alice, bob, alice, bob].map((party) => count(party, upstream)));
    expect([both[2], both[4]].toSorted()).toEqual([2, 3]);
    expect([both[0], both[1], both[3]].toSorted()).toEqual([3, 4, 5]);
  }
  // Another client of hers, later: without a session it is the principal whose connection it is.
  await using again = await client('alice');
  expect(await count(again, upstream)).toBe(6);
  // One handshake for each of them, not for each call, nor for each client.
  if (upstream !== 'pipe') expect(await handshakes()).toBe(before + 2);
});

it('a question is asked of the one whose call it is', async () => {
  await using alice = await client('alice');
  await using bob = await client('bob');
  const name = (value: string) => async () => ({ action: 'accept', content: { value } });
  alice.answering = name('of alice');
  bob.answering = name('of bob');
  for (const upstream of ['http', 'shared', 'pipe']) {
    const answers = await Promise.all([alice, bob, alice, bob].map((party) => party.call(`x_${upstream}_ask`, { kind: 'form' })));
    expect(answers.map((answer) => /of \w+/.exec(textOf(answer))?.[0])).toEqual(['of alice', 'of bob', 'of alice', 'of bob']);
  }
  expect([alice.asked.length, bob.asked.length]).toEqual([6, 6]);
});

it('a call that waits for input needs no second handshake for its retries', async () => {
  await using alice = await client('alice');
  await count(alice, 'http');
  const before = await handshakes();
  for (let round = 0; round < 3; round++) await alice.call('x_http_test_input_required_result_multi_round');
  expect(await handshakes()).toBe(before);
});

describe('a client that can do less', () => {
  it('has a connection that says so: neither is told of what the other can', async () => {
    await using all = await client('alice');
    await using less = await client('alice', 'SDK 2.4 stateless', { elicitation: { form: {} } });
    less.answering = async () => ({ action: 'accept', content: { value: 'of less' } });
    const capabilities = async () => requestsIn(await logOf(http), 'initialize').map(({ params }) => (params as JsonObject).capabilities);
    await all.call('x_http_ask', { kind: 'roots' });
    const before = (await capabilities()).length;
    expect(textOf(await less.call('x_http_ask', { kind: 'form' }))).toContain('of less');
    expect((await capabilities()).slice(before)).toEqual([{ elicitation: { form: {} } }]);
  });

  it.each(['http', 'pipe'])('%s: is told what it lacks, and is not asked', async (upstream) => {
    await using none = await client('alice', 'SDK 2.4 stateless', {});
    await expect(none.call(`x_${upstream}_test_missing_capability`)).rejects.toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { sampling: {} } },
    });
    await using session = await client('alice', 'SDK 1.32', {});
    const refused = await session.call(`x_${upstream}_test_missing_capability`);
    expect(refused).toMatchObject({ isError: true, _meta: { 'turnpike/error': { upstream } } });
    expect(textOf(refused)).toBe('This tool needs sampling, which your client does not offer.');
    expect([none.asked, session.asked]).toEqual([[], []]);
  });
});
