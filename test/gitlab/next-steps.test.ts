import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileSchema } from '../../src/builtin/server/schema.ts';
import type { JsonObject } from '../../src/core/mcp.ts';
import { fillSample, type Sample, sampleIssue } from '../fixtures/gitlab/sample.ts';
import { type Answered, ModernClient, textOf } from '../security/kit/clients.ts';
import { GitLabRig } from './rig.ts';

/** A model goes on by what a result names: through a gateway, too, where tools have other names and families one more argument. */

interface Step {
  readonly tool: string;
  readonly arguments: JsonObject;
}

const stepsOf = ({ result }: Answered): readonly Step[] => ((result.structuredContent as JsonObject | undefined)?.next_steps ?? []) as Step[];
const itemOf = ({ result }: Answered) => (result.structuredContent as { readonly item: JsonObject }).item;

describe('next steps through a gateway', () => {
  let gitlab: GitLabRig;
  let sample: Sample;
  let client: ModernClient;
  let schemas: ReadonlyMap<string, JsonObject>;

  beforeAll(async () => {
    const block = { confirm: 'allow', toolsets: ['all'], maxResultBytes: 20_000 };
    gitlab = await GitLabRig.start({ com: block, corp: block }, { policy: { annotations: 'ignore' } });
    sample = fillSample(gitlab.com);
    for (let n = 0; n < 3; n++) sampleIssue(gitlab.com, sample.project, sample.owner.user, `n ${n}`);
    sample.pipeline.jobs[1]!.trace = { lines: 5_000, line: (n) => `line ${n}` };
    client = new ModernClient(gitlab.url, sample.maintainer.token.value);
    const { result } = await client.send('tools/list');
    schemas = new Map((result.tools as JsonObject[]).map(({ name, inputSchema }) => [String(name), inputSchema as JsonObject]));
  });
  afterAll(() => gitlab[Symbol.asyncDispose]());

  const call = (tool: string, args: JsonObject) => client.call(`x_gitlab_${tool}`, { instance: 'com', ...args });
  const p = { project_id: 'team/app' };
  const m = { ...p, merge_request_iid: 1 };

  it.each<[tool: string, args: JsonObject, steps: readonly string[]]>([
    ['list_groups', {}, ['list_group_projects']],
    ['list_group_projects', { group_id: 'team' }, ['get_project']],
    ['list_projects', { per_page: 1 }, ['list_projects', 'get_project']],
    ['get_project', p, ['get_repository_tree', 'list_merge_requests']],
    ['get_repository_tree', { ...p, per_page: 2 }, ['get_repository_tree', 'get_repository_tree']],
    ['get_repository_tree', { ...p, path: 'src' }, ['get_file_contents']],
    ['get_file_contents', { ...p, file_path: 'README.md', max_bytes: 8 }, ['get_file_contents']],
    ['list_commits', { ...p, per_page: 1 }, ['list_commits', 'get_commit_diff']],
    ['get_commit', { ...p, sha: 'main' }, ['get_commit_diff']],
    ['list_issues', { ...p, per_page: 2, labels: ['bug'], state: 'opened' }, ['get_issue']],
    ['list_issues', { ...p, per_page: 2, scope: 'all' }, ['list_issues', 'get_issue']],
    ['get_issue', { ...p, issue_iid: 1 }, ['list_issue_discussions']],
    ['list_merge_requests', { scope: 'all' }, ['get_merge_request']],
    ['get_merge_request', { ...p, source_branch: 'feature' }, ['list_merge_request_diffs', 'mr_discussions', 'merge_merge_request']],
    ['list_merge_request_diffs', { ...m, per_page: 1 }, ['list_merge_request_diffs', 'mr_discussions']],
    ['list_pipelines', p, ['list_pipeline_jobs']],
    ['list_pipeline_jobs', { ...p, pipeline_id: 'PIPELINE' }, ['get_pipeline_job_output']],
    ['get_pipeline_job', { ...p, job_id: 'JOB' }, ['get_pipeline_job_output']],
    ['get_pipeline_job_output', { ...p, job_id: 'JOB' }, ['get_pipeline_job_output']],
    ['wait_for_job', { ...p, job_id: 'JOB' }, ['get_pipeline_job_output']],
    ['list_wiki_pages', p, ['get_wiki_page']],
    ['search', { ...p, scope: 'blobs', search: 'add', per_page: 1 }, ['search', 'get_file_contents']],
  ])('of %s %j can be taken as they are written', async (tool, args, steps) => {
    const ids: JsonObject = { PIPELINE: sample.pipeline.id, JOB: sample.pipeline.jobs[1]!.id };
    const given = Object.fromEntries(Object.entries(args).map(([name, value]) => [name, ids[String(value)] ?? value]));
    const answer = await call(tool, given);
    expect(answer.result.isError, answer.text).toBeFalsy();
    const found = stepsOf(answer);
    expect(found.map((step) => step.tool)).toEqual(steps.map((name) => `x_gitlab_${name}`));
    for (const step of found) {
      expect(compileSchema(schemas.get(step.tool) ?? {})(step.arguments)).toEqual([]);
      expect(textOf(answer)).toContain(`Next: ${step.tool} ${JSON.stringify(step.arguments)}`);
      if (step.tool.endsWith('merge_merge_request')) continue;
      const next = await client.call(step.tool, step.arguments);
      expect(next.result.isError, `${JSON.stringify(step)}: ${next.text}`).toBeFalsy();
    }
  });

  it('name the call that shows what was cut', async () => {
    const log = await call('get_pipeline_job_output', { ...p, job_id: sample.pipeline.jobs[1]!.id, offset: 0, limit: 2000 });
    const { truncated } = log.result.structuredContent as { readonly truncated: JsonObject };
    const [, tool = '', args = ''] = /^call (\S+) with (\{.*\})$/.exec(String(truncated.go_on)) ?? [];
    const next = await client.call(tool, JSON.parse(args) as JsonObject);
    expect(String(itemOf(next).content).split('\n')[0]).toBe(`line ${String(itemOf(log).lines)}`);
    gitlab.com.world.projects
      .find(({ id }) => id === sample.project.id)
      ?.issues.forEach((issue) => {
        issue.title = 'x'.repeat(4_000);
      });
    const list = await call('list_issues', p);
    expect((list.result.structuredContent as JsonObject).truncated).toMatchObject({
      go_on: 'call x_gitlab_list_issues again with the same arguments and cursor = next_cursor',
    });
  });
});

it('no step names what the policy of the gateway refuses (acceptance 24)', async () => {
  await using gitlab = await GitLabRig.start(
    { com: { confirm: 'allow' } },
    { policy: { annotations: 'ignore', denylist: { extra: ['mr_discussions'] } } },
  );
  const { maintainer } = fillSample(gitlab.com);
  const client = new ModernClient(gitlab.url, maintainer.token.value);
  expect(await client.toolNames()).not.toContain('x_gitlab_mr_discussions');
  const answer = await client.call('x_gitlab_get_merge_request', { instance: 'com', project_id: 'team/app', merge_request_iid: 1 });
  expect(stepsOf(answer).map(({ tool }) => tool)).toEqual(['x_gitlab_list_merge_request_diffs', 'x_gitlab_merge_merge_request']);
  expect(answer.text).not.toContain('mr_discussions');
});

it('no step leads to a destructive tool that the gateway refuses', async () => {
  await using gitlab = await GitLabRig.start({ com: { confirm: 'allow' } });
  const { maintainer } = fillSample(gitlab.com);
  const client = new ModernClient(gitlab.url, maintainer.token.value);
  const answer = await client.call('x_gitlab_get_merge_request', { instance: 'com', project_id: 'team/app', merge_request_iid: 1 });
  expect(stepsOf(answer).map(({ tool }) => tool)).toEqual(['x_gitlab_list_merge_request_diffs', 'x_gitlab_mr_discussions']);
});

it('no step leads to a call for which the caller has no scope', async () => {
  const token = 'sk-ours-0123456789-with-everything';
  const auth = { modes: ['static'], static: [{ name: 'ann', token, scopes: ['turnpike:read'] }] };
  await using gitlab = await GitLabRig.start({ com: { confirm: 'allow' } }, { auth, policy: { annotations: 'ignore' } });
  const { maintainer } = fillSample(gitlab.com);
  const client = new ModernClient(gitlab.url, token);
  const args = { instance: 'com', project_id: 'team/app', merge_request_iid: 1 };
  const answer = await client.call('x_gitlab_get_merge_request', args, { headers: { 'private-token': maintainer.token.value } });
  expect(stepsOf(answer).map(({ tool }) => tool)).toEqual(['x_gitlab_list_merge_request_diffs', 'x_gitlab_mr_discussions']);
});

it('no step leads out of the toolset that the request narrows itself to', async () => {
  await using gitlab = await GitLabRig.start({ com: { confirm: 'allow' } });
  const { maintainer } = fillSample(gitlab.com);
  const client = new ModernClient(gitlab.url, maintainer.token.value);
  const args = { instance: 'com', project_id: 'team/app', merge_request_iid: 1 };
  const headers = { 'x-turnpike-toolset': 'tool:x_gitlab_get_merge_request,tool:x_gitlab_mr_discussions' };
  const answer = await client.call('x_gitlab_get_merge_request', args, { headers });
  expect(stepsOf(answer).map(({ tool }) => tool)).toEqual(['x_gitlab_mr_discussions']);
});
