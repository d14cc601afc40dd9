import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { Rig } from '../e2e/rig.ts';
import { Authority } from '../fixtures/authority.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { LegacyClient, ModernClient, textOf } from '../security/kit/clients.ts';

/** Two instances, two people on each, one gateway: whoever calls acts with the own token, where that was verified. */

let authority: Authority;
let com: GitLabDouble;
let corp: GitLabDouble;
let rig: Rig;
let url: string;
let tokens: Record<'alice' | 'bob' | 'carol', string>;

beforeAll(async () => {
  authority = new Authority('IP:127.0.0.1,IP:::1,DNS:localhost');
  com = await GitLabDouble.start({ authority });
  corp = await GitLabDouble.start({ authority, root: '/gitlab' });
  const [alice, bob, carol] = [com.person('alice'), com.person('bob'), corp.person('carol')];
  tokens = { alice: alice.token.value, bob: bob.token.value, carol: carol.token.value };
  com.world.addProject(alice.user, 'app', { files: { 'README.md': '# app\n' } });
  rig = await Rig.make();
  const entry = (name: string, double: GitLabDouble, more: JsonObject = {}): JsonObject => ({
    name,
    type: 'gitlab',
    family: { name: 'gitlab', instanceArg: 'instance' },
    tls: { caFile: double.caFile as string },
    gitlab: { url: double.url, ...more },
  });
  const gateway = await rig.start({
    auth: { modes: ['gitlab'] },
    upstreams: [
      entry('com', com, { dynamicUrl: { enabled: true, allowedHosts: [new URL(corp.url).host + '/gitlab'], allowPrivateHosts: ['127.0.0.1'] } }),
      entry('corp', corp),
    ],
  });
  url = gateway.endpoint;
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await Promise.all([com[Symbol.asyncDispose](), corp[Symbol.asyncDispose]()]);
  authority[Symbol.dispose]();
});

const whoami = (instance: string): [string, JsonObject] => ['x_gitlab_whoami', { instance }];

describe('a caller', () => {
  it('acts with the own token, in both eras, and no instance sees a foreign one', async () => {
    for (const name of ['alice', 'bob'] as const) {
      const modern = new ModernClient(url, tokens[name]);
      expect((await modern.call(...whoami('com'))).result.structuredContent).toMatchObject({ item: { username: name } });
      const session = await LegacyClient.open(url, tokens[name]);
      expect((await session.call(...whoami('com'))).result.structuredContent).toMatchObject({ item: { username: name } });
    }
    expect(com.log.foreign()).toEqual([]);
    expect(corp.log.foreign()).toEqual([]);
  });

  it('is told to log in where another instance verified the token, which that one never sees', async () => {
    const before = corp.log.of({}).length;
    const answer = await new ModernClient(url, tokens.alice).call(...whoami('corp'));
    expect(textOf(answer)).toContain('authentication required: please log in to access this resource');
    expect(corp.log.of({}).length).toBe(before);
  });

  it('with a token that GitLab does not know is refused', async () => {
    const reply = await new ModernClient(url, 'glpat-aaaaaaaaaaaaaaaaaaaa').call(...whoami('com'));
    expect([reply.status, reply.messages[0]?.error]).toMatchObject([401, { message: 'Invalid GitLab token' }]);
    expect(reply.headers['www-authenticate']).toContain('error="invalid_token"');
  });
});
