import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import type { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { until } from '../fixtures/processes.ts';
import { type Answered, LegacyClient, ModernClient, textOf } from '../security/kit/clients.ts';
import { GitLabRig } from './rig.ts';
import { StandaloneRig } from './standalone.ts';

/** What settings of GitLab hide is in no list and refused on every path, in both eras, in a gateway and by itself (acceptance 24). */

const BLOCK = { readOnly: true, toolsets: ['identity', 'issues', 'repository'], tools: ['execute_graphql'], deniedTools: '^get_users$' };
const READ_ONLY = (tool: string) => `${tool} is not allowed in read-only mode`;
const MUTATION = { query: 'mutation { createNote(input: {body: "x"}) { errors } }' };
const REFUSED_BY_MODE = ['create_issue', 'create_branch', 'delete_branch'];
const ABSENT = ['get_users', 'create_release', 'list_labels'];

interface Client {
  call(name: string, args?: JsonObject): Promise<Answered>;
  send(method: string, params?: JsonObject): Promise<Answered>;
}

/** Both eras of one caller. */
async function clients(url: string, token: string): Promise<readonly (readonly [string, Client])[]> {
  return [
    ['modern', new ModernClient(url, token)],
    ['legacy', await LegacyClient.open(url, token)],
  ];
}

const items = async (client: Client, method: string, member: string) => (await client.send(method)).result[member] as readonly JsonObject[];
const names = async (client: Client, method: string, member: string) => (await items(client, method, member)).map(({ name }) => String(name));

/** @param prefix of tools and prompts. @param upstream where `turnpike://` names it */
async function expectHidden(client: Client, { log, url }: GitLabDouble, prefix: string, upstream?: string): Promise<void> {
  const { host } = new URL(url);
  const listed = await names(client, 'tools/list', 'tools');
  expect(listed).toEqual(expect.arrayContaining([`${prefix}whoami`, `${prefix}list_issues`, `${prefix}execute_graphql`]));
  for (const tool of [...REFUSED_BY_MODE, ...ABSENT]) expect(listed).not.toContain(`${prefix}${tool}`);
  const { text } = await client.send('tools/list');
  expect(text).not.toContain('withheld');

  for (const tool of REFUSED_BY_MODE) {
    const refused = await client.call(`${prefix}${tool}`, { project_id: '1', title: 'x', branch: 'b', ref: 'main', confirm: true });
    expect([refused.result.isError, textOf(refused)], refused.text).toEqual([true, READ_ONLY(tool)]);
  }
  for (const tool of ABSENT) {
    expect((await client.call(`${prefix}${tool}`, { project_id: '1' })).error).toEqual({
      code: -32602,
      message: `tool not found: ${prefix}${tool}`,
    });
  }
  const mutation = await client.call(`${prefix}execute_graphql`, MUTATION);
  expect([mutation.result.isError, textOf(mutation)], mutation.text).toEqual([true, READ_ONLY('execute_graphql')]);

  const prompts = (await names(client, 'prompts/list', 'prompts')).filter((name) => !name.startsWith('x_corp_'));
  expect(prompts).toEqual([`${prefix}summarize_issue`, `${prefix}draft_release_notes`]);
  const absent = { name: `${prefix}review_merge_request`, arguments: { project_id: '1', merge_request_iid: '1' } };
  expect((await client.send('prompts/get', absent)).error).toEqual({ code: -32602, message: `prompt not found: ${absent.name}` });

  const templates = (await items(client, 'resources/templates/list', 'resourceTemplates')).map(({ uriTemplate }) => String(uriTemplate));
  const own = templates.filter((uri) => uri.startsWith(`gitlab://${host}`)).map((uri) => uri.slice(`gitlab://${host}`.length));
  expect(own).toEqual(['/project/{id}/tree/{ref}', '/project/{id}/file/{ref}/{+path}', '/project/{id}/issue/{iid}']);
  const hidden = `gitlab://${host}/project/1/wiki/home`;
  const uris = upstream === undefined ? [hidden] : [hidden, `turnpike://${upstream}/${encodeURIComponent(hidden)}`];
  for (const uri of uris)
    expect((await client.send('resources/read', { uri })).error, uri).toMatchObject({ message: expect.stringMatching(/not found/i) });

  const asked = log.of({}).length;
  const complete = (argument: JsonObject, name: string) => client.send('completion/complete', { ref: { type: 'ref/prompt', name }, argument });
  const label = await complete({ name: 'label', value: '' }, `${prefix}summarize_issue`);
  expect(label.result.completion).toMatchObject({ values: [] });
  expect((await complete({ name: 'project_id', value: '' }, absent.name)).error).toBeDefined();
  expect(
    log
      .of({})
      .slice(asked)
      .map(({ path }) => path),
  ).toEqual([]);
  expect(log.of({ method: 'POST' })).toEqual([]);
}

describe('inside the gateway', () => {
  let gitlab: GitLabRig;
  let token: string;

  beforeAll(async () => {
    gitlab = await GitLabRig.start({ com: BLOCK }, { policy: { annotations: 'ignore' } }, {}, { family: undefined });
    token = gitlab.com.person('alice').token.value;
  });
  afterAll(() => gitlab[Symbol.asyncDispose]());

  it('is hidden and refused in both eras', async () => {
    for (const [, client] of await clients(gitlab.url, token)) {
      await expectHidden(client, gitlab.com, 'x_com_', 'com');
    }
  });
});

describe('a family', () => {
  it('lists a tool for who offers it, and tells of the other one what refuses it', async () => {
    await using gitlab = await GitLabRig.start({ com: { readOnly: true }, corp: { readOnly: true } }, { policy: { annotations: 'ignore' } });
    await using half = await GitLabRig.start({ com: { readOnly: true }, corp: { confirm: 'deny' } }, { policy: { annotations: 'ignore' } });
    for (const { url, com } of [gitlab, half]) {
      for (const [, client] of await clients(url, com.person('alice').token.value)) {
        const refused = await client.call('x_gitlab_create_issue', { instance: 'com', project_id: '1', title: 'x' });
        expect([refused.result.isError, textOf(refused)], refused.text).toEqual([true, READ_ONLY('create_issue')]);
        const all = await items(client, 'tools/list', 'tools');
        expect(all.filter(({ name }) => name === 'x_gitlab_delete_branch')).toEqual([]);
        const mode = url === half.url ? 'delete_branch is not allowed: gitlab.confirm is deny' : READ_ONLY('delete_branch');
        expect(textOf(await client.call('x_gitlab_delete_branch', { instance: 'corp', project_id: '1', branch: 'b' }))).toBe(mode);
        const listed = all.filter(({ name }) => name === 'x_gitlab_create_issue');
        expect(listed).toMatchObject(url === half.url ? [{ inputSchema: { properties: { instance: { enum: ['corp'] } } } }] : []);
      }
      expect(com.log.of({ method: 'POST' })).toEqual([]);
    }
  });
});

describe('the policy of the gateway', () => {
  const TOKENS = { staff: `staff-${'s'.repeat(32)}`, guest: `guest-${'g'.repeat(32)}` };
  const auth = {
    modes: ['static'],
    static: Object.entries(TOKENS).map(([tenant, token]) => ({ name: tenant, token, tenant, scopes: ['turnpike:read', 'turnpike:write'] })),
  };

  it('comes first: who may not use the upstream hears of no tool of it', async () => {
    const upstream = { family: undefined, tenants: ['staff'], tools: { deny: ['create_branch'] } };
    await using gitlab = await GitLabRig.start({ com: { readOnly: true } }, { auth }, {}, upstream);
    for (const [, client] of await clients(gitlab.url, TOKENS.guest)) {
      expect(await items(client, 'tools/list', 'tools')).toEqual([]);
      for (const tool of ['whoami', ...REFUSED_BY_MODE])
        expect((await client.call(`x_com_${tool}`)).error).toEqual({ code: -32602, message: `tool not found: x_com_${tool}` });
    }
    for (const [, client] of await clients(gitlab.url, TOKENS.staff)) {
      expect(textOf(await client.call('x_com_create_issue'))).toBe(READ_ONLY('create_issue'));
      expect((await client.call('x_com_create_branch')).error?.message).toBe('tool not found: x_com_create_branch');
      expect(textOf(await client.call('x_com_delete_branch'))).toBe(
        "tool 'delete_branch' is blocked as it is destructive. Use --yolo flag to allow destructive operations",
      );
    }
    // Records wait a moment for each other.
    const [record] = await until(
      async () => (await gitlab.rig.audit()).filter(({ tool, decision }) => tool === 'x_com_create_issue' && decision !== 'catalog/tool'),
      (records) => records.length > 0,
      5_000,
    );
    expect(record).toMatchObject({
      upstream: 'com',
      original: 'create_issue',
      decision: 'gitlab.readOnly',
      outcome: 'refused',
      code: 'policy/denied',
    });
  });
});

describe('the standalone server', () => {
  let rig: StandaloneRig;

  beforeAll(async () => {
    rig = await StandaloneRig.make();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  it('hides and refuses in both eras', async () => {
    const { url } = await rig.start({
      ENABLE_DYNAMIC_API_URL: 'false',
      GITLAB_API_URL: rig.com.url,
      GITLAB_READ_ONLY_MODE: 'true',
      GITLAB_TOOLSETS: BLOCK.toolsets.join(','),
      GITLAB_TOOLS: BLOCK.tools.join(','),
      GITLAB_DENIED_TOOLS_REGEX: BLOCK.deniedTools,
    });
    const token = rig.com.person('alice').token.value;
    for (const [, client] of await clients(url, token)) await expectHidden(client, rig.com, '', 'gitlab');
  });
});
