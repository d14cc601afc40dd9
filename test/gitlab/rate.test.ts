import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import type { JsonObject } from '../../src/core/mcp.ts';
import { LegacyClient, ModernClient } from '../security/kit/clients.ts';
import { GitLabRig } from './rig.ts';

/** `gitlab.maxRequestsPerMinute`: a budget of each caller at each instance, besides the limits of the gateway (gitlab.md 2.5 and 2.7). */

const MAX = 3;
let gitlab: GitLabRig;
let token: string;
/** Stands still until it is moved; timers are real. */
let time = 0;
const clock: Clock = { now: () => systemClock.now(), after: (ms, then) => systemClock.after(ms, then), monotonic: () => time };

beforeAll(async () => {
  gitlab = await GitLabRig.start({ com: { maxRequestsPerMinute: MAX } }, {}, { clock });
  token = gitlab.com.person('alice').token.value;
});
afterAll(() => gitlab[Symbol.asyncDispose]());

const whoami: [string, JsonObject] = ['x_gitlab_whoami', { instance: 'com' }];
const asked = () => gitlab.com.log.of({}).length;

it('counts whatever reaches the instance, in both eras; what is over is told, and GitLab is not asked', async () => {
  const client = new ModernClient(gitlab.url, token);
  const session = await LegacyClient.open(gitlab.url, token);
  // Lists are the gateway's own.
  for (let round = 0; round < 5; round++) expect((await client.send('tools/list')).status).toBe(200);
  expect((await client.call(...whoami)).result.isError).toBeFalsy();
  expect((await session.call(...whoami)).result.isError).toBeFalsy();
  const ref = { type: 'ref/prompt', name: 'x_com_summarize_issue' };
  expect((await session.send('completion/complete', { ref, argument: { name: 'project_id', value: '' } })).result.completion).toBeDefined();

  const before = asked();
  const over = { message: 'Rate limit exceeded', data: { detail: 'Maximum 3 requests per minute allowed' } };
  const refused = await client.call(...whoami);
  expect([refused.status, refused.error], refused.text).toMatchObject([429, over]);
  expect(refused.headers['retry-after']).toBe('60');
  expect((await session.call(...whoami)).error).toMatchObject(over);
  expect((await session.send('resources/read', { uri: `gitlab://${new URL(gitlab.com.url).host}/user` })).error).toMatchObject(over);
  expect(asked()).toBe(before);

  const bob = new ModernClient(gitlab.url, gitlab.com.person('bob').token.value);
  expect((await bob.call(...whoami)).result.isError).toBeFalsy();
  // The other instance has no limit of its own, and the gateway goes on to serve who is over that of this one.
  const carol = new ModernClient(gitlab.url, gitlab.corp.person('carol').token.value);
  const headers = { 'x-gitlab-api-url': gitlab.corp.url };
  for (let round = 0; round <= MAX; round++)
    expect((await carol.call('x_gitlab_whoami', { instance: 'corp' }, { headers })).result.isError).toBeFalsy();
  expect((await client.send('tools/list')).status).toBe(200);

  time += 60_000;
  for (let round = 0; round < MAX; round++) expect((await client.call(...whoami)).result.isError).toBeFalsy();
  expect((await client.call(...whoami)).status).toBe(429);
});
