import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../core/mcp.ts';
import { type Came, NOTHING_LEFT, SampleTasks, TASKS, turn, WORD } from './sample-tasks.ts';

const accept = (word: unknown): JsonObject => ({ action: 'accept', content: { word } });
const asked = ({ result }: Came) => Object.entries(result.inputRequests as Record<string, JsonObject>);
const answer = (sample: SampleTasks, taskId: string, inputResponses: unknown) => sample.request('tasks/update', { taskId, inputResponses });

describe('questions of a hosted task', () => {
  it('are its input requests, labelled, and are answered one by one', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const both = [sample.job.askWord('first'), sample.job.askWord()];
    const shown = await sample.get(taskId);
    const message = 'Server “a” asks: Which word?';
    expect(shown.result).toMatchObject({ status: 'input_required', taskId });
    expect(asked(shown)).toEqual([
      ['first', { method: 'elicitation/create', params: { message, requestedSchema: WORD } }],
      ['r1-1', { method: 'elicitation/create', params: { message, requestedSchema: WORD } }],
    ]);
    expect((await answer(sample, taskId, { first: accept('a'), nobody: {} })).result).toMatchObject({ resultType: 'complete' });
    const left = await sample.get(taskId);
    expect(left.result.status).toBe('input_required');
    expect(asked(left).map(([key]) => key)).toEqual(['r1-1']);
    await answer(sample, taskId, { 'r1-1': accept('b') });
    await Promise.all(both);
    expect(sample.job.heard).toEqual([accept('a'), accept('b')]);
    // The upstream has not moved yet, and there is nothing to ask any more.
    const after = sample.get(taskId);
    await turn();
    sample.clock.advance(1_000);
    expect((await after).result).toMatchObject({ status: 'working' });
    expect((await after).result).not.toHaveProperty('inputRequests');
  });

  it('have the asker unnamed under passthrough, and no id of theirs', async () => {
    const sample = new SampleTasks();
    const { settings } = sample.services;
    const a = settings.upstreams.get('a');
    if (a === undefined) throw new Error('no upstream');
    const services = { ...sample.services, settings: { ...settings, upstreams: new Map([['a', { ...a, naming: 'passthrough' as const }]]) } };
    Object.assign(sample, { services });
    const capabilities = { ...TASKS, elicitation: { url: {} } };
    const taskId = await sample.created({ capabilities });
    void sample.job.ask('elicitation/create', { mode: 'url', message: 'Open', url: 'https://x.example', elicitationId: 'e1' });
    expect(asked(await sample.get(taskId, { capabilities }))).toEqual([
      ['r1-1', { method: 'elicitation/create', params: { mode: 'url', message: 'Open', url: 'https://x.example' } }],
    ]);
  });

  it('that have no fitting answer wait on', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    void sample.job.askWord('w');
    await sample.get(taskId);
    for (const wrong of [accept(7), { action: 'accept' }, { action: 'odd' }]) {
      expect((await answer(sample, taskId, { w: wrong })).result.resultType).toBe('complete');
      expect(asked(await sample.get(taskId)).map(([key]) => key)).toEqual(['w']);
    }
    expect(sample.job.heard).toEqual([]);
    for (const wrong of [undefined, null, 7, [], { w: 7 }, { w: null }]) {
      expect(await answer(sample, taskId, wrong)).toMatchObject({ code: 'request/params' });
    }
  });

  it('cannot be answered for a task that the upstream has forgotten', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.jobs.length = 0;
    expect(await answer(sample, taskId, {})).toMatchObject({ code: 'task/unknown' });
  });

  it('that were not shown are not answered', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    void sample.job.askWord('w');
    await answer(sample, taskId, { w: accept('guessed') });
    expect(sample.job.heard).toEqual([]);
  });

  it('are judged as all others: no secrets, no kinds that the client lacks, no broken forms', async () => {
    const sample = new SampleTasks();
    await sample.created();
    const password = { type: 'object', properties: { password: { type: 'string', title: 'Password' } } };
    await sample.job.ask('elicitation/create', { message: 'Your password?', requestedSchema: password });
    await sample.job.ask('sampling/createMessage', { messages: [], maxTokens: 1 });
    await sample.job.ask('roots/list', {});
    await sample.job.ask('elicitation/create', { message: 'x', requestedSchema: { type: 'object', properties: { a: { type: 'object' } } } });
    await sample.job.ask('odd/method', {});
    expect(sample.job.heard).toMatchObject([{ action: 'decline' }, { code: -32601 }, { code: -32601 }, { code: -32602 }, { code: -32601 }]);
    expect(sample.audited.map(({ decision }) => decision)).toEqual(expect.arrayContaining(['bridge/secret-form', 'bridge/form-schema']));
  });

  it('of a client that looks before they come are waited for a moment', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.job.status = 'input_required';
    const early = sample.get(taskId);
    await turn();
    expect(sample.connection.of('tasks/result')).toHaveLength(1);
    void sample.job.askWord('w');
    sample.clock.advance(25);
    expect(asked(await early).map(([key]) => key)).toEqual(['w']);
  });

  it('end with the task: by its end, by a cancel, at its time', async () => {
    for (const end of [
      async (sample: SampleTasks, taskId: string) => {
        sample.job.end();
        await sample.get(taskId);
      },
      (sample: SampleTasks, taskId: string) => sample.request('tasks/cancel', { taskId }),
      async (sample: SampleTasks) => sample.clock.advance(3_600_000),
    ]) {
      const sample = new SampleTasks();
      const taskId = await sample.created();
      const waiting = sample.job.askWord('w');
      await sample.get(taskId);
      await end(sample, taskId);
      await waiting;
      expect(sample.job.heard).toEqual([{ action: 'cancel' }]);
      expect(await sample.left()).toEqual(NOTHING_LEFT);
      // The store's own sweep.
      expect(sample.clock.pending).toBeLessThanOrEqual(1);
    }
  });

  it('that the upstream takes back are gone', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const withdrawn = new AbortController();
    void sample.job.askWord('w', 'Which?', withdrawn.signal);
    await sample.get(taskId);
    withdrawn.abort();
    sample.job.status = 'working';
    expect((await sample.get(taskId)).result).not.toHaveProperty('inputRequests');
  });
});
