import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Timer } from '../../src/core/clock.ts';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import { fillSample, type Sample, sampleIssue } from '../fixtures/gitlab/sample.ts';
import type { Answer } from '../fixtures/gitlab/server/route.ts';
import { type Answered, ModernClient } from '../security/kit/clients.ts';
import { send } from '../security/kit/http.ts';
import { GitLabRig } from './rig.ts';

/** What GitLab refuses, loses, and what is too large, through the whole gateway (gitlab.md 5, behaviours 20, 23, 26 to 29). */

let gitlab: GitLabRig;
let sample: Sample;
let client: ModernClient;
let clock: WaitsClock;

/** Knows which waits began, so that time passes only once somebody waits for it. */
class WaitsClock extends ManualClock {
  readonly waits: number[] = [];

  override after(ms: number, fn: () => void): Timer {
    this.waits.push(ms);
    return super.after(ms, fn);
  }
}

const p = { project_id: 'team/app' };
const structured = ({ result }: Answered) => result.structuredContent as { readonly [name: string]: JsonObject | undefined };
const call = (tool: string, args: JsonObject = {}, instance = 'com') => client.call(`x_gitlab_${tool}`, { instance, ...args });

beforeAll(async () => {
  clock = new WaitsClock();
  const block = { toolsets: ['all'], tools: ['execute_graphql'] };
  gitlab = await GitLabRig.start({ com: block, corp: block }, { policy: { annotations: 'ignore' } }, { clock });
  sample = fillSample(gitlab.com);
  client = new ModernClient(gitlab.url, sample.developer.token.value);
  // From now on its credential is known.
  await call('whoami');
});
beforeEach(() => {
  gitlab.com.faults.clear();
  gitlab.com.log.clear();
  clock.waits.length = 0;
});
afterAll(() => gitlab[Symbol.asyncDispose]());

/** Resolves when so many waits began that are as long as wanted. */
const waiting = (isWanted: (ms: number) => boolean, count: number) =>
  expect.poll(() => clock.waits.filter(isWanted).length, { timeout: 20_000, interval: 5 }).toBe(count);

describe("GitLab's 429 (20)", () => {
  it('with Retry-After: 7 on a read is waited for once', async () => {
    gitlab.com.faults.add({ path: /\/issues\/1$/, fault: { kind: 'throttle', retryAfter: 7 } });
    const answer = call('get_issue', { ...p, issue_iid: 1 });
    await waiting((ms) => ms === 7_000, 1);
    expect(gitlab.com.log.running).toBe(0);
    clock.advance(6_999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(gitlab.com.log.entries).toHaveLength(1);
    clock.advance(1);
    expect(structured(await answer).item).toMatchObject({ iid: 1 });
    expect(gitlab.com.log.entries).toHaveLength(2);
  });

  it('on a write is told to the model', async () => {
    gitlab.com.faults.add({ method: 'POST', fault: { kind: 'throttle', retryAfter: 7 } });
    const answer = await call('create_issue', { ...p, title: 't' });
    expect(answer.result).toMatchObject({ isError: true, structuredContent: { error: { status: 429, retry_after_seconds: 7 } } });
    expect(gitlab.com.log.entries).toHaveLength(1);
  });

  it('whose reset is an hour away is not waited for', async () => {
    gitlab.com.faults.add({ path: /\/issues\/1$/, times: 9, fault: { kind: 'throttle', resetAt: Date.now() + 3_600_000 } });
    const answer = call('get_issue', { ...p, issue_iid: 1 });
    for (const tries of [1, 2]) {
      // Half a second, doubled, less a jitter, which alone is no whole number of milliseconds; an hour never.
      await waiting((ms) => ms <= 1_000 && !Number.isInteger(ms), tries);
      expect(gitlab.com.log.running).toBe(0);
      clock.advance(1_000);
    }
    expect((await answer).result).toMatchObject({ isError: true, structuredContent: { error: { status: 429 } } });
    expect(gitlab.com.log.entries).toHaveLength(3);
    expect(Math.max(...clock.waits)).toBeLessThan(3_600_000);
  });
});

describe('a write (23)', () => {
  it.each<[what: string, as: (answer: Answer) => Answer]>([
    ['odd fields', (answer) => ({ ...answer, body: { id: 'seven', iid: null, title: [1], __proto__: 3, more: { deep: [] } } })],
    ['a list', (answer) => ({ ...answer, body: [1, 2] })],
    ['nothing', (answer) => ({ ...answer, body: undefined })],
  ])('that GitLab answers with 201 and %s was done', async (_what, as) => {
    gitlab.com.faults.add({ method: 'POST', fault: { kind: 'rewrite', as } });
    const answer = await call('create_issue', { ...p, title: 't' });
    expect(answer.result.isError, answer.text).toBeFalsy();
    expect(isJsonObject(structured(answer).item)).toBe(true);
    expect(gitlab.com.log.entries).toHaveLength(1);
  });

  it('whose answer is broken was done, too', async () => {
    gitlab.com.faults.add({ method: 'POST', fault: { kind: 'broken-json' } });
    expect(structured(await call('create_issue', { ...p, title: 't' }))).toMatchObject({ item: { done: true } });
  });

  it('whose connection is reset after it was sent has an unknown outcome, and is not repeated', async () => {
    gitlab.com.faults.add({ method: 'POST', fault: { kind: 'reset', where: 'after' } });
    const answer = await call('create_issue', { ...p, title: 't' });
    expect(answer.result).toMatchObject({
      isError: true,
      structuredContent: { error: { code: 'outcome_unknown', message: 'outcome unknown; check before retrying' } },
    });
    expect(gitlab.com.log.of({ method: 'POST' })).toHaveLength(1);
  });
});

describe('what is too large (26)', () => {
  const line = Buffer.from(`${'x'.repeat(99)}\n`.repeat(1_000));

  it('is read through a window, in bounded memory, and the answer says how to go on', async () => {
    sample.project.repository.commit({
      ...{ branch: 'main', message: 'Large', author: { name: 'a', email: 'a@example.test' }, at: gitlab.com.world.now() },
      changes: [{ path: 'large.txt', content: { size: 300_000_000, chunk: line } }],
    });
    const job = sample.pipeline.jobs[1];
    if (job !== undefined) job.trace = { lines: 200_000, line: (n) => `line ${n} ${'y'.repeat(60)}` };
    const before = process.memoryUsage.rss();
    const file = structured(await call('get_file_contents', { ...p, file_path: 'large.txt' }));
    expect(file.truncated ?? file.next_steps).toBeDefined();
    expect(JSON.stringify(file)).toMatch(/get_file_contents.*start_line/);
    const behind = structured(await call('get_file_contents', { ...p, file_path: 'large.txt', start_line: 2_500_000 }));
    expect(behind.item).toMatchObject({ note: expect.stringContaining('longer than what may be read') });
    const log = structured(await call('get_pipeline_job_output', { ...p, job_id: job?.id, limit: 2_000 }));
    expect(log.item).toMatchObject({ total_lines: 200_000 });
    expect(log.truncated).toMatchObject({ go_on: expect.stringContaining('call x_gitlab_get_pipeline_job_output with {') });
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
  });

  it('is stopped when it unpacks to more than it may', async () => {
    const before = process.memoryUsage.rss();
    gitlab.com.faults.add({ path: /\/issues\/1$/, fault: { kind: 'bomb', bytes: 300_000_000 } });
    const { result } = await call('get_issue', { ...p, issue_iid: 1 });
    expect(result).toMatchObject({
      isError: true,
      structuredContent: { error: { code: 'response_too_large', hint: expect.stringContaining('Ask for less') } },
    });
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 1024 * 1024);
  });
});

describe('long lists (27)', () => {
  it('come by keyset, at most 100 at once, and go on with next_cursor', async () => {
    for (let n = 0; n < 249; n++) sampleIssue(gitlab.com, sample.project, sample.owner.user, `n ${n}`);
    const iids: unknown[] = [];
    const sizes: number[] = [];
    for (let cursor: unknown; cursor !== null && sizes.length < 9; ) {
      const answer = await call('list_issues', { ...p, state: 'all', per_page: 500, ...(cursor === undefined ? {} : { cursor }) });
      const { items, pagination } = answer.result.structuredContent as { readonly items: JsonObject[]; readonly pagination: JsonObject };
      iids.push(...items.map(({ iid }) => iid));
      sizes.push(items.length);
      cursor = pagination.next_cursor;
      expect(pagination.per_page).toBe(100);
    }
    const count = sample.project.issues.length;
    expect([iids.length, new Set(iids).size, sizes[0]]).toEqual([count, count, 100]);
    const queries = gitlab.com.log.entries.map(({ search }) => new URLSearchParams(search));
    expect(queries.every((query) => query.get('pagination') === 'keyset' && query.get('per_page') === '100')).toBe(true);
    expect(queries.filter((query) => query.has('page'))).toEqual([]);
  });

  it('do not follow a link to another host, nor one to itself', async () => {
    gitlab.com.faults.add({ path: /\/repository\/tree$/, fault: { kind: 'foreign-link', host: 'evil.test' } });
    const tree = { ...p, per_page: 2, recursive: true };
    expect(structured(await call('get_repository_tree', tree)).pagination).toMatchObject({ has_more: false, next_cursor: null });
    const toItself = (answer: Answer): Answer => ({
      ...answer,
      headers: {
        ...answer.headers,
        link: `<${gitlab.com.apiUrl}/projects/team%2Fapp/repository/tree?recursive=true&per_page=2&pagination=keyset>; rel="next"`,
      },
    });
    gitlab.com.faults.add({ path: /\/repository\/tree$/, fault: { kind: 'rewrite', as: toItself } });
    expect(structured(await call('get_repository_tree', tree)).pagination).toMatchObject({ has_more: false, next_cursor: null });
  });

  it.each<[what: string, change: (cursor: string) => [tool: string, args: JsonObject]]>([
    ['another tool', (cursor) => ['list_branches', { ...p, cursor }]],
    ['other arguments', (cursor) => ['list_issues', { ...p, per_page: 1, state: 'closed', cursor }]],
    ['nobody', () => ['list_issues', { ...p, per_page: 1, cursor: 'gl1.AAAA' }]],
    ['a bent one', (cursor) => ['list_issues', { ...p, per_page: 1, cursor: `${cursor.slice(0, -2)}AA` }]],
  ])('refuse a cursor of %s, without a question to GitLab', async (_what, change) => {
    const { pagination } = structured(await call('list_issues', { ...p, per_page: 1 }));
    gitlab.com.log.clear();
    const { result } = await call(...change(String(pagination?.next_cursor)));
    expect(result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('cursor is not a next_cursor of') }] });
    expect(gitlab.com.log.entries).toEqual([]);
  });

  it('refuse a cursor of another instance', async () => {
    const { pagination } = structured(await call('list_projects', { per_page: 1 }));
    const { token } = gitlab.corp.person('carol');
    const carol = new ModernClient(gitlab.url, token.value);
    const args = { instance: 'corp', per_page: 1, cursor: pagination?.next_cursor };
    const { result } = await carol.call('x_gitlab_list_projects', args, { headers: { 'x-gitlab-api-url': gitlab.corp.url } });
    expect(result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('cursor is not a next_cursor of') }] });
  });
});

it('GraphQL of a session on an instance under /gitlab goes below its root (28)', async () => {
  const { token } = gitlab.corp.person('dave');
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    authorization: `Bearer ${token.value}`,
  };
  const post = (message: JsonObject, more: Readonly<Record<string, string>>) =>
    send(gitlab.url, 'POST', { ...headers, ...more }, JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }));
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const opened = await post({ method: 'initialize', params }, { 'x-gitlab-api-url': gitlab.corp.url });
  const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) };
  await post({ method: 'notifications/initialized', id: undefined }, session);
  gitlab.corp.log.clear();
  const args = { instance: 'corp', query: '{ currentUser { username } }' };
  const answer = await post({ method: 'tools/call', params: { name: 'x_gitlab_execute_graphql', arguments: args } }, session);
  expect(answer.text).toContain('dave');
  expect(gitlab.corp.log.entries.map(({ path }) => path)).toEqual(['graphql']);
  expect(gitlab.corp.apiUrl).toContain('/gitlab/api/v4');
  expect(gitlab.com.log.entries).toEqual([]);
});

it('a fence lets pass an id and both spellings, and filters lists across projects (29)', async () => {
  await using fenced = await GitLabRig.start({ com: { allowedProjects: ['team/app'], toolsets: ['all'] }, corp: { toolsets: ['all'] } });
  const { owner, project, group } = fillSample(fenced.com);
  const other = fenced.com.world.addProject(group, 'other', { creator: owner.user });
  sampleIssue(fenced.com, other, owner.user, 'elsewhere');
  const olivia = new ModernClient(fenced.url, owner.token.value);
  const ask = (tool: string, args: JsonObject) => olivia.call(`x_gitlab_${tool}`, { instance: 'com', ...args });
  for (const project_id of [project.id, String(project.id), 'team/app', 'team%2Fapp']) {
    const answer = await ask('get_project', { project_id });
    expect(answer.result.isError, answer.text).toBeFalsy();
  }
  for (const project_id of [other.id, 'team/other', 'team%2fother', 'nobody/knows']) {
    const { result } = await ask('list_issues', { project_id });
    const text = `Access denied: project ${project_id} is not in the allowed project list`;
    expect(result).toMatchObject({ isError: true, content: [{ text }] });
  }
  for (const [tool, args] of [
    ['list_merge_requests', { scope: 'all' }],
    ['list_issues', { scope: 'all' }],
    ['list_issues', { group_id: 'team' }],
    ['search', { scope: 'issues', search: 'e' }],
  ] as const) {
    const { items } = (await ask(tool, args)).result.structuredContent as { readonly items: JsonObject[] };
    expect(items.map(({ project_id }) => project_id).filter((id) => id !== project.id)).toEqual([]);
    expect(items.length, tool).toBeGreaterThan(0);
  }
});
