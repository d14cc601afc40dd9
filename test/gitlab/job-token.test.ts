import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { setJob } from '../fixtures/gitlab/model/ci.ts';
import type { Job } from '../fixtures/gitlab/model/records.ts';
import { fillSample, type Sample } from '../fixtures/gitlab/sample.ts';
import { ModernClient } from '../security/kit/clients.ts';
import { send } from '../security/kit/http.ts';
import { GitLabRig } from './rig.ts';

/** CI/CD jobs as callers: the token that a runner has goes to GitLab as it came, and opens what GitLab opens to jobs. */

let gitlab: GitLabRig;
let sample: Sample;
let running: Job;
let token: string;
const audited: JsonObject[] = [];

beforeAll(async () => {
  const auditStream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n')) if (line !== '') audited.push(JSON.parse(line) as JsonObject);
      done();
    },
  });
  gitlab = await GitLabRig.start(
    { com: { toolsets: ['all'] }, corp: { toolsets: ['all'] } },
    { telemetry: { audit: { file: '-' } } },
    { auditStream },
  );
  sample = fillSample(gitlab.com);
  [token, running] = jobToken(1);
});
afterAll(() => gitlab[Symbol.asyncDispose]());

/** The token of a job of the pipeline, which runs from now on. */
function jobToken(index: number): [token: string, job: Job] {
  const job = sample.pipeline.jobs[index] as Job;
  setJob(gitlab.com.world, job, 'running');
  const { value } = gitlab.com.world.addToken(sample.developer.user, { kind: 'job', name: `job-${index}`, jobId: job.id });
  return [value, job];
}

const p = { project_id: 'team/app' };
const call = (tool: string, args: JsonObject = {}, value = token) =>
  new ModernClient(gitlab.url).call(`x_gitlab_${tool}`, { instance: 'com', ...args }, { headers: { 'job-token': value } });

describe('a job token', () => {
  it('is told which job it is, and that GitLab answers', async () => {
    const { result, text } = await call('whoami');
    const pipeline = { id: sample.pipeline.id, project_id: sample.project.id, ref: 'main' };
    expect(result.structuredContent, text).toMatchObject({ item: { username: 'dora', job: { id: running.id, name: running.name, pipeline } } });
    expect((await call('health_check')).result.structuredContent).toMatchObject({ item: { status: 'ok', api_url: gitlab.com.apiUrl } });
    expect(gitlab.com.log.of({ path: '/user' })).toEqual([]);
  });

  it.each<[tool: string, args: JsonObject]>([
    ['list_releases', p],
    ['get_release', { ...p, tag_name: 'v1.0.0' }],
    ['list_environments', p],
    ['list_deployments', p],
  ])('opens %s', async (tool, args) => {
    const { result, text } = await call(tool, args);
    expect(result.isError, text).toBeFalsy();
  });

  it('opens artifacts', async () => {
    const args = { ...p, job_id: sample.pipeline.jobs[0]?.id, artifact_path: 'out/app.txt' };
    expect((await call('get_job_artifact_file', args)).result.structuredContent).toMatchObject({ item: { content: 'built' } });
  });

  it('does not open the rest: the model is told why, and the job goes on', async () => {
    for (const [tool, args] of [
      ['get_project', p],
      ['list_issues', p],
      ['create_issue', { ...p, title: 't' }],
    ] as const) {
      const { result } = await call(tool, args);
      expect(result).toMatchObject({ isError: true, structuredContent: { error: { status: 401, hint: expect.stringContaining('CI/CD job') } } });
    }
    expect((await call('whoami')).result.isError).toBeFalsy();
  });

  it('goes to GitLab under its own header, and nowhere else', () => {
    const { entries } = gitlab.com.log;
    expect(entries.length).toBeGreaterThan(5);
    expect(entries.filter(({ header, token: name }) => header !== 'job-token' || name !== 'job-1')).toEqual([]);
    expect(gitlab.corp.log.entries).toEqual([]);
  });

  it('is the principal of its job, in records as for sessions', async () => {
    const principal = `job:${sample.project.id}:${running.id}`;
    expect(audited.map(({ principal: who }) => JSON.stringify(who)).filter((who) => !who?.includes(principal))).toEqual([]);
    expect(audited.length).toBeGreaterThan(5);
    const [other] = jobToken(2);
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    const initialize = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
    const opened = await send(gitlab.url, 'POST', { ...headers, 'job-token': token }, initialize);
    const session = { ...headers, 'mcp-session-id': String(opened.headers['mcp-session-id']) };
    const list = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
    // The same user, another job.
    expect((await send(gitlab.url, 'POST', { ...session, 'job-token': other }, list)).status).toBe(404);
    expect((await send(gitlab.url, 'POST', { ...session, 'job-token': token }, list)).status).toBe(200);
  });

  it('ends with its job', async () => {
    const [short, job] = jobToken(0);
    expect((await call('whoami', {}, short)).result.isError).toBeFalsy();
    setJob(gitlab.com.world, job, 'success');
    await call('whoami', {}, short);
    const { status, headers } = await call('whoami', {}, short);
    expect([status, headers['www-authenticate']]).toEqual([401, expect.stringContaining('invalid_token')]);
    expect((await call('whoami')).result.isError).toBeFalsy();
  });
});
