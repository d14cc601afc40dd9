import { describe, expect, it } from 'vitest';
import { sampleSet } from '../../catalog/sample-source.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { ALICE, errorOf, resultOf } from '../sample-services.ts';
import { NOTHING_LEFT, SampleTasks, TASKS, turn } from './sample-tasks.ts';

const MISSING = { requiredCapabilities: TASKS };
const OURS = { 'io.modelcontextprotocol/serverInfo': { name: 'turnpike', version: '0' }, 'turnpike/upstream': 'a' };

describe('a call of a client that declared tasks, at a tool of a session upstream', () => {
  it('becomes a task where the tool allows: flat, sealed, with units, without what only sessions know', async () => {
    const sample = new SampleTasks();
    const { result } = await sample.call();
    expect(sample.job.wish).toEqual({ ttl: 86_400_000 });
    expect(result).toEqual({
      resultType: 'task',
      taskId: expect.stringMatching(/^tk1\./),
      status: 'working',
      createdAt: '2026-01-01T00:00:00Z',
      lastUpdatedAt: expect.any(String),
      ttlMs: 3_600_000,
      pollIntervalMs: 200,
      _meta: OURS,
    });
    expect((await sample.call('x_a_only')).result.resultType).toBe('task');
  });

  it('stays a call where the tool says nothing, where the upstream runs no tasks, and where it answers at once', async () => {
    const sample = new SampleTasks();
    expect((await sample.call('x_a_plain')).result).toMatchObject({ resultType: 'complete', content: [{ text: 'at once' }] });
    sample.connection.capabilities = { tools: {}, tasks: { requests: {} } };
    for (const name of ['x_a_job', 'x_a_only']) expect((await sample.call(name)).result.resultType).toBe('complete');
    expect(sample.jobs).toEqual([]);
    const eager = new SampleTasks();
    eager.connection.answer = () => resultOf({ content: [] });
    expect((await eager.call()).result.resultType).toBe('complete');
    expect(await eager.left()).toEqual(NOTHING_LEFT);
  });

  it('has durations in whole milliseconds, and an end in any case', async () => {
    const seen = async (more: object) => {
      const sample = new SampleTasks();
      const answer = sample.connection.answer;
      sample.connection.answer = async (call) => {
        const made = await answer(call);
        return call.method === 'tools/call' ? resultOf({ task: { ...sample.job.task, ttl: undefined, pollInterval: undefined, ...more } }) : made;
      };
      const { result } = await sample.call();
      for (const key of ['requestState', 'inputRequests', 'result', 'error', 'ttl']) expect(result).not.toHaveProperty(key);
      return [result.ttlMs, result.pollIntervalMs];
    };
    const week = 7 * 86_400_000;
    expect(await seen({ ttl: null })).toEqual([week, undefined]);
    expect(await seen({ ttl: 1e12, pollInterval: 1.5 })).toEqual([week, 1]);
    expect(await seen({ ttl: -1, pollInterval: 0 })).toEqual([week, undefined]);
    expect(await seen({ requestState: 'x', result: {}, error: {}, inputRequests: {} })).toEqual([week, undefined]);
  });

  it('that made something else than a task fails, and holds nothing', async () => {
    for (const task of [{}, { taskId: 7, status: 'working' }, { taskId: 't', status: 'odd' }, { taskId: '', status: 'working' }]) {
      const sample = new SampleTasks();
      sample.connection.answer = () => resultOf({ task });
      expect(await sample.call()).toMatchObject({ code: 'upstream/protocol' });
      expect(await sample.left()).toEqual(NOTHING_LEFT);
    }
  });
});

describe('a client that did not declare tasks', () => {
  it('is refused by a tool that insists, naming the extension, and nothing is sent', async () => {
    const sample = new SampleTasks();
    const refused = await sample.call('x_a_only', { capabilities: {} });
    expect(refused).toMatchObject({ status: 400, error: { code: -32021, data: MISSING } });
    expect(sample.connection.of('tools/call')).toEqual([]);
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('gets the answer itself from one that does not', async () => {
    const sample = new SampleTasks();
    expect((await sample.call('x_a_job', { capabilities: {} })).result).toMatchObject({ resultType: 'complete', content: [{ text: 'at once' }] });
    expect(sample.jobs).toEqual([]);
  });

  it('cannot look at a task', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel'])
      expect(await sample.request(method, { taskId, inputResponses: {} }, { capabilities: {} })).toMatchObject({
        error: { code: -32021, data: MISSING },
      });
  });
});

describe('tasks/get', () => {
  it('shows a task that works, under the sealed id', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const { result } = await sample.get(taskId);
    expect(result).toMatchObject({ resultType: 'complete', taskId, status: 'working', ttlMs: 3_600_000, pollIntervalMs: 200, _meta: OURS });
    for (const key of ['result', 'error', 'inputRequests', 'ttl', 'pollInterval', 'requestState']) expect(result).not.toHaveProperty(key);
  });

  it('has the result of one that is over, without its related task, and lets go of the connection', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.job.end();
    const { result } = await sample.get(taskId);
    expect(result).toMatchObject({ status: 'completed', taskId, result: { resultType: 'complete', content: [{ text: 'done' }] } });
    expect(result.result).not.toHaveProperty('_meta');
    expect(await sample.left()).toEqual(NOTHING_LEFT);
    const asked = sample.connection.calls.length;
    expect((await sample.get(taskId)).result).toEqual(result);
    expect(sample.connection.calls.length).toBe(asked);
  });

  it('of a tool that failed shows a completed task, of a broken call a failed one', async () => {
    const sample = new SampleTasks();
    const failed = await sample.created();
    sample.job.end('failed', resultOf({ content: [{ type: 'text', text: 'no' }] }));
    expect((await sample.get(failed)).result).toMatchObject({ status: 'completed', result: { isError: true, content: [{ text: 'no' }] } });
    const broken = await sample.created();
    sample.job.end('failed', errorOf(-32603, 'It broke', { why: 1 }));
    const { result } = await sample.get(broken);
    expect(result).toMatchObject({ status: 'failed', error: { code: -32603, message: 'It broke', data: { why: 1 } } });
    expect(result).not.toHaveProperty('result');
  });

  it('never has codes that only session clients know', async () => {
    const sample = new SampleTasks();
    for (const code of [-32002, -32042]) {
      const taskId = await sample.created();
      sample.job.end('failed', errorOf(code, 'odd', { elicitations: [] }));
      expect((await sample.get(taskId)).result.error).toEqual({ code: -32603, message: 'odd' });
    }
  });

  it('of an id that is foreign, unknown or forgotten by the upstream is the one error', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const bob = { ...ALICE, principal: { issuer: 'static', subject: 'bob' } };
    const unknown = { error: { code: -32602, message: 'Unknown task' } };
    expect(await sample.get(taskId, { caller: bob })).toMatchObject(unknown);
    expect(await sample.get(`${taskId}A`)).toMatchObject(unknown);
    sample.jobs.length = 0;
    expect(await sample.get(taskId)).toMatchObject(unknown);
    expect(await sample.left()).toEqual(NOTHING_LEFT);
    // And it stays unknown: its record is gone.
    const asked = sample.connection.calls.length;
    expect(await sample.get(taskId)).toMatchObject(unknown);
    expect(sample.connection.calls.length).toBe(asked);
  });

  it('asks once for all who look at the same time', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    await Promise.all([sample.get(taskId), sample.get(taskId), sample.get(taskId)]);
    expect(sample.connection.of('tasks/get')).toHaveLength(1);
  });

  it('ends with the time of a call when the upstream does not answer, and with its client', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const answer = sample.connection.answer;
    sample.connection.answer = () => new Promise(() => {});
    const late = sample.get(taskId);
    const gone = new AbortController();
    const left = sample.get(taskId, { signal: gone.signal });
    await turn();
    gone.abort(new TurnpikeError('request/cancelled'));
    expect(await left).toMatchObject({ code: 'request/cancelled' });
    sample.clock.advance(60_000);
    expect(await late).toMatchObject({ code: 'upstream/timeout' });
    sample.connection.answer = answer;
    expect((await sample.get(taskId)).result.status).toBe('working');
  });
});

describe('tasks/cancel', () => {
  it('is acknowledged with nothing but that, and the task is cancelled there', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const { result } = await sample.request('tasks/cancel', { taskId });
    expect(result).toEqual({ resultType: 'complete', _meta: OURS });
    expect(sample.job.status).toBe('cancelled');
    expect((await sample.get(taskId)).result).toMatchObject({ status: 'cancelled' });
    expect(sample.connection.of('tasks/get')).toEqual([]);
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('of a task that is over is acknowledged, whether we know that or not', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.job.end();
    for (let n = 0; n < 2; n++) expect((await sample.request('tasks/cancel', { taskId })).result).toEqual({ resultType: 'complete', _meta: OURS });
    expect((await sample.get(taskId)).result.status).toBe('completed');
  });

  it('of one that the upstream has forgotten is unknown', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.jobs.length = 0;
    expect(await sample.request('tasks/cancel', { taskId })).toMatchObject({ error: { code: -32602, message: 'Unknown task' } });
    expect(await sample.request('tasks/update', { taskId, inputResponses: {} })).toMatchObject({ error: { message: 'Unknown task' } });
  });

  it('is not sent to an upstream that cannot cancel', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.connection.capabilities = { tasks: { requests: { tools: { call: {} } } } };
    expect((await sample.request('tasks/cancel', { taskId })).result).toEqual({ resultType: 'complete', _meta: OURS });
    expect(sample.connection.of('tasks/cancel')).toEqual([]);
    expect((await sample.get(taskId)).result.status).toBe('working');
  });
});

describe('server/discover', () => {
  it('declares tasks where a session upstream runs them, and nowhere else', async () => {
    const sample = new SampleTasks();
    expect((await sample.request('server/discover', {})).result.capabilities).toMatchObject(TASKS);
    sample.source.set('a', sampleSet({ tools: ['t'] }, { era: 'legacy', capabilities: { tools: {}, tasks: { list: {} } } }));
    expect((await sample.request('server/discover', {})).result.capabilities).not.toHaveProperty('extensions');
  });
});
