import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import { answered, LegacyClient, ModernClient, textOf } from '../security/kit/clients.ts';
import { get, send } from '../security/kit/http.ts';
import { GitLabRig } from './rig.ts';

/** Two instances, several people on each, one gateway: whoever calls acts with the own token, where that was verified. */

let gitlab: GitLabRig;
let tokens: Record<'alice' | 'bob' | 'carol', string>;

beforeAll(async () => {
  gitlab = await GitLabRig.start();
  const [alice, bob, carol] = [gitlab.com.person('alice'), gitlab.com.person('bob'), gitlab.corp.person('carol')];
  tokens = { alice: alice.token.value, bob: bob.token.value, carol: carol.token.value };
  gitlab.com.world.addProject(alice.user, 'app', { files: { 'README.md': '# app\n' } });
});
afterAll(() => gitlab[Symbol.asyncDispose]());

const whoami = (instance: string): [string, JsonObject] => ['x_gitlab_whoami', { instance }];
const nameIn = ({ result }: { readonly result: JsonObject }) =>
  ((result.structuredContent as JsonObject | undefined)?.item as JsonObject | undefined)?.username;

describe('a caller', () => {
  it('acts with the own token, in both eras, and no instance sees a foreign one', async () => {
    for (const name of ['alice', 'bob'] as const) {
      expect(nameIn(await new ModernClient(gitlab.url, tokens[name]).call(...whoami('com')))).toBe(name);
      const session = await LegacyClient.open(gitlab.url, tokens[name]);
      expect(nameIn(await session.call(...whoami('com')))).toBe(name);
      await session.end();
    }
    expect([...gitlab.com.log.foreign(), ...gitlab.corp.log.foreign()]).toEqual([]);
  });

  it('is told to log in where another instance verified the token, which that one never sees', async () => {
    const before = gitlab.corp.log.of({}).length;
    const answer = await new ModernClient(gitlab.url, tokens.alice).call(...whoami('corp'));
    expect(textOf(answer)).toContain('authentication required: please log in to access this resource');
    expect(gitlab.corp.log.of({}).length).toBe(before);
  });

  it('of another instance names it by its URL, in any spelling, and is nobody at the first one', async () => {
    const client = new ModernClient(gitlab.url, tokens.carol);
    for (const named of [gitlab.corp.url, `${gitlab.corp.apiUrl}/`]) {
      const headers = { 'x-gitlab-api-url': named };
      expect(nameIn(await client.send('tools/call', { name: 'x_gitlab_whoami', arguments: { instance: 'corp' } }, { headers }))).toBe('carol');
    }
    expect((await client.call(...whoami('com'))).status).toBe(401);
    const foreign = { headers: { 'x-gitlab-api-url': 'https://evil.example.test' } };
    expect((await client.send('tools/list', {}, foreign)).status).toBe(403);
  });

  it('does not get past the settings of the upstream that the own instance is', async () => {
    await using dynamic = await GitLabRig.start((corp) => ({ com: GitLabRig.dynamic(corp), corp: { readOnly: true } }));
    const carol = dynamic.corp.person('carol').token.value;
    const headers = { 'x-gitlab-api-url': dynamic.corp.url };
    const made = { name: 'x_gitlab_create_issue', arguments: { instance: 'com', project_id: '1', title: 'x' } };
    const answer = await new ModernClient(dynamic.url, carol).send('tools/call', made, { headers });
    expect(textOf(answer)).toContain('authentication required');
    expect(dynamic.corp.log.of({ method: 'POST' })).toEqual([]);
  });

  it('with a token that GitLab does not know is refused', async () => {
    const reply = await new ModernClient(gitlab.url, 'glpat-aaaaaaaaaaaaaaaaaaaa').call(...whoami('com'));
    expect([reply.status, reply.messages[0]?.error]).toMatchObject([401, { message: 'Invalid GitLab token' }]);
    expect(reply.headers['www-authenticate']).toContain('error="invalid_token"');
  });

  it('with a text that is no token is refused, and GitLab is not asked', async () => {
    const before = gitlab.com.log.of({}).length;
    const { body, headers, id } = new ModernClient(gitlab.url).request('tools/list');
    const reply = answered(await send(gitlab.url, 'POST', { ...headers, 'private-token': 'short' }, body), id);
    expect(reply.status).toBe(401);
    expect(gitlab.com.log.of({}).length).toBe(before);
  });
});

/** How often credentials in use were checked again; that is spread over a quarter of an hour, so that some are at any time. */
const revalidated = async () => {
  const { text } = await get(new URL('/metrics', gitlab.url).href);
  return Number(/^turnpike_gitlab_revalidations_succeeded_total (\d+)$/m.exec(text)?.[1]);
};

it('50 tokens at two instances, 2,000 calls of whoami, 64 at a time: each names its caller, and no instance sees a foreign token (acceptance 1)', async () => {
  const people = Array.from({ length: 50 }, (_, index) => {
    const [instance, double] = index % 2 === 0 ? ['com', gitlab.com] : ['corp', gitlab.corp];
    const name = `person${index}`;
    return { name, instance, headers: { 'x-gitlab-api-url': double.url }, client: new ModernClient(gitlab.url, double.person(name).token.value) };
  });
  const before = await revalidated();
  let next = 0;
  const wrong: unknown[] = [];
  for (const double of [gitlab.com, gitlab.corp]) double.log.clear();
  const worker = async () => {
    while (next < 2_000) {
      const { name, instance, headers, client } = people[(next++ * 7) % people.length] as (typeof people)[number];
      const found = nameIn(await client.call('x_gitlab_whoami', { instance }, { headers }));
      if (found !== name) wrong.push([name, found]);
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
  expect(wrong).toEqual([]);
  expect([...gitlab.com.log.foreign(), ...gitlab.corp.log.foreign()]).toEqual([]);
  // Each asked about once, and then served 40 times, where it belongs; a check that is due meanwhile asks once more.
  const asked = people.map(({ name, instance }) => (instance === 'com' ? gitlab.com : gitlab.corp).log.of({ token: name }).length);
  const more = asked.map((count) => count - 41);
  expect(Math.min(...more)).toBeGreaterThanOrEqual(0);
  expect(more.reduce((sum, count) => sum + count)).toBeLessThanOrEqual((await revalidated()) - before);
}, 120_000);

it('a revoked token ends what it opened (acceptance 12)', async () => {
  const { token } = gitlab.com.person('dave');
  const session = await LegacyClient.open(gitlab.url, token.value);
  expect(nameIn(await session.call(...whoami('com')))).toBe('dave');
  token.revoked = true;
  // The call's own 401 makes the gateway ask at once.
  const after = await session.call(...whoami('com'));
  expect([after.result.isError, textOf(after)]).toEqual([true, 'authentication failed: your session may have expired, please log in again']);
  await until(
    async () => (await session.post({ jsonrpc: '2.0', id: 9, method: 'ping' })).status,
    (status) => status === 404,
    5_000,
  );
  const reply = await new ModernClient(gitlab.url, token.value).call(...whoami('com'));
  expect([reply.status, reply.headers['www-authenticate']]).toEqual([401, expect.stringContaining('invalid_token')]);
});
