import { describe, expect, it } from 'vitest';
import { sampleSet, sampleTool } from '../../catalog/sample-source.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { type Answer, isJsonObject, type JsonObject } from '../../core/mcp.ts';
import type { UpstreamCall } from '../../core/ports.ts';
import { dispatch } from '../dispatch.ts';
import { errorOf, resultOf, SampleConnection, SampleConnections, sampleExchange, sampleServices } from '../sample-services.ts';
import { came, NOTHING_LEFT, SampleTasks, sessionOf, TASKS, turn, WORD } from './sample-tasks.ts';

const ACCEPT = { action: 'accept', content: { word: 'x' } };
const accepting = async () => resultOf(ACCEPT);

describe('a session client at a session upstream', () => {
  const session = (sample: SampleTasks, name = 'x_a_only', more: Parameters<typeof sampleExchange>[0] = sessionOf(accepting)) => {
    const made = sampleExchange({ ...more, body: { name, arguments: {}, task: { ttl: 1 } } });
    return { ...made, done: came(() => dispatch(sample.services, made.exchange), 'legacy') };
  };

  it('sees a plain call where the tool insists on a task', async () => {
    const sample = new SampleTasks();
    const { done } = session(sample);
    await turn();
    expect(sample.job.wish).toEqual({ ttl: 7_200_000 });
    await sample.clock.advanceAsync(200);
    sample.job.end();
    await sample.clock.advanceAsync(200);
    expect(await done).toEqual({ result: { content: [{ type: 'text', text: 'done' }] }, status: 200 });
    expect(sample.connection.of('tasks/get')).toHaveLength(2);
    expect(await sample.left()).toEqual(NOTHING_LEFT);
  });

  it('makes no task where the tool does not insist, whatever it asks for itself', async () => {
    const sample = new SampleTasks();
    expect((await session(sample, 'x_a_job').done).result).toEqual({ content: [{ type: 'text', text: 'at once' }] });
    expect(sample.jobs).toEqual([]);
  });

  it('is asked what the task asks, hears of its progress, and only then gets the result', async () => {
    const sample = new SampleTasks();
    const asked: JsonObject[] = [];
    const { done, told } = session(sample, 'x_a_only', {
      ...sessionOf(async (method, params) => {
        asked.push({ method, ...params });
        return resultOf(ACCEPT);
      }),
      progressToken: 'p',
    });
    await turn();
    const [created] = sample.connection.of('tools/call');
    created?.relay.notification('notifications/progress', Buffer.from('{"progress":1}'));
    await sample.job.askWord('w');
    expect(asked).toEqual(
      [{ method: 'elicitation/create', message: 'Server “a” asks: Which word?', requestedSchema: WORD, _meta: { 'turnpike/inputKey': 'w' } }].map(
        ({ _meta, ...one }) => one,
      ),
    );
    expect(sample.job.heard).toEqual([ACCEPT]);
    sample.job.end();
    await sample.clock.advanceAsync(200);
    expect((await done).result).toMatchObject({ content: [{ text: 'done' }] });
    expect(told).toMatchObject([{ method: 'notifications/progress', params: { progress: 1, progressToken: 'p' } }]);
    expect(created?.lasting?.aborted).toBe(true);
  });

  it('lets a task that waits for input speak on the request for its result', async () => {
    const sample = new SampleTasks();
    const { done } = session(sample);
    await turn();
    sample.job.status = 'input_required';
    await sample.clock.advanceAsync(200);
    expect(sample.connection.of('tasks/result')).toHaveLength(1);
    await sample.clock.advanceAsync(200);
    expect(sample.connection.of('tasks/result')).toHaveLength(1);
    sample.job.end();
    await sample.clock.advanceAsync(200);
    expect((await done).result).toMatchObject({ content: [{ text: 'done' }] });
    expect(sample.connection.of('tasks/result')).toHaveLength(1);
  });

  it('gets failures as the failures of a call', async () => {
    const outcomes: [string, Answer, JsonObject][] = [
      ['failed', resultOf({ content: [], isError: true }), { result: { content: [], isError: true } }],
      ['failed', errorOf(-32603, 'It broke'), { error: { code: -32603, message: 'It broke' } }],
      ['cancelled', errorOf(-32603), { error: { code: -32603, message: 'The upstream cancelled the task.' } }],
    ];
    for (const [status, outcome, expected] of outcomes) {
      const sample = new SampleTasks();
      const { done } = session(sample);
      await turn();
      sample.job.end(status, outcome);
      await sample.clock.advanceAsync(200);
      expect(await done).toMatchObject(expected);
      expect(await sample.left()).toEqual(NOTHING_LEFT);
    }
  });

  it('is asked for what it lacks: the reason is said', async () => {
    const sample = new SampleTasks();
    const { done } = session(sample, 'x_a_only', sessionOf(accepting, {}));
    await turn();
    await sample.job.askWord();
    expect(sample.job.heard).toMatchObject([{ code: -32600 }]);
    sample.job.end('failed', resultOf({ content: [], isError: true }));
    await sample.clock.advanceAsync(200);
    expect(await done).toMatchObject({
      code: 'bridge/interaction',
      error: { message: 'This tool needs elicitation, which your client does not offer.' },
    });
  });

  it('that cancels, or whose time is over, cancels the task and leaves nothing behind', async () => {
    for (const [end, code] of [
      [async (_: SampleTasks, gone: AbortController) => gone.abort(new TurnpikeError('request/cancelled')), 'request/cancelled'],
      [(sample: SampleTasks) => sample.clock.advanceAsync(60_000, 1_000), 'upstream/timeout'],
    ] as const) {
      const sample = new SampleTasks();
      const { done, gone } = session(sample);
      await turn();
      await end(sample, gone);
      expect(await done).toMatchObject({ code });
      await turn();
      expect(sample.job.status).toBe('cancelled');
      expect(await sample.left()).toEqual(NOTHING_LEFT);
      expect(sample.clock.pending).toBe(0);
    }
  });

  it('waits as long as the task moves', async () => {
    const sample = new SampleTasks();
    const { done } = session(sample);
    await turn();
    for (let n = 0; n < 4; n++) {
      await sample.clock.advanceAsync(40_000, 1_000);
      sample.job.more = { ...sample.job.more, statusMessage: `step ${n}` };
    }
    sample.job.end();
    await sample.clock.advanceAsync(1_000, 200);
    expect((await done).result).toMatchObject({ content: [{ text: 'done' }] });
  });

  it('hears that the connection is lost', async () => {
    const sample = new SampleTasks();
    const { done } = session(sample);
    await turn();
    sample.connections.closing.abort(new Error('lost'));
    expect(await done).toMatchObject({ code: 'upstream/lost' });
    expect(sample.connections.held).toBe(0);
  });
});

/** A modern upstream that makes a task of every call to `job`. */
class ModernJobs {
  readonly connection = new SampleConnection('modern');
  readonly connections = new SampleConnections(this.connection);
  readonly made = sampleServices(this.connections);
  /** Whether calls that do not declare tasks are refused. */
  insists = false;
  polls: JsonObject[] = [];
  create: JsonObject = { resultType: 'task', taskId: 't-1', status: 'working', ttlMs: 1_000, pollIntervalMs: 200 };
  readonly updates: unknown[] = [];

  constructor() {
    this.made.source.set('a', sampleSet({ tools: [sampleTool('job')] }, { era: 'modern' }));
    this.connection.answer = (call) => this.#answer(call);
  }

  run(more: Parameters<typeof sampleExchange>[0] = sessionOf(accepting)) {
    const sample = sampleExchange({ ...more, body: { name: 'x_a_job', arguments: { n: 1 } } });
    return { ...sample, done: came(() => dispatch(this.made.services, sample.exchange), 'legacy') };
  }

  async time(ms: number): Promise<void> {
    await turn();
    for (let left = ms; left > 0; left -= 100) {
      this.made.clock.advance(Math.min(100, left));
      await turn();
    }
  }

  #answer({ method, params, capabilities }: UpstreamCall): Answer {
    const body = JSON.parse(params.toString()) as JsonObject;
    if (method === 'tools/call') {
      const isDeclared = isJsonObject(capabilities.extensions);
      return this.insists && !isDeclared ? errorOf(-32021, 'declare', { requiredCapabilities: TASKS }) : resultOf(this.create);
    }
    if (body.taskId !== 't-1') return errorOf(-32602);
    if (method === 'tasks/get')
      return resultOf({ resultType: 'complete', taskId: 't-1', pollIntervalMs: 200, status: 'working', ...this.polls.shift() });
    this.updates.push(method === 'tasks/update' ? body.inputResponses : method);
    return resultOf({ resultType: 'complete' });
  }
}

const COMPLETED = { status: 'completed', result: { resultType: 'complete', content: [{ type: 'text', text: 'done' }], structuredContent: [1] } };

describe('a session client at a modern upstream', () => {
  it('sees a plain call, in its own revision', async () => {
    const jobs = new ModernJobs();
    jobs.polls = [{}, COMPLETED];
    const { done } = jobs.run();
    await jobs.time(400);
    expect((await done).result).toEqual({ content: [{ type: 'text', text: 'done' }], structuredContent: { result: [1] } });
    expect(jobs.connections.held).toBe(0);
    expect(jobs.made.clock.pending).toBe(0);
    expect(jobs.connection.of('tasks/get').map(({ params, capabilities }) => [params.toString(), capabilities.extensions])).toEqual([
      ['{"taskId":"t-1"}', TASKS.extensions],
      ['{"taskId":"t-1"}', TASKS.extensions],
    ]);
  });

  it('declares tasks for it where the upstream insists, and only then', async () => {
    const jobs = new ModernJobs();
    jobs.insists = true;
    jobs.polls = [COMPLETED];
    const { done } = jobs.run();
    await jobs.time(400);
    expect((await done).result).toMatchObject({ content: [{ text: 'done' }] });
    expect(jobs.connection.of('tools/call').map(({ capabilities }) => capabilities.extensions)).toEqual([undefined, TASKS.extensions]);
  });

  it('is asked what the task asks, each question once', async () => {
    const jobs = new ModernJobs();
    const inputRequests = { w: { method: 'elicitation/create', params: { message: 'Which?', requestedSchema: WORD } } };
    const asking = { status: 'input_required', inputRequests };
    jobs.polls = [asking, asking, COMPLETED];
    const asked: unknown[] = [];
    const { done } = jobs.run(
      sessionOf(async (_, params) => {
        asked.push(params.message);
        return resultOf(ACCEPT);
      }),
    );
    await jobs.time(600);
    expect((await done).result).toMatchObject({ content: [{ text: 'done' }] });
    expect(asked).toEqual(['Server “a” asks: Which?']);
    expect(jobs.updates).toEqual([{ w: ACCEPT }]);
  });

  it('is not asked for secrets, nor more often than it may be', async () => {
    const jobs = new ModernJobs();
    const password = { type: 'object', properties: { password: { type: 'string', title: 'Password' } } };
    const secret = { s: { method: 'elicitation/create', params: { message: 'Password?', requestedSchema: password } } };
    jobs.polls = [{ status: 'input_required', inputRequests: secret }, COMPLETED];
    const { done } = jobs.run(sessionOf(async () => Promise.reject(new Error('was asked'))));
    await jobs.time(600);
    expect((await done).result).toMatchObject({ content: [{ text: 'done' }] });
    expect(jobs.updates).toEqual([{ s: { action: 'decline' } }]);
    const many = new ModernJobs();
    const ask = (n: number) => ({ [`w${n}`]: { method: 'elicitation/create', params: { message: 'Which?', requestedSchema: WORD } } });
    many.polls = Array.from({ length: 12 }, (_, n) => ({ status: 'input_required', inputRequests: ask(n) }));
    const over = many.run();
    await many.time(3_000);
    expect(await over.done).toMatchObject({ code: 'bridge/rounds' });
    expect(many.updates.at(-1)).toBe('tasks/cancel');
  });

  it('gets failures as the failures of a call', async () => {
    for (const [poll, expected] of [
      [{ status: 'failed', error: { code: -32603, message: 'It broke' } }, { error: { code: -32603, message: 'It broke' } }],
      [{ status: 'completed', result: { content: [], isError: true } }, { result: { content: [], isError: true } }],
      [{ status: 'cancelled' }, { error: { code: -32603 } }],
      [{ status: 'completed' }, { code: 'upstream/protocol' }],
      [{ status: 'failed', error: {} }, { code: 'upstream/protocol' }],
      [{ status: 'failed', error: { code: -32603, message: 5 } }, { code: 'upstream/protocol' }],
      [{ status: 'failed', error: { code: 1.5, message: 'It broke' } }, { code: 'upstream/protocol' }],
      [{ status: 7 }, { code: 'upstream/protocol' }],
    ] as const) {
      const jobs = new ModernJobs();
      jobs.polls = [poll];
      const { done } = jobs.run();
      await jobs.time(200);
      expect(await done).toMatchObject(expected);
    }
    const nameless = new ModernJobs();
    nameless.create = { resultType: 'task', status: 'working' };
    expect(await nameless.run().done).toMatchObject({ code: 'upstream/protocol' });
  });

  it('is looked at neither too often nor too seldom', async () => {
    for (const [pollIntervalMs, ms] of [
      [1, 100],
      [60_000, 5_000],
      [undefined, 1_000],
    ] as const) {
      const jobs = new ModernJobs();
      jobs.create = { ...jobs.create, pollIntervalMs };
      jobs.run();
      await jobs.time(ms - 1);
      expect(jobs.connection.of('tasks/get')).toHaveLength(0);
      await jobs.time(1);
      expect(jobs.connection.of('tasks/get')).toHaveLength(1);
    }
  });

  it('that cancels, or whose time is over, cancels the task', async () => {
    for (const [end, code] of [
      [async (_: ModernJobs, gone: AbortController) => gone.abort(new TurnpikeError('request/cancelled')), 'request/cancelled'],
      [(jobs: ModernJobs) => jobs.time(60_000), 'upstream/timeout'],
    ] as const) {
      const jobs = new ModernJobs();
      const { done, gone } = jobs.run();
      await turn();
      await end(jobs, gone);
      expect(await done).toMatchObject({ code });
      await turn();
      expect(jobs.updates).toEqual(['tasks/cancel']);
      expect([jobs.connections.held, jobs.made.clock.pending]).toEqual([0, 0]);
    }
  });
});
