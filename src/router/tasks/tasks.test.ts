import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../core/mcp.ts';
import type { UpstreamCall } from '../../core/ports.ts';
import { dispatch } from '../dispatch.ts';
import { ALICE, errorOf, resultOf, SampleConnection, SampleConnections, sampleExchange, sampleServices } from '../sample-services.ts';
import { came, TASKS, turn, WORD } from './sample-tasks.ts';
import { sealTask } from './task-ids.ts';

const PASSWORD = { type: 'object', properties: { password: { type: 'string', title: 'Password' } } };
const form = (message: unknown, requestedSchema: object = WORD): JsonObject => ({
  method: 'elicitation/create',
  params: { message, requestedSchema },
});

/** A task of a modern upstream, as a client sees it that looks at it. */
async function looked(
  task: JsonObject | string,
  capabilities: JsonObject = { ...TASKS, elicitation: {} },
  naming: 'prefixed' | 'passthrough' = 'prefixed',
) {
  const connection = new SampleConnection('modern');
  const bytes = typeof task === 'string' ? task : JSON.stringify({ resultType: 'complete', taskId: 'inner', status: 'input_required', ...task });
  connection.answer = ({ method }: UpstreamCall) => (method === 'tasks/get' ? resultOf(bytes) : errorOf(-32603));
  const { services, audited } = sampleServices(new SampleConnections(connection));
  const { settings } = services;
  const upstreams = new Map([...settings.upstreams].map(([name, upstream]) => [name, { ...upstream, naming }]));
  const all = { ...services, settings: { ...settings, upstreams } };
  const taskId = sealTask(all, ALICE, { upstream: 'a', taskId: 'inner', hosted: false });
  const { exchange } = sampleExchange({ method: 'tasks/get', body: { taskId }, capabilities });
  const seen = await came(() => dispatch(all, exchange), 'modern');
  const updates = connection.of('tasks/update').map(({ params }) => JSON.parse(params.toString()) as JsonObject);
  await turn();
  return { ...seen, taskId, updates, audited };
}

describe('a task of a modern upstream that waits for input', () => {
  it('asks under the name of its asker, and nothing else changes', async () => {
    const { result, taskId, updates } = await looked({ inputRequests: { q: { ...form('m'), x: 1 } }, y: 2 });
    expect(result).toMatchObject({ taskId, status: 'input_required', y: 2 });
    expect(result.inputRequests).toEqual({ q: { ...form('Server “a” asks: m'), x: 1 } });
    expect(updates).toEqual([]);
    const plain = await looked({ inputRequests: { q: form('m') } }, undefined, 'passthrough');
    expect(plain.result.inputRequests).toEqual({ q: form('m') });
  });

  it('is not carried where it asks for a secret: it hears no, once, and that is audited', async () => {
    const { result, updates, audited } = await looked({ inputRequests: { s: form('Password?', PASSWORD), q: form('m') } });
    expect(result.status).toBe('input_required');
    expect(Object.keys(result.inputRequests as object)).toEqual(['q']);
    expect(updates).toEqual([{ taskId: 'inner', inputResponses: { s: { action: 'decline' } } }]);
    expect(audited.map(({ decision }) => decision)).toContain('bridge/secret-form');
  });

  it('works on when nothing is left to ask', async () => {
    const { result, updates } = await looked({ inputRequests: { s: form('Password?', PASSWORD) } });
    expect(result).toMatchObject({ status: 'working' });
    expect(result).not.toHaveProperty('inputRequests');
    expect(updates).toHaveLength(1);
  });

  it('is answered for what the client cannot be asked, or nobody could read', async () => {
    const sampling = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } };
    const odd = { method: 'odd/one', params: {} };
    const { result, updates } = await looked({
      inputRequests: { sampling, odd, none: 7, list: { method: 'elicitation/create', params: [] }, q: form('m') },
    });
    expect(Object.keys(result.inputRequests as object)).toEqual(['q']);
    const cancel = { action: 'cancel' };
    expect(updates).toEqual([{ taskId: 'inner', inputResponses: { sampling: cancel, odd: cancel, none: cancel, list: cancel } }]);
  });

  it('asks for context only where the client offers it', async () => {
    const ask = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1, includeContext: 'allServers' } };
    const { result } = await looked({ inputRequests: { c: ask } }, { ...TASKS, sampling: {} });
    expect(result.inputRequests).toEqual({ c: { ...ask, params: { ...ask.params, includeContext: 'none' } } });
  });

  it('asks nothing in a way that can be read twice', async () => {
    const start = '{"resultType":"complete","taskId":"inner","status":"input_required"';
    const secret = JSON.stringify(form('Password?', PASSWORD));
    const plain = JSON.stringify(form('m'));
    for (const requests of [`{"q":${secret},"q":${plain}}`, `{"__proto__":${plain}}`, `{"q":${secret}},"inputRequests":{"q":${plain}}`]) {
      expect(await looked(`${start},"inputRequests":${requests}}`)).toMatchObject({ code: 'upstream/protocol' });
    }
    const twice = `{"q":{"method":"elicitation/create","params":${JSON.stringify(form('Password?', PASSWORD).params)},"params":${JSON.stringify(form('m').params)}}}`;
    expect((await looked(`${start},"inputRequests":${twice}}`)).result).not.toHaveProperty('inputRequests');
  });

  it('that asks in no way at all passes', async () => {
    for (const inputRequests of [7, null, []]) expect((await looked({ inputRequests })).result.inputRequests).toEqual(inputRequests);
  });
});
