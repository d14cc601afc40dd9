import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Person, refusal, StandaloneRig } from './standalone.ts';

/** Which check speaks first when several would refuse: form, session, address, URL, validation, owner, budget, places (gitlab.md 1.4). */

let rig: StandaloneRig;
let alice: Person;
let bob: Person;

beforeAll(async () => {
  rig = await StandaloneRig.make();
  ({ alice, bob } = rig.people());
});
afterAll(() => rig[Symbol.asyncDispose]());

const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };
const gone = { 'mcp-session-id': 'gone' };
const nowhere = { 'x-gitlab-api-url': 'nonsense' };
const unknown = (index: number) => ({ 'private-token': `glpat-unknown${String(index).padStart(12, '0')}` });

it('form, session, address, URL, validation, owner: the first of them answers, and what comes later is not looked at', async () => {
  const server = await rig.start();
  const opened = await server.initialize(alice);
  const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) };
  const asked = () => rig.com.log.entries.length;
  const first = async (headers: Readonly<Record<string, string>>) => refusal(await server.post(ping, headers)).slice(0, 2);

  expect(await first({ 'private-token': 'short', ...gone, ...nowhere })).toEqual([401, 'Malformed GitLab token']);
  expect(await first({ ...gone, ...nowhere })).toEqual([401, 'Missing Authorization or Private-Token header']);
  const before = asked();
  expect(await first({ ...unknown(0), ...gone, ...nowhere })).toEqual([404, 'Session not found']);
  expect(await first({ ...unknown(0), ...session, ...nowhere })).toEqual([400, 'Invalid custom API URL provided']);
  expect(asked()).toBe(before);
  expect(await first({ ...unknown(0), ...session })).toEqual([401, 'Invalid GitLab token']);
  expect(await first({ ...bob, ...session })).toEqual([404, 'Session not found']);

  // The malformed token and the unknown one failed already; a missing one and a URL that is none are no failures.
  for (let index = 1; index <= 8; index++) expect(await first(unknown(index))).toEqual([401, 'Invalid GitLab token']);
  const blocked = asked();
  expect(await first({ ...unknown(9), ...gone })).toEqual([404, 'Session not found']);
  for (const more of [nowhere, { 'x-gitlab-api-url': 'https://elsewhere.test' }, session])
    expect(await first({ ...unknown(9), ...more })).toEqual([429, 'Too many authentication failures']);
  expect(asked()).toBe(blocked);
});

it('the budget comes before the places: who is refused one pays for the question', async () => {
  const server = await rig.start({ MAX_SESSIONS: '1', MAX_REQUESTS_PER_MINUTE: '2' });
  expect((await server.initialize(alice)).status).toBe(200);
  for (const left of ['1', '0']) {
    const reply = await server.post(ping, bob);
    expect([...refusal(reply).slice(0, 2), reply.headers['ratelimit-remaining']]).toEqual([503, 'Server capacity reached', left]);
  }
  expect(refusal(await server.post(ping, bob)).slice(0, 2)).toEqual([429, 'Rate limit exceeded']);
  expect(await server.metrics()).toMatchObject({ rejectedByCapacity: 2, rejectedByRateLimit: 1 });
});
