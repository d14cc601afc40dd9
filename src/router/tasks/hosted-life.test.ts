import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../core/errors.ts';
import { MemoryStore } from '../../store/memory.ts';
import { dispatch } from '../dispatch.ts';
import { listen } from '../listen.ts';
import { ALICE, SampleConnection, sampleExchange } from '../sample-services.ts';
import { came, NOTHING_LEFT, SampleTasks, TASKS, turn } from './sample-tasks.ts';

const BOB = { ...ALICE, principal: { issuer: 'static', subject: 'bob' } };

describe('the record of a hosted task', () => {
  it('is in the store before the client sees the id', async () => {
    const written = Promise.withResolvers<void>();
    const rows: string[] = [];
    const store = {
      get: async () => undefined,
      set: async (space: string) => {
        rows.push(space);
        await written.promise;
        return true;
      },
      delete: async () => true,
    };
    const sample = new SampleTasks({ store });
    let seen = false;
    const created = sample.created().then(() => {
      seen = true;
    });
    await turn();
    expect([rows, seen]).toEqual([['tasks/hosted'], false]);
    written.resolve();
    await created;
  });

  it('that cannot be written ends the call, and the task is cancelled', async () => {
    const store = { get: async () => undefined, set: () => Promise.reject(new TurnpikeError('store/failed')), delete: async () => true };
    const sample = new SampleTasks({ store });
    expect(await sample.call()).toMatchObject({ code: 'store/failed' });
    await turn();
    expect(sample.job.status).toBe('cancelled');
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('of a client that is gone meanwhile is taken back, and the task is cancelled', async () => {
    const gone = new AbortController();
    const store = {
      get: async () => undefined,
      set: async () => {
        gone.abort(new TurnpikeError('request/cancelled'));
        return true;
      },
      delete: async () => true,
    };
    const sample = new SampleTasks({ store });
    expect(await sample.call('x_a_job', { signal: gone.signal })).toMatchObject({ code: 'request/cancelled' });
    await turn();
    expect(sample.job.status).toBe('cancelled');
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('leads back after a restart, with the profile of its creation, and the upstream decides', async () => {
    const sample = new SampleTasks();
    const capabilities = { ...TASKS, elicitation: {}, roots: {} };
    const taskId = await sample.created({ capabilities });
    sample.services.hosted.end(new TurnpikeError('gateway/draining'));
    expect(await sample.left()).toEqual(NOTHING_LEFT);
    Object.assign(sample, { services: { ...sample.services, hosted: sample.hosted() } });
    sample.connections.next = [sample.upstream()];
    expect((await sample.get(taskId, { capabilities: TASKS })).result).toMatchObject({ status: 'working', taskId });
    expect(sample.connections.taken.at(-1)).toEqual({ upstream: 'a', caller: ALICE, profile: 'fr' });
    sample.job.end();
    expect((await sample.get(taskId, { capabilities: TASKS })).result).toMatchObject({ status: 'completed' });
    sample.services.hosted.end(new TurnpikeError('gateway/draining'));
    Object.assign(sample, { services: { ...sample.services, hosted: sample.hosted() } });
    sample.jobs.length = 0;
    expect((await sample.get(taskId, { capabilities: TASKS })).result).toMatchObject({
      status: 'completed',
      result: { content: [{ text: 'done' }] },
    });
  });

  it('is gone with its time, and the task unknown', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    await sample.clock.advanceAsync(3_599_000, 29_000);
    sample.clock.advance(999);
    await turn();
    expect((await sample.get(taskId)).result.status).toBe('working');
    sample.clock.advance(1);
    expect(await sample.get(taskId)).toMatchObject({ error: { code: -32602, message: 'Unknown task' } });
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('is one person’s, whatever ids the upstream gives to others', async () => {
    const sample = new SampleTasks();
    const hers = await sample.created();
    sample.services.hosted.end(new TurnpikeError('gateway/draining'));
    sample.jobs.length = 0;
    const his = await sample.created({ caller: BOB });
    expect(sample.job.taskId).toBe('inner-1');
    sample.job.end();
    expect((await sample.get(his, { caller: BOB })).result.status).toBe('completed');
    sample.jobs.length = 0;
    expect(await sample.get(hers)).toMatchObject({ error: { message: 'Unknown task' } });
  });

  it('of an end that is too long is without it: the upstream is asked again', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.job.end('completed', { kind: 'result', result: Buffer.from(JSON.stringify({ content: [{ type: 'text', text: 'x'.repeat(300_000) }] })) });
    for (let n = 0; n < 2; n++)
      expect((await sample.get(taskId)).result).toMatchObject({ status: 'completed', result: { content: [{ type: 'text' }] } });
    expect(sample.connection.of('tasks/get')).toHaveLength(2);
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('of something else is none', async () => {
    const store = new MemoryStore(new SampleTasks().clock);
    const sample = new SampleTasks({
      store: { ...store, get: async () => Buffer.from('{"profile":7}'), set: async () => true, delete: async () => true },
    });
    const taskId = await sample.created();
    sample.services.hosted.end(new TurnpikeError('gateway/draining'));
    expect(await sample.get(taskId)).toMatchObject({ error: { message: 'Unknown task' } });
  });
});

describe('the connection of a hosted task', () => {
  it('is held while it lives, and given back at its end though nobody looks', async () => {
    const sample = new SampleTasks();
    await sample.created();
    expect(sample.connections.held).toBe(1);
    sample.job.end();
    await sample.clock.advanceAsync(30_000);
    await turn();
    expect(await sample.left()).toEqual(NOTHING_LEFT);
    expect(sample.connections.outcomes).toEqual(['ok']);
  });

  it('is looked at when the upstream says that the task moved', async () => {
    const sample = new SampleTasks();
    await sample.created();
    sample.job.end();
    sample.connection.emit({ kind: 'notification', method: 'notifications/tasks/status', params: Buffer.from('{"taskId":"another"}') });
    sample.clock.advance(0);
    await turn();
    expect(sample.connection.of('tasks/get')).toEqual([]);
    sample.job.say();
    sample.clock.advance(0);
    await turn();
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('that is lost takes the task out of this process; whoever asks again gets a new one', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.connection.lose();
    expect(await sample.left()).toEqual(NOTHING_LEFT);
    const next = sample.upstream();
    sample.connections.next = [next];
    expect((await sample.get(taskId)).result.status).toBe('working');
    expect(next.of('tasks/get')).toHaveLength(1);
    expect(sample.services.hosted.size).toBe(1);
  });

  it('is none to an upstream that turned modern', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.connection.lose();
    await sample.left();
    sample.connections.next = [new SampleConnection('modern')];
    expect(await sample.get(taskId)).toMatchObject({ error: { message: 'Unknown task' } });
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('that cannot be made leaves nothing behind', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    sample.connection.lose();
    await sample.left();
    sample.connections.next = [new TurnpikeError('upstream/down', 'down', { upstream: 'a' })];
    expect(await sample.get(taskId)).toMatchObject({ code: 'upstream/down' });
    expect(await sample.left()).toEqual(NOTHING_LEFT);
    sample.connections.next = [sample.upstream()];
    expect((await sample.get(taskId)).result.status).toBe('working');
  });
});

describe('hosted tasks', () => {
  it('are bounded per principal and in all; what is refused is not sent', async () => {
    const sample = new SampleTasks({ limits: { perPrincipal: 2, total: 3 } });
    const first = await sample.created();
    await sample.created();
    expect(await sample.call()).toMatchObject({ code: 'upstream/capacity', error: { message: 'Too many tasks are running.' } });
    await sample.created({ caller: BOB });
    expect(await sample.call('x_a_job', { caller: BOB })).toMatchObject({ code: 'upstream/capacity' });
    expect(sample.jobs).toHaveLength(3);
    await sample.request('tasks/cancel', { taskId: first });
    await sample.created();
    // A call that comes to no task takes no place.
    expect((await sample.call('x_a_plain')).result.resultType).toBe('complete');
    expect(sample.services.hosted.size).toBe(3);
  });

  it('have one audit record for each request', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    await sample.get(taskId);
    await sample.request('tasks/update', { taskId, inputResponses: {} });
    await sample.request('tasks/cancel', { taskId });
    await turn();
    expect(sample.audited.map(({ method, tool, upstream, outcome }) => [method, tool, upstream, outcome])).toEqual([
      ['tools/call', 'x_a_job', 'a', 'ok'],
      ['tasks/get', 'tasks/get', 'a', 'ok'],
      ['tasks/update', 'tasks/update', 'a', 'ok'],
      ['tasks/cancel', 'tasks/cancel', 'a', 'ok'],
    ]);
  });

  it('need the scope of what is done', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const reader = { ...ALICE, scopes: new Set(['turnpike:read'] as const) };
    expect((await sample.get(taskId, { caller: reader })).result.status).toBe('working');
    expect(await sample.request('tasks/cancel', { taskId }, { caller: reader })).toMatchObject({ code: 'auth/scope' });
  });
});

describe('a listener', () => {
  const listening = async (sample: SampleTasks, taskIds: readonly string[], caller = ALICE) => {
    const { exchange, told, gone } = sampleExchange({
      method: 'subscriptions/listen',
      id: 9,
      caller,
      capabilities: TASKS,
      body: { notifications: { taskIds } },
    });
    const ended = came(() => listen(sample.services, exchange, new AbortController().signal), 'modern');
    await turn();
    const [first] = told.splice(0, 1);
    return { told, gone, ended, honoured: (first?.params.notifications as { taskIds: string[] } | undefined)?.taskIds };
  };

  it('hears of questions and of the end, under the id it knows', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const { told, gone, ended, honoured } = await listening(sample, [taskId, 'odd']);
    expect(honoured).toEqual([taskId]);
    void sample.job.askWord('w');
    sample.clock.advance(25);
    await turn();
    sample.job.end();
    sample.job.say();
    sample.clock.advance(0);
    await turn();
    expect(told.map(({ method, params }) => [method, params.taskId, params.status])).toEqual([
      ['notifications/tasks', taskId, 'input_required'],
      ['notifications/tasks', taskId, 'completed'],
    ]);
    expect(told[0]?.params).toMatchObject({
      inputRequests: { w: { method: 'elicitation/create' } },
      _meta: { 'io.modelcontextprotocol/subscriptionId': 9 },
    });
    expect(told[1]?.params).toMatchObject({ result: { content: [{ text: 'done' }] } });
    gone.abort(new TurnpikeError('request/cancelled'));
    await ended;
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('opens the way for questions of a task that nobody looks at', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    await listening(sample, [taskId]);
    sample.job.status = 'input_required';
    sample.job.say();
    sample.clock.advance(0);
    await turn();
    expect(sample.connection.of('tasks/result')).toHaveLength(1);
  });

  it('hears nothing twice, and nothing of what it knows', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const { told } = await listening(sample, [taskId]);
    const looks = async () => {
      await sample.clock.advanceAsync(10_000, 1_000);
      await turn();
    };
    await looks();
    expect(told).toEqual([]);
    sample.job.more = { ...sample.job.more, statusMessage: 'half' };
    await looks();
    expect(told.map(({ params }) => params.statusMessage)).toEqual(['half']);
  });

  it('hears of an end that the upstream does not tell', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    await sample.clock.advanceAsync(5_000, 1_000);
    await turn();
    const { told } = await listening(sample, [taskId]);
    sample.job.end();
    await sample.clock.advanceAsync(1_000);
    await turn();
    expect(told.at(-1)?.params).toMatchObject({ status: 'completed' });
  });

  it('keeps a task that lost its connection, and lets it go when it leaves', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const { told, gone, ended } = await listening(sample, [taskId]);
    sample.connection.lose();
    const next = sample.upstream();
    sample.connections.next = [next];
    sample.job.end();
    await sample.clock.advanceAsync(5_000, 1_000);
    await turn();
    expect(told.at(-1)?.params).toMatchObject({ status: 'completed' });
    gone.abort(new TurnpikeError('request/cancelled'));
    await ended;
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('who is somebody else hears nothing', async () => {
    const sample = new SampleTasks();
    const taskId = await sample.created();
    const { told, honoured } = await listening(sample, [taskId], BOB);
    sample.job.end();
    sample.job.say();
    sample.clock.advance(0);
    await turn();
    expect([honoured, told]).toEqual([[], []]);
  });
});

it('a task of a parked call is a task after its questions', async () => {
  const sample = new SampleTasks();
  const answer = sample.connection.answer;
  sample.connection.answer = async (call) => {
    if (call.method !== 'tools/call') return answer(call);
    // Its bytes are let go while it waits.
    const asSent = { ...call };
    await call.relay.request(
      'elicitation/create',
      Buffer.from('{"message":"m","requestedSchema":{"type":"object","properties":{"a":{"type":"string"}}}}'),
      call.signal,
    );
    return answer(asSent);
  };
  const first = sample.call();
  await turn();
  sample.clock.advance(25);
  const { result } = await first;
  expect(result.resultType).toBe('input_required');
  const [key = ''] = Object.keys(result.inputRequests as object);
  const body = { name: 'x_a_job', arguments: {}, requestState: result.requestState, inputResponses: { [key]: { action: 'cancel' } } };
  const { exchange } = sampleExchange({ body, capabilities: { ...TASKS, elicitation: {} } });
  const made = await came(() => dispatch(sample.services, exchange), 'modern');
  expect(made.result).toMatchObject({ resultType: 'task', taskId: expect.stringMatching(/^tk1\./) });
  expect(made.result).not.toHaveProperty('requestState');
  expect((await sample.get(made.result.taskId)).result.status).toBe('working');
});
