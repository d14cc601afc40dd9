import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import { type Kind, Party, textOf } from './interop-clients.ts';
import { answerIn, modernRequest, post } from './raw-client.ts';
import { logOf, Rig, type RunningServer, requestsIn } from './rig.ts';

/** Tasks across the eras: at the published reference server (SDK 1.32) and at the fixtures, for published clients and by hand. */
const DECLARED = {
  'io.modelcontextprotocol/clientCapabilities': { elicitation: {}, extensions: { 'io.modelcontextprotocol/tasks': {} } },
};
const RESEARCH = 'simulate-research-query';
const OVER = ['completed', 'failed', 'cancelled'];
let ids = 0;

/** One request of a stateless client that declared tasks. */
async function ask(rig: Rig, method: string, params: JsonObject, meta: JsonObject = DECLARED): Promise<JsonObject> {
  const { body, headers } = modernRequest(++ids, method, params, meta);
  const answer = answerIn(await post(rig.endpoint, body, { headers }));
  if (answer === undefined) throw new Error(`${method} was not answered`);
  return answer;
}

async function resultOf(rig: Rig, method: string, params: JsonObject): Promise<JsonObject> {
  const { result, error } = await ask(rig, method, params);
  if (!isJsonObject(result)) throw new Error(`${method}: ${JSON.stringify(error)}`);
  return result;
}

async function created(rig: Rig, name: string, args: JsonObject = {}): Promise<string> {
  const { resultType, taskId } = await resultOf(rig, 'tools/call', { name, arguments: args });
  expect(resultType).toBe('task');
  return String(taskId);
}

/** Looks at a task until it shows what is waited for. */
async function seen(rig: Rig, taskId: string, isSeen: (task: JsonObject) => boolean): Promise<JsonObject> {
  for (const end = performance.now() + 20_000; performance.now() < end; await pause(100)) {
    const task = await resultOf(rig, 'tasks/get', { taskId });
    if (isSeen(task)) return task;
  }
  throw new Error('the task did not move');
}

const ended = (rig: Rig, taskId: string) => seen(rig, taskId, ({ status }) => OVER.includes(String(status)));
const asking = (rig: Rig, taskId: string) => seen(rig, taskId, ({ inputRequests }) => isJsonObject(inputRequests));
const textIn = (task: JsonObject): string => textOf(task.result as JsonObject);

describe('the reference server, of 2025-11-25', () => {
  const UPSTREAMS = ['pipe', 'http', 'sse'] as const;
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.make();
    const [http, sse] = await Promise.all([rig.serve('everything'), rig.serve('sse')]);
    await rig.start({
      upstreams: [
        rig.stdio('pipe', 'everything'),
        { name: 'http', type: 'streamable-http', url: http.url() },
        { name: 'sse', type: 'sse', url: sse.url('/sse') },
      ],
    });
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  describe.each(UPSTREAMS)('as %s', (upstream) => {
    const name = `x_${upstream}_${RESEARCH}`;

    it('its task is hosted: it asks, is answered, and its result is there', async () => {
      const taskId = await created(rig, name, { topic: 'python', ambiguous: true });
      const task = await asking(rig, taskId);
      expect(task).toMatchObject({ status: 'input_required', taskId, ttlMs: expect.any(Number), pollIntervalMs: 1_000 });
      const [[key, question] = ['', undefined]] = Object.entries(task.inputRequests as Record<string, JsonObject>);
      expect(question).toMatchObject({ method: 'elicitation/create', params: { message: expect.stringContaining(`Server “${upstream}” asks: `) } });
      const answer = { action: 'accept', content: { interpretation: 'snake' } };
      expect(await resultOf(rig, 'tasks/update', { taskId, inputResponses: { [key]: answer } })).toMatchObject({ resultType: 'complete' });
      const over = await ended(rig, taskId);
      expect(over.status).toBe('completed');
      expect(textIn(over)).toContain('Research Report: python (snake)');
    });

    it('its task can be cancelled, twice', async () => {
      const taskId = await created(rig, name, { topic: 'x' });
      for (let n = 0; n < 2; n++) expect(await resultOf(rig, 'tasks/cancel', { taskId })).toMatchObject({ resultType: 'complete' });
      expect((await ended(rig, taskId)).status).toBe('cancelled');
    });

    it.each(['SDK 1.32', 'SDK 2.4 session'] as const satisfies Kind[])('%s sees a plain call, and is asked', async (kind) => {
      await using party = await Party.overHttp(kind, rig.endpoint);
      party.answering = async () => ({ action: 'accept', content: { interpretation: 'comedy' } });
      const { tools } = await party.client.listTools();
      expect(JSON.stringify(tools.filter((tool) => tool.name === name))).not.toContain('taskSupport');
      expect(textOf(await party.call(name, { topic: 'python', ambiguous: true }))).toContain('Research Report: python (comedy)');
      expect(party.asked.filter(({ method }) => method === 'elicitation/create')).toHaveLength(1);
    });
  });

  it('a stateless client without the extension is told what it needs', async () => {
    const { error } = await ask(rig, 'tools/call', { name: `x_pipe_${RESEARCH}`, arguments: { topic: 'x' } }, {});
    expect(error).toMatchObject({ code: -32021, data: { requiredCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } } });
  });
});

describe('a fixture of 2026-07-28 that insists on tasks', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.make();
    const http = await rig.serve('modern');
    await rig.start({ upstreams: [rig.stdio('pipe', 'modern'), { name: 'http', type: 'streamable-http', url: http.url() }] });
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  it.each(['pipe', 'http'])('as %s: a session client sees plain calls', async (upstream) => {
    await using party = await Party.overHttp('SDK 1.32', rig.endpoint);
    expect(await party.call(`x_${upstream}_failing_job`)).toMatchObject({ isError: true, content: [{ text: 'The job failed' }] });
    await expect(party.call(`x_${upstream}_protocol_error_job`)).rejects.toMatchObject({
      code: -32603,
      message: expect.stringContaining('The job broke'),
    });
    expect(party.asked).toEqual([]);
  });
});

describe('a fixture of 2025-11-25', () => {
  /** A gateway whose store outlives it. */
  const start = async (rig: Rig, server: RunningServer) =>
    rig.start({ store: { type: 'sqlite', dir: `${rig.folder}/store` }, upstreams: [{ name: 'a', type: 'streamable-http', url: server.url() }] });

  it('knows the task after a restart of the gateway, and so does its owner', async () => {
    await using rig = await Rig.make();
    const server = await rig.serve('legacy');
    const first = await start(rig, server);
    const taskId = await created(rig, 'x_a_slow_compute', { seconds: 1, label: 'kept' });
    const done = await created(rig, 'x_a_slow_compute', { seconds: 0, label: 'done' });
    expect(textIn(await ended(rig, done))).toBe('Computed done');
    await first[Symbol.asyncDispose]();
    await start(rig, server);
    const over = await ended(rig, taskId);
    expect([over.status, textIn(over)]).toEqual(['completed', 'Computed kept']);
    const asked = requestsIn(await logOf(server), 'tasks/get').length;
    expect(textIn(await resultOf(rig, 'tasks/get', { taskId: done }))).toBe('Computed done');
    expect(requestsIn(await logOf(server), 'tasks/get')).toHaveLength(asked);
  });

  it('is told when the session client cancels, and nothing is left', async () => {
    await using rig = await Rig.make();
    const server = await rig.serve('legacy');
    await start(rig, server);
    await using party = await Party.overHttp('SDK 1.32', rig.endpoint);
    const gone = new AbortController();
    const call = party.call('x_a_failing_job', {}, { signal: gone.signal });
    call.catch(() => {});
    await until(
      async () => requestsIn(await logOf(server), 'tasks/get'),
      (polls) => polls.length > 0,
      5_000,
    );
    gone.abort();
    await expect(call).rejects.toThrow();
    await until(
      async () => requestsIn(await logOf(server), 'tasks/cancel'),
      (cancels) => cancels.length === 1,
      5_000,
    );
  });

  it('tells a listener of what its task asks, and of its end', async () => {
    await using rig = await Rig.make();
    const server = await rig.serve('legacy');
    await start(rig, server);
    const taskId = await created(rig, 'x_a_confirm_delete', { filename: 'f' });
    const heard: JsonObject[] = [];
    const leave = new AbortController();
    const { body, headers } = modernRequest('listen-1', 'subscriptions/listen', { notifications: { taskIds: [taskId] } }, DECLARED);
    const listening = post(rig.endpoint, body, { headers, signal: leave.signal, onMessage: (message) => void heard.push(message) }).catch(() => {});
    const told = () => heard.filter(({ method }) => method === 'notifications/tasks').map(({ params }) => params as JsonObject);
    await until(told, (tasks) => tasks.some(({ status }) => status === 'input_required'), 10_000);
    expect(told().find(({ status }) => status === 'input_required')).toMatchObject({
      taskId,
      inputRequests: { confirm: { method: 'elicitation/create' } },
    });
    await resultOf(rig, 'tasks/update', { taskId, inputResponses: { confirm: { action: 'accept', content: { confirm: true } } } });
    await until(told, (tasks) => tasks.some(({ status }) => status === 'completed'), 10_000);
    leave.abort();
    await listening;
  });
});
