import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/mcp.ts';
import type { ApiRequest, GitLabApi } from '../client/api.ts';
import { ALL_TOOLS } from './all-tools.ts';
import { bench } from './sample-api.ts';

/** Arguments that any tool takes something of. */
const ARGS: JsonObject = {
  ...{
    project_id: 1,
    group_id: 1,
    issue_iid: 1,
    merge_request_iid: 1,
    pipeline_id: 1,
    job_id: 1,
    id: 1,
    sha: 's',
    branch: 'b',
    tag_name: 't',
    key: 'k',
  },
  ...{ slug: 's', file_path: 'f', artifact_path: 'a', discussion_id: 'd', query: '{ a }', file: 'f', line: 1, scope: 'issues', search: 'x' },
};

/** A GitLab that never answers, and says what it was asked. */
function silent() {
  const asked: string[] = [];
  const wait = (request: ApiRequest): Promise<never> => {
    asked.push(`${request.method ?? 'GET'} ${request.path}`);
    return new Promise((_, reject) => {
      if (request.signal.aborted) reject(request.signal.reason);
      request.signal.addEventListener('abort', () => reject(request.signal.reason), { once: true });
    });
  };
  const items: GitLabApi['page'] = (request) => ({ [Symbol.asyncIterator]: () => ({ next: () => wait(request) }) });
  const api: GitLabApi = {
    apiUrl: 'https://git.example.com/api/v4',
    request: wait,
    list: wait,
    page: items,
    keyset: items,
    stream: wait,
    graphql: (_query, _variables, signal) => wait({ path: '/graphql', signal }),
  };
  return { api, asked };
}

describe('cancellation', () => {
  it.each(ALL_TOOLS.map(({ name }) => name))('ends %s at once, and nothing is sent afterwards', async (tool) => {
    for (const allowedProjects of [[], ['group/app']]) {
      const { api, asked } = silent();
      const { call, clock, context, runner } = bench({}, { tools: ['execute_graphql'], allowedProjects });
      const abort = new AbortController();
      const args = tool === 'create_issue_note' ? { ...ARGS, internal: undefined } : ARGS;
      const run = runner.run(tool, args, { ...call(undefined, abort.signal), context: { ...context, api } });
      const outcome = run.then(
        () => 'answered',
        (error: Error) => error.message,
      );
      await new Promise((resolve) => setImmediate(resolve));
      const before = asked.length;
      abort.abort(new Error('the client is gone'));
      // With a fence a few are refused before anything is asked.
      expect(await outcome).toMatch(/^the client is gone$|^Access denied/);
      await new Promise((resolve) => setImmediate(resolve));
      expect(asked).toHaveLength(before);
      expect(clock.pending).toBe(0);
    }
  });

  it.each([
    ['get_file_contents', 'GET /projects/1/repository/files/f/raw', { project_id: 1, file_path: 'f', end_line: 1 }],
    ['get_pipeline_job_output', 'GET /projects/1/jobs/8/trace', { project_id: 1, job_id: 8, offset: 0, limit: 1 }],
    ['get_job_artifact_file', 'GET /projects/1/jobs/8/artifacts/a', { project_id: 1, job_id: 8, artifact_path: 'a', max_bytes: 10 }],
  ])('%s leaves no stream open that it has enough of', async (tool, key, args) => {
    let isClosed = false;
    const stream = (async function* () {
      try {
        for (;;) yield Buffer.from('some lines\n'.repeat(1_000));
      } finally {
        isClosed = true;
      }
    })();
    const outcome = await bench({ [key]: stream }).run(tool, args);
    expect(outcome.isError).toBeUndefined();
    expect(isClosed).toBe(true);
  });

  it('closes the stream of a binary file', async () => {
    let isClosed = false;
    const stream = (async function* () {
      try {
        for (;;) yield Buffer.alloc(10_000);
      } finally {
        isClosed = true;
      }
    })();
    await bench({ 'GET /projects/1/repository/files/f/raw': stream }).run('get_file_contents', { project_id: 1, file_path: 'f' });
    expect(isClosed).toBe(true);
  });
});
