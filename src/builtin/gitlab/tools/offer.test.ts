import { describe, expect, it } from 'vitest';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import { BuiltinServer } from '../../server/builtin-server.ts';
import { gitlabOffer } from './offer.ts';
import { bench, openSealing } from './sample-api.ts';
import { DEFAULT_SETTINGS, type GitLabSettings } from './settings.ts';

const API = 'https://git.example.com/api/v4';

/** The built-in server in front of the offer. */
function rig(replies: Parameters<typeof bench>[0] = {}, settings: Partial<GitLabSettings> = {}) {
  const { api, clock, context } = bench(replies);
  const offer = gitlabOffer({ settings: { ...DEFAULT_SETTINGS, ...settings }, sealing: openSealing, clock, version: '1.2.3', apiUrl: API });
  const failures: unknown[] = [];
  const server = new BuiltinServer(offer, { clock, checkOutputs: true, onFailure: (_what, error) => void failures.push(error) });
  const elicitation = { elicitation: {} };
  async function ask(method: string, params: JsonObject = {}, capabilities: JsonObject = elicitation): Promise<JsonObject> {
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': capabilities };
    const answer = await server.answer({
      ...{ method, params: { ...params, _meta }, signal: new AbortController().signal, notify: () => {} },
      context: () => ({ context, release: () => {} }),
    });
    return JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString()) as JsonObject;
  }
  const call = (name: string, args: JsonObject = {}, more: JsonObject = {}) => ask('tools/call', { name, arguments: args, ...more });
  return { api, ask, call, failures };
}

describe('the offer behind the built-in server', () => {
  it('lists tools, resources, templates and prompts', async () => {
    const { ask } = rig();
    expect(((await ask('tools/list')).tools as JsonObject[]).length).toBe(62);
    expect((await ask('resources/list')).resources).toMatchObject([{ uri: 'gitlab://git.example.com/user' }]);
    expect(((await ask('resources/templates/list')).resourceTemplates as JsonObject[]).length).toBe(10);
    expect(((await ask('prompts/list')).prompts as JsonObject[]).length).toBe(5);
  });

  it('answers calls, reads, prompts and completions', async () => {
    const { ask, call, failures } = rig({
      'GET /user': { username: 'ann' },
      'GET /projects/7': { name: 'app' },
      'GET /projects/7/issues/5': { title: 'It broke' },
      'GET /projects/7/issues/5/discussions': [],
      'GET /projects': [{ path_with_namespace: 'group/app' }],
    });
    expect(await call('whoami')).toMatchObject({ structuredContent: { item: { username: 'ann' } } });
    expect(await ask('resources/read', { uri: 'gitlab://git.example.com/project/7' })).toMatchObject({
      contents: [{ text: expect.stringContaining('app') }],
    });
    const prompt = await ask('prompts/get', { name: 'summarize_issue', arguments: { project_id: '7', issue_iid: '5' } });
    expect(JSON.stringify(prompt.messages)).toContain('It broke');
    const argument = { name: 'project_id', value: 'gr' };
    expect(await ask('completion/complete', { ref: { type: 'ref/prompt', name: 'summarize_issue' }, argument })).toMatchObject({
      completion: { values: ['group/app'] },
    });
    expect(failures).toEqual([]);
  });

  it.each([
    ['project_id', 'GET /projects', { path_with_namespace: 'found' }],
    ['group_id', 'GET /groups', { full_path: 'found' }],
    ['ref', 'GET /projects/7/repository/branches', { name: 'found' }],
    ['tag_name', 'GET /projects/7/repository/tags', { name: 'found' }],
    ['label', 'GET /projects/7/labels', { name: 'found' }],
    ['milestone', 'GET /projects/7/milestones', { title: 'found' }],
    ['username', 'GET /users', { username: 'found' }],
    ['issue_iid', 'GET /projects/7/issues', { iid: 'found' }],
    ['merge_request_iid', 'GET /projects/7/merge_requests', { iid: 'found' }],
    ['pipeline_id', 'GET /projects/7/pipelines', { id: 'found' }],
    ['job_id', 'GET /projects/7/pipelines/3/jobs', { id: 'found' }],
  ])('completes %s', async (name, key, item) => {
    const { ask } = rig({ [key]: [item] });
    const ref = { type: 'ref/prompt', name: 'explain_ci_config' };
    const context = { arguments: { project_id: '7', ...(name === 'job_id' && { pipeline_id: '3' }) } };
    expect(await ask('completion/complete', { ref, argument: { name, value: 'f' }, context })).toMatchObject({ completion: { values: ['found'] } });
  });

  it('refuses arguments that no schema knows', async () => {
    const { api, call } = rig();
    expect(await call('get_issue', { project_id: 1, issue_iid: 5, force: true })).toMatchObject({ isError: true });
    expect(await call('merge_merge_request', { project_id: 1, merge_request_iid: 2 })).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining('sha') }],
    });
    expect(api.sent).toEqual([]);
  });

  it('says why tools are not offered', async () => {
    const { call } = rig({}, { readOnly: true, toolsets: ['issues'] });
    expect(await call('create_issue', { project_id: 1, title: 't' })).toMatchObject({
      isError: true,
      content: [{ text: 'create_issue is not allowed in read-only mode' }],
    });
    expect(await call('list_wiki_pages', { project_id: 1 })).toMatchObject({ code: -32602 });
    expect(await call('no_such_tool')).toMatchObject({ code: -32602 });
  });

  it('asks the human in rounds, and does it once', async () => {
    const { api, call } = rig({ 'DELETE /projects/1/repository/branches/old': undefined });
    const args = { project_id: 1, branch: 'old' };
    const asked = await call('delete_branch', args);
    expect(asked).toMatchObject({ resultType: 'input_required' });
    expect(api.sent).toEqual([]);
    const [key = ''] = Object.keys(isJsonObject(asked.inputRequests) ? asked.inputRequests : {});
    const answered = (action: string, branch = 'old') =>
      call(
        'delete_branch',
        { ...args, branch },
        { requestState: asked.requestState, inputResponses: { [key]: { action, content: { confirm: true } } } },
      );
    expect(await answered('decline')).toMatchObject({ isError: true });
    // What was confirmed is this branch and no other.
    expect(await answered('accept', 'main')).not.toHaveProperty('structuredContent');
    expect(api.sent).toEqual([]);
    expect(await answered('accept')).toMatchObject({ structuredContent: { item: { done: true } } });
    expect(api.sent.map(({ method }) => method)).toEqual(['DELETE']);
  });

  it('refuses without a human, naming the setting', async () => {
    const { ask, api } = rig();
    const answer = await ask('tools/call', { name: 'delete_branch', arguments: { project_id: 1, branch: 'old' } }, {});
    expect(JSON.stringify(answer)).toContain('gitlab.confirm');
    expect(api.sent).toEqual([]);
  });

  it('tells what GitLab refused as a result', async () => {
    expect(await rig().call('get_issue', { project_id: 1, issue_iid: 5 })).toMatchObject({
      isError: true,
      structuredContent: { error: { status: 404 } },
    });
  });
});
