import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import type { Gateway } from '../../src/gateway.ts';
import { Rig } from '../e2e/rig.ts';
import { Authority } from '../fixtures/authority.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { answered, ModernClient, textOf } from '../security/kit/clients.ts';
import { type Headers, type Reply, send } from '../security/kit/http.ts';
import { refusal } from './standalone.ts';

/** Which credential counts in a gateway, and what is said of the others (gitlab.md 1.1, 1.2, 2.5; acceptance 15, 16; identity.md 1). */

const OURS = 'sk-ours-0123456789/with+everything==';
const MALFORMED = [401, 'Malformed GitLab token', 'A token has at least 20 characters of A-Z a-z 0-9 - _ .'];
const CONFLICT = [400, 'Conflicting credentials', undefined];

let authority: Authority;
let com: GitLabDouble;
let corp: GitLabDouble;
let rig: Rig;
/** One with mode `gitlab` alone, one with `static` and an upstream that passes tokens on. */
let gateways: Record<'gitlab' | 'static', Gateway>;
let alice: string;
let bob: string;

beforeAll(async () => {
  authority = new Authority('IP:127.0.0.1,IP:::1,DNS:localhost');
  com = await GitLabDouble.start({ authority });
  corp = await GitLabDouble.start({ authority, root: '/gitlab' });
  [alice, bob] = ['alice', 'bob'].map((name) => com.person(name).token.value) as [string, string];
  rig = await Rig.make();
  const entry = (name: string, double: GitLabDouble): JsonObject => ({
    name,
    type: 'gitlab',
    tls: { caFile: double.caFile as string },
    gitlab: { url: double.url },
  });
  const upstreams = [entry('com', com), entry('corp', corp)];
  const ours = { modes: ['static'], static: [{ name: 'ann', token: OURS }] };
  gateways = { gitlab: await rig.start({ auth: { modes: ['gitlab'] }, upstreams }), static: await rig.start({ auth: ours, upstreams }) };
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await Promise.all([com[Symbol.asyncDispose](), corp[Symbol.asyncDispose]()]);
  authority[Symbol.dispose]();
});

/** One call of `whoami` in revision 2026-07-28. */
async function whoami(gateway: Gateway, credentials: Headers, name = 'x_com_whoami') {
  const { body, headers, id } = new ModernClient(gateway.endpoint).request('tools/call', { name, arguments: {} });
  return answered(await send(gateway.endpoint, 'POST', { ...headers, 'mcp-name': name, ...credentials }, body), id);
}

const said = (reply: Reply) => refusal(reply);

describe('of several credentials', () => {
  it('none is chosen: two that differ are 400, one under two names is one, and it is what GitLab sees', async () => {
    const gateway = gateways.gitlab;
    const before = com.log.entries.length;
    for (const headers of [
      { 'private-token': bob, authorization: `Bearer ${alice}` },
      { 'private-token': bob, 'job-token': 'x'.repeat(30), authorization: `Bearer ${bob}` },
    ])
      expect(said(await whoami(gateway, headers))).toEqual(CONFLICT);
    expect(com.log.entries.length).toBe(before);
    expect(textOf(await whoami(gateway, { 'private-token': alice, authorization: `bearer ${alice}` }))).toContain('alice');
    expect(textOf(await whoami(gateway, { 'private-token': '', authorization: `Bearer ${bob}` }))).toContain('bob');
    expect(new Set(com.log.entries.slice(before).map(({ token }) => token))).toEqual(new Set(['alice', 'bob']));
  });

  it('one that is malformed, or a header that comes twice, is 401, and GitLab is not asked', async () => {
    const before = com.log.entries.length;
    for (const headers of [
      { 'private-token': 'short' },
      { 'private-token': [alice, alice] },
      { authorization: [`Bearer ${alice}`, `Bearer ${alice}`] },
      { authorization: 'Basic dTpw' },
    ])
      expect([headers, said(await whoami(gateways.gitlab, headers))]).toEqual([headers, MALFORMED]);
    expect(com.log.entries.length).toBe(before);
    const none = await whoami(gateways.gitlab, {});
    expect(said(none)).toEqual([401, 'Missing Authorization or Private-Token header', undefined]);
    expect(none.headers['www-authenticate']).toBe('Bearer scope="turnpike:read"');
  });
});

it('a token that lacks a scope is 403, and the challenge names the scopes of GitLab', async () => {
  const { user } = com.person('poor');
  const { value } = com.world.addToken(user, { scopes: ['read_registry'] });
  const reply = await whoami(gateways.gitlab, { 'private-token': value });
  expect(said(reply)).toEqual([403, 'Insufficient GitLab token scope', 'One of api, read_api, read_user is needed.']);
  expect(reply.headers['www-authenticate']).toBe('Bearer scope="api read_api read_user", error="insufficient_scope"');
});

describe('a token of GitLab beside a Bearer of ours', () => {
  const ours = { authorization: `Bearer ${OURS}` };

  it('is what the upstream acts with; without it the caller is told to log in', async () => {
    for (const [name, token] of [
      ['alice', alice],
      ['bob', bob],
    ] as const)
      expect(textOf(await whoami(gateways.static, { ...ours, 'private-token': token }))).toContain(name);
    expect(textOf(await whoami(gateways.static, ours))).toContain('authentication required: please log in to access this resource');
    // The Bearer is nobody's business but ours.
    expect([...com.log.foreign(), ...corp.log.foreign()]).toEqual([]);
    expect(com.log.entries.filter(({ token }) => token === undefined)).toEqual([]);
  });

  it('goes to the instance that verified it, and to no other', async () => {
    const before = corp.log.entries.length;
    expect(textOf(await whoami(gateways.static, { ...ours, 'private-token': alice }, 'x_corp_whoami'))).toContain('authentication required');
    expect(corp.log.entries.length).toBe(before);
    const carol = { ...ours, 'private-token': corp.person('carol').token.value, 'x-gitlab-api-url': corp.url };
    expect(textOf(await whoami(gateways.static, carol, 'x_corp_whoami'))).toContain('carol');
  });

  it('is judged as if it stood alone, and says nothing about who comes in', async () => {
    const bad = 'glpat-aaaaaaaaaaaaaaaaaaaa';
    expect(said(await whoami(gateways.static, { ...ours, 'private-token': bad }))).toEqual([
      401,
      'Invalid GitLab token',
      'GitLab rejected the token.',
    ]);
    expect(said(await whoami(gateways.static, { ...ours, 'private-token': 'short' }))).toEqual(MALFORMED);
    expect(said(await whoami(gateways.static, { ...ours, 'private-token': alice, 'job-token': bob }))).toEqual(CONFLICT);
    const before = com.log.entries.length;
    const stranger = await whoami(gateways.static, { authorization: 'Bearer sk-somebody-else', 'private-token': alice });
    expect(stranger.status).toBe(401);
    expect((await whoami(gateways.static, { 'private-token': alice })).status).toBe(401);
    expect(com.log.entries.length).toBe(before);
  });

  it('cannot be guessed by somebody who is let in: the address is blocked for tokens that are not in use', async () => {
    await using other = await Rig.make();
    const upstreams = [{ name: 'com', type: 'gitlab', tls: { caFile: com.caFile as string }, gitlab: { url: com.url } }];
    const gateway = await other.start({ auth: { modes: ['static'], static: [{ name: 'ann', token: OURS }] }, upstreams });
    expect(textOf(await whoami(gateway, { ...ours, 'private-token': alice }))).toContain('alice');
    for (let index = 0; index < 10; index++)
      expect((await whoami(gateway, { ...ours, 'private-token': `glpat-random${String(index).padStart(12, '0')}` })).status).toBe(401);
    const before = com.log.entries.length;
    expect(said(await whoami(gateway, { ...ours, 'private-token': bob }))).toEqual([429, 'Too many authentication failures', undefined]);
    expect(com.log.entries.length).toBe(before);
    expect(textOf(await whoami(gateway, { ...ours, 'private-token': alice }))).toContain('alice');
    expect((await whoami(gateway, ours)).status).toBe(200);
  });
});
