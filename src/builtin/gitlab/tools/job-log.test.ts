import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/mcp.ts';
import type { ToolOutcome } from '../../server/server.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import { bench } from './sample-api.ts';

const TRACE = 'GET /projects/1/jobs/8/trace';
const job = { project_id: 1, job_id: 8 };
const item = ({ structuredContent }: ToolOutcome) => structuredContent?.item as JsonObject;
const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `line ${from + at}`);
const log = (count: number) => lines(0, count).join('\n');

describe('get_pipeline_job_output', () => {
  it('shows the last 200 lines by default, and how to see those before', async () => {
    const { run } = bench({ [TRACE]: log(1_000) });
    const outcome = await run('get_pipeline_job_output', job);
    expect(item(outcome)).toEqual({ job_id: 8, offset: 800, lines: 200, total_lines: 1_000, content: lines(800, 1_000).join('\n') });
    expect(outcome.structuredContent?.next_steps).toEqual([
      { tool: 'get_pipeline_job_output', arguments: { ...job, offset: 600 }, why: 'the lines before' },
    ]);
  });

  it.each([
    [{ offset: 0, limit: 3 }, 0, 3],
    [{ offset: 10, limit: 2 }, 10, 12],
    [{ offset: -5 }, 995, 1_000],
    [{ offset: -50, limit: 10 }, 950, 960],
    [{ offset: -5_000, limit: 10 }, 0, 10],
    [{ offset: 990, limit: 100 }, 990, 1_000],
    [{ offset: 0, limit: 9_999 }, 0, 1_000],
    [{ limit: 0 }, 999, 1_000],
  ])('%j shows lines %i to %i', async (window, from, to) => {
    const { run } = bench({ [TRACE]: log(1_000) });
    expect(item(await run('get_pipeline_job_output', { ...job, ...window }))).toMatchObject({ offset: from, content: lines(from, to).join('\n') });
  });

  it('shows at most 2,000 lines', async () => {
    const { run } = bench({ [TRACE]: log(2_500) });
    const outcome = await run('get_pipeline_job_output', { ...job, offset: 0, limit: 9_999 });
    expect(item(outcome)).toMatchObject({ lines: 2_000, content: lines(0, 2_000).join('\n') });
    expect(outcome.structuredContent?.next_steps).toMatchObject([{ arguments: { offset: 2_000 } }]);
  });

  it('is empty behind the end', async () => {
    const { run } = bench({ [TRACE]: log(10) });
    expect(item(await run('get_pipeline_job_output', { ...job, offset: 50 }))).toMatchObject({ lines: 0, total_lines: 10, content: '' });
  });

  it('goes on exactly where it stopped', async () => {
    const { run } = bench({ [TRACE]: log(450) });
    const seen: string[] = [];
    let args: JsonObject | undefined = { ...job, offset: 0 };
    for (let round = 0; round < 10 && args !== undefined; round++) {
      const outcome = await run('get_pipeline_job_output', args);
      seen.push(...String(item(outcome).content).split('\n'));
      const steps = outcome.structuredContent?.next_steps as readonly { arguments: JsonObject; why: string }[] | undefined;
      args = steps?.find(({ why }) => why === 'the next lines')?.arguments;
    }
    expect(seen).toEqual(lines(0, 450));
  });

  it('finds lines with a text, with their numbers', async () => {
    const { run } = bench({ [TRACE]: log(1_000) });
    const outcome = item(await run('get_pipeline_job_output', { ...job, grep: 'line 99' }));
    expect(outcome).toMatchObject({ total_matches: 11, lines: 11 });
    expect(String(outcome.content).split('\n')[0]).toBe('100: line 99');
  });

  it('gives nothing away about secrets to those who grep for them', async () => {
    const { run } = bench({ [TRACE]: 'a\nTOKEN=glpat-abcDEF1234567890abcd\nb' });
    const outcome = await run('get_pipeline_job_output', { ...job, grep: 'glpat-abc' });
    expect(item(outcome)).toMatchObject({ total_matches: 0, content: '' });
    expect(outcome.structuredContent).not.toHaveProperty('masked');
    expect(item(await run('get_pipeline_job_output', { ...job, grep: 'TOKEN' })).content).toBe('2: TOKEN=[MASKED]');
  });

  it('counts what is masked in shown lines only', async () => {
    const secret = 'glpat-abcDEF1234567890abcd';
    const { run } = bench({ [TRACE]: Array.from({ length: 500 }, () => secret).join('\n') });
    expect((await run('get_pipeline_job_output', { ...job, offset: 3, limit: 4 })).structuredContent?.masked).toBe(4);
    expect((await run('get_pipeline_job_output', { ...job, offset: -7, limit: 4 })).structuredContent?.masked).toBe(4);
  });

  it('takes sections, colours and hidden text out', async () => {
    const { run } = bench({ [TRACE]: '\u001b[0Ksection_start:1:x\r\u001b[0K\u001b[32;1mok\u001b[0m\u202e\r\n' });
    expect(item(await run('get_pipeline_job_output', job)).content).toBe('section_start:1:xok');
  });

  it('holds little of a log of 200,000 long lines', async () => {
    const chunk = Buffer.from(`${'x'.repeat(199)}\n`.repeat(200));
    const long = (async function* () {
      for (let at = 0; at < 1_000; at++) yield chunk;
    })();
    const { run } = bench({ [TRACE]: long });
    const outcome = await run('get_pipeline_job_output', { ...job, offset: -150_000, limit: 5 });
    expect(item(outcome)).toMatchObject({ total_lines: 200_000, note: expect.stringContaining('did not fit') });
    expect(Number(item(outcome).offset)).toBeGreaterThan(180_000);
  });

  it('stops reading once it has what was asked for', async () => {
    let given = 0;
    const endless = (async function* () {
      for (;;) {
        given++;
        yield Buffer.from('line\n'.repeat(100));
      }
    })();
    const { run } = bench({ [TRACE]: endless });
    const outcome = await run('get_pipeline_job_output', { ...job, offset: 0, limit: 150 });
    expect(given).toBeLessThan(5);
    expect(item(outcome)).not.toHaveProperty('total_lines');
  });

  it('says that the end of a very long log is out of reach', async () => {
    const large = (async function* () {
      yield Buffer.from('one\ntwo\n');
      throw new GitLabError('response_too_large', 'more than 50 MiB');
    })();
    const { run } = bench({ [TRACE]: large });
    expect(item(await run('get_pipeline_job_output', job))).toMatchObject({
      content: 'one\ntwo',
      note: expect.stringContaining('its end is not shown'),
    });
  });
});
