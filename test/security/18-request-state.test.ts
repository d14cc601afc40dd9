import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import type { Answered, RequestOptions } from './kit/clients.ts';
import { GatewayRig, type User } from './kit/gateway.ts';
import { type SessionUpstream, sessionUpstream } from './kit/session-upstream.ts';
import { type ScriptedUpstream, scripted, text, tool } from './kit/upstreams.ts';

/** Class 18: what a client carries for us opens for its own call alone, untouched, in its time, once. One text for every cause. */

const INVALID = { code: -32602, message: 'Invalid or expired request state' };
const CAPABILITIES = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };
const FORM = { message: 'Which?', requestedSchema: { type: 'object', properties: { word: { type: 'string' } } } };
const ask = { method: 'elicitation/create', params: FORM };
const word = (value: string) => ({ q: { action: 'accept', content: { word: value } } });
const TOOLS = [tool('write'), tool('other')];
const PROMPTS = [{ name: 'write' }];

let session: SessionUpstream;
let modern: ScriptedUpstream;
let rig: GatewayRig;

beforeAll(async () => {
  session = await sessionUpstream({
    tools: TOOLS,
    prompts: PROMPTS,
    act: async (call) => {
      const answer = await call.ask(ask.method, { ...ask.params, _meta: { 'turnpike/inputKey': 'q' } });
      // It goes on until it is told to stop.
      if ((answer.result as JsonObject | undefined)?.action === 'cancel') await call.stopped;
      return call.method === 'prompts/get' ? { messages: [] } : text(JSON.stringify(answer.result));
    },
  });
  modern = await scripted({
    tools: [...TOOLS, ...Array.from({ length: 600 }, (_, at) => tool(`filler_${at}`))],
    prompts: PROMPTS,
    act: ({ method, params }) => {
      if ((params.arguments as JsonObject)?.task === true) return { resultType: 'task', taskId: 'inner-1', status: 'working', ttlMs: 60_000 };
      if (params.requestState === undefined)
        return { resultType: 'input_required', inputRequests: { q: ask }, requestState: 'own state of the upstream' };
      return method === 'prompts/get' ? { messages: [] } : text(JSON.stringify((params.inputResponses as JsonObject)?.q));
    },
  });
  rig = await GatewayRig.start({
    bridge: { park: { perPrincipal: 1_000, perUpstream: 1_000 } },
    upstreams: [
      { name: 'old', type: 'streamable-http', url: session.url },
      { name: 'new', type: 'streamable-http', url: modern.url },
    ],
  });
});
beforeEach(() => {
  session.calls.length = 0;
  modern.requests.length = 0;
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await session[Symbol.asyncDispose]();
  await modern[Symbol.asyncDispose]();
});

interface Use {
  readonly user?: User;
  readonly name?: string;
  readonly args?: JsonObject;
  readonly method?: string;
  readonly state?: unknown;
  readonly answers?: JsonObject;
}

const options: RequestOptions = { id: 1, capabilities: CAPABILITIES };

/** One request, by default Alice's call of `write`. */
function use(up: string, { user = 'alice', name = 'write', args = { n: 1 }, method = 'tools/call', state, answers }: Use = {}): Promise<Answered> {
  const params = {
    name: `x_${up}_${name}`,
    arguments: args,
    ...(state === undefined ? {} : { requestState: state }),
    ...(answers === undefined ? {} : { inputResponses: answers }),
  };
  return rig.modern(user).send(method, params as JsonObject, options);
}

async function stateOf(up: string): Promise<string> {
  const { result } = await use(up);
  expect(result).toMatchObject({ resultType: 'input_required', inputRequests: { q: {} } });
  return String(result.requestState);
}

/** How often an upstream was called with answers, or (session upstreams) got any. */
const answered = (up: string) =>
  up === 'old'
    ? session.calls.filter(({ heard }) => heard.length > 0).length
    : modern.calls().filter(({ params }) => params.requestState !== undefined).length;

describe.each(['old', 'new'])('a request state of upstream "%s"', (up) => {
  it('with any character changed is refused, by one text, and nothing of it reaches the upstream', async () => {
    const state = await stateOf(up);
    const calls = session.calls.length + modern.calls().length;
    const bent = [...state].map((character, at) => `${state.slice(0, at)}${character === 'A' ? 'B' : 'A'}${state.slice(at + 1)}`);
    // The last character of base64url has spare bits: each of its spellings.
    for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
      if (!state.endsWith(last)) bent.push(state.slice(0, -1) + last);
    for (let at = 0; at < bent.length; at += 20) {
      const replies = await Promise.all(bent.slice(at, at + 20).map((one) => use(up, { state: one, answers: word('stolen') })));
      for (const reply of replies) expect(reply).toMatchObject({ status: 200, answer: { id: 1, error: INVALID } });
    }
    expect(session.calls.length + modern.calls().length).toBe(calls);
    expect(answered(up)).toBe(0);
    // And untouched, it works.
    expect((await use(up, { state, answers: word('mine') })).text).toContain('mine');
    expect(answered(up)).toBe(1);
  });

  it.each<[string, (state: string) => unknown]>([
    ['something behind it', (state) => `${state}AAAA`],
    ['padding', (state) => `${state}=`],
    ['a line end', (state) => `${state}\n`],
    ['a blank before it', (state) => ` ${state}`],
    ['its end cut off', (state) => state.slice(0, -4)],
    ['its prefix only', () => 'rs1.'],
    ['no prefix', (state) => state.slice(4)],
    ['the prefix of a task id', (state) => `tk1.${state.slice(4)}`],
    ['the prefix of a cursor', (state) => `cu1.${state.slice(4)}`],
    ['twice', (state) => state + state],
    ['as a list', (state) => [state]],
    ['as an object', (state) => ({ state })],
    ['as a number', () => 1],
    ['null', () => null],
    ['empty', () => ''],
    ['a long one', () => `rs1.${'A'.repeat(200_000)}`],
  ])('with %s is refused', async (_what, bend) => {
    const state = await stateOf(up);
    expect((await use(up, { state: bend(state), answers: word('stolen') })).answer).toEqual({ jsonrpc: '2.0', id: 1, error: INVALID });
    expect(answered(up)).toBe(0);
  });

  it.each<[string, Use]>([
    ['another user', { user: 'bob' }],
    ['another user of the same tenant', { user: 'carol' }],
    ['another tool', { name: 'other' }],
    ['other arguments', { args: { n: 2 } }],
    ['more arguments', { args: { n: 1, m: 1 } }],
    ['no arguments', { args: {} }],
    ['another method', { method: 'prompts/get' }],
  ])('by %s is refused, and stays good for its own', async (_what, other) => {
    const state = await stateOf(up);
    const stolen = await use(up, { state, answers: word('stolen'), ...other });
    expect(stolen.answer).toEqual({ jsonrpc: '2.0', id: 1, error: INVALID });
    expect(answered(up)).toBe(0);
    expect((await use(up, { state, answers: word('mine') })).text).toContain('mine');
  });

  it('at another upstream is refused', async () => {
    const state = await stateOf(up);
    const there = up === 'old' ? 'new' : 'old';
    expect((await use(there, { state, answers: word('stolen') })).answer).toEqual({ jsonrpc: '2.0', id: 1, error: INVALID });
    expect(answered(there)).toBe(0);
  });

  it('after its time is refused; the call is over at its upstream', async () => {
    await using short = await GatewayRig.start({
      bridge: { stateTtl: '1s' },
      upstreams: [
        { name: 'old', type: 'streamable-http', url: session.url },
        { name: 'new', type: 'streamable-http', url: modern.url },
      ],
    });
    const client = short.modern('alice');
    const params = { name: `x_${up}_write`, arguments: { n: 1 } };
    const { result } = await client.send('tools/call', params, options);
    const call = session.calls.at(-1);
    if (up === 'old') await call?.stopped;
    else await new Promise((resolve) => setTimeout(resolve, 1_100));
    const late = await client.send('tools/call', { ...params, requestState: String(result.requestState), inputResponses: word('late') }, options);
    expect(late.answer).toEqual({ jsonrpc: '2.0', id: 1, error: INVALID });
    if (up === 'old') expect(call?.heard).toEqual([expect.objectContaining({ result: { action: 'cancel' } })]);
    else expect(answered(up)).toBe(0);
    expect(await short.metric('turnpike_bridge_parked')).toBe(0);
  });

  it('of another gateway, or before a restart without a kept key, is refused or gone, and nothing runs', async () => {
    const state = await stateOf(up);
    await using other = await GatewayRig.start({ upstreams: [{ name: up, type: 'streamable-http', url: up === 'old' ? session.url : modern.url }] });
    const params = { name: `x_${up}_write`, arguments: { n: 1 }, requestState: state, inputResponses: word('stolen') };
    expect((await other.modern('alice').send('tools/call', params, options)).answer).toEqual({ jsonrpc: '2.0', id: 1, error: INVALID });
    expect(answered(up)).toBe(0);
  });
});

describe('a handle of a parked call answers one set of inputs', () => {
  it('the same retry, again and at once, gets the stored answer; other inputs are refused; the tool ran once', async () => {
    const state = await stateOf('old');
    const first = await Promise.all(Array.from({ length: 5 }, () => use('old', { state, answers: word('mine') })));
    for (const reply of first) expect(reply.answer).toEqual(first[0]?.answer);
    expect(first[0]?.text).toContain('mine');
    for (const answers of [word('other'), {}, { ...word('mine'), more: {} }]) {
      expect((await use('old', { state, answers })).answer).toEqual({ jsonrpc: '2.0', id: 1, error: INVALID });
    }
    const again = await use('old', { state, answers: word('mine') });
    expect(again.answer).toEqual(first[0]?.answer);
    expect(session.calls).toHaveLength(1);
    expect(session.calls[0]?.heard).toHaveLength(1);
  });

  it('after the replay window the same retry is refused', async () => {
    await using short = await GatewayRig.start({
      bridge: { replayWindow: '1s' },
      upstreams: [{ name: 'old', type: 'streamable-http', url: session.url }],
    });
    const client = short.modern('alice');
    const params = { name: 'x_old_write', arguments: { n: 1 } };
    const { result } = await client.send('tools/call', params, options);
    const retry = { ...params, requestState: String(result.requestState), inputResponses: word('mine') };
    expect((await client.send('tools/call', retry, options)).text).toContain('mine');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect((await client.send('tools/call', retry, options)).answer).toEqual({ jsonrpc: '2.0', id: 1, error: INVALID });
    expect(session.calls).toHaveLength(1);
  });
});

describe('cursors and task ids are sealed alike', () => {
  it('a cursor with any character changed, or of somebody else, is refused by one text', async () => {
    const alice = rig.modern('alice');
    const { result } = await alice.send('tools/list');
    const cursor = String(result.nextCursor);
    const bent = [...cursor].map((character, at) => `${cursor.slice(0, at)}${character === 'A' ? 'B' : 'A'}${cursor.slice(at + 1)}`);
    const texts = new Set<string>();
    for (const one of [...bent, `${cursor}AAAA`, 'x', '']) {
      const { error } = await alice.send('tools/list', { cursor: one });
      expect(error).toMatchObject({ code: -32602 });
      texts.add(String(error?.message));
    }
    expect(texts.size).toBe(1);
    expect((await alice.send('tools/list', { cursor })).error).toBeUndefined();
  });

  it('a task id with any character changed, or of somebody else, is refused by one text, and no task is asked for', async () => {
    const capabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
    const made = await rig.modern('alice').call('x_new_write', { task: true }, { capabilities });
    const taskId = String(made.result.taskId);
    expect(taskId).toMatch(/^tk1\./);
    const ask = (user: User, id: string) => rig.modern(user).send('tasks/get', { taskId: id }, { id: 1, capabilities });
    const bent = [...taskId].map((character, at) => `${taskId.slice(0, at)}${character === 'A' ? 'B' : 'A'}${taskId.slice(at + 1)}`);
    for (let at = 0; at < bent.length; at += 20) {
      const replies = await Promise.all(bent.slice(at, at + 20).map((one) => ask('alice', one)));
      for (const { answer } of replies)
        expect(answer).toEqual({ jsonrpc: '2.0', id: 1, error: expect.objectContaining({ code: -32602, message: 'Unknown task' }) });
    }
    for (const user of ['bob', 'carol'] as const) expect((await ask(user, taskId)).error).toMatchObject({ code: -32602, message: 'Unknown task' });
    expect(modern.count('tasks/get')).toBe(0);
    await ask('alice', taskId);
    expect(modern.count('tasks/get')).toBe(1);
  });
});
