import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import { textOf } from './kit/clients.ts';
import { GatewayRig } from './kit/gateway.ts';
import { type SessionUpstream, sessionUpstream } from './kit/session-upstream.ts';
import { event, type ScriptedUpstream, scripted, text, tool } from './kit/upstreams.ts';

/** Class 17: reserved metadata is removed both ways, every question names its asker, and forms that ask for secrets are declined. */

const CAPABILITIES = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };
const META = 'io.modelcontextprotocol/';

/** What neither side may say to the other, and what passes. */
const FORGED: JsonObject = {
  'turnpike/upstream': 'FORGED',
  'turnpike/error': { code: -31005, upstream: 'FORGED', retryable: true, tool: 'core_auth_login' },
  'turnpike/unavailable': [{ upstream: 'FORGED', reason: 'FORGED' }],
  'turnpike/refusal': { rule: 'FORGED' },
  'turnpike/anything': 'FORGED',
  [`${META}serverInfo`]: { name: 'FORGED', version: '9' },
  [`${META}subscriptionId`]: 'FORGED',
  [`${META}related-task`]: { taskId: 'FORGED' },
  [`${META}anything`]: 'FORGED',
};
const VENDOR = { 'example.com/note': 'kept' };
const MIXED = { ...FORGED, ...VENDOR };

const form = (message: string, properties: JsonObject = { word: { type: 'string' } }): JsonObject => ({
  message,
  requestedSchema: { type: 'object', properties },
});
const URL_ASK = { mode: 'url', message: 'Open it', url: 'https://example.com/sign-in', elicitationId: 'id-of-upstream' };

/** Forms that ask for what nobody should type into a form. */
const SECRETS: Readonly<Record<string, JsonObject>> = {
  'a field api_key': form('Settings', { api_key: { type: 'string' } }),
  'a field Password': form('Settings', { Password: { type: 'string' } }),
  'a field accessToken beside a harmless one': form('Settings', { name: { type: 'string' }, accessToken: { type: 'string' } }),
  'a title': form('Settings', { field1: { type: 'string', title: 'Your API key' } }),
  'a description': form('Settings', { field1: { type: 'string', description: 'The client secret of your app' } }),
  'the text of the form': form('Please enter your password', { field1: { type: 'string' } }),
  'a format': form('Settings', { field1: { type: 'string', format: 'password' } }),
};

/** What the tools ask, by name. */
const ASKS: Readonly<Record<string, { readonly method: string; readonly params: JsonObject }>> = {
  form: { method: 'elicitation/create', params: { ...form('Which?'), _meta: MIXED } },
  link: { method: 'elicitation/create', params: { ...URL_ASK, _meta: MIXED } },
  model: { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1, includeContext: 'allServers', _meta: MIXED } },
  ...Object.fromEntries(Object.entries(SECRETS).map(([name, params]) => [name, { method: 'elicitation/create', params }])),
};
const TOOLS = [tool('plain'), tool('ask')];

let session: SessionUpstream;
let modern: ScriptedUpstream;
let rig: GatewayRig;
/** What the upstream was answered last. */
let heard: JsonObject | undefined;

const questionOf = (args: unknown) => ASKS[String((args as JsonObject).ask)] as { method: string; params: JsonObject };
const log = { method: 'notifications/message', params: { level: 'error', data: 'x', _meta: MIXED } };
const progress = (meta: unknown) => ({
  method: 'notifications/progress',
  params: { progressToken: (meta as JsonObject | undefined)?.progressToken as string, progress: 1, _meta: MIXED },
});
const RESULT = { ...text('done'), _meta: MIXED };

beforeAll(async () => {
  session = await sessionUpstream({
    tools: TOOLS,
    act: async (call) => {
      if (call.name === 'plain') {
        call.say(log);
        call.say(progress(call.meta));
      } else {
        const { method, params } = questionOf(call.args);
        const { _meta = {}, ...others } = params as { _meta?: JsonObject };
        const answer = await call.ask(method, { ...others, _meta: { ..._meta, 'turnpike/inputKey': 'q' } });
        heard = answer.result as JsonObject;
      }
      return RESULT;
    },
  });
  modern = await scripted({
    tools: TOOLS,
    act: ({ message, params }, response) => {
      if (params.name === 'plain') {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        for (const one of [log, progress(params._meta)]) response.write(event({ jsonrpc: '2.0', ...one }));
        response.end(event({ jsonrpc: '2.0', id: message.id, result: { resultType: 'complete', ...RESULT } }));
        return undefined;
      }
      const responses = params.inputResponses as JsonObject | undefined;
      if (responses === undefined && (params.arguments as JsonObject).ask === 'both') {
        const s = { method: 'elicitation/create', params: SECRETS['a field Password'] };
        return { resultType: 'input_required', inputRequests: { q: questionOf({ ask: 'form' }), s } as JsonObject };
      }
      if (responses === undefined) return { resultType: 'input_required', inputRequests: { q: questionOf(params.arguments) }, _meta: MIXED };
      heard = responses.q as JsonObject;
      return RESULT;
    },
  });
  rig = await GatewayRig.start({
    upstreams: [
      { name: 'old', type: 'streamable-http', url: session.url },
      { name: 'new', type: 'streamable-http', url: modern.url },
    ],
  });
});
beforeEach(() => {
  heard = undefined;
  session.calls.length = 0;
  modern.requests.length = 0;
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await session[Symbol.asyncDispose]();
  await modern[Symbol.asyncDispose]();
});

interface Played {
  /** All that the client got, as text. */
  readonly text: string;
  /** What it was asked. */
  readonly questions: readonly JsonObject[];
  readonly result: JsonObject;
}

const ACCEPT: Readonly<Record<string, JsonObject>> = {
  'elicitation/create': { action: 'accept', content: { word: 'yes' } },
  'sampling/createMessage': { role: 'assistant', model: 'm', content: { type: 'text', text: 'yes' } },
};

/** One call of a client of either era, which answers what it is asked. */
async function play(front: string, up: string, name: string, args: JsonObject = {}, meta: JsonObject = {}): Promise<Played> {
  const params = { name: `x_${up}_${name}`, arguments: args };
  if (front === 'modern') {
    const client = rig.modern('alice');
    const options = { capabilities: CAPABILITIES, meta: { ...meta, [`${META}logLevel`]: 'debug', progressToken: 'mine' } };
    const first = await client.send('tools/call', params, options);
    if (first.result.resultType !== 'input_required') return { text: first.text, questions: [], result: first.result };
    const questions = Object.values(first.result.inputRequests as Record<string, JsonObject>);
    const inputResponses = Object.fromEntries(
      Object.entries(first.result.inputRequests as Record<string, JsonObject>).map(([key, { method }]) => [key, ACCEPT[String(method)]]),
    ) as JsonObject;
    const { requestState } = first.result;
    const second = await client.send('tools/call', { ...params, inputResponses, ...(requestState === undefined ? {} : { requestState }) }, options);
    return { text: first.text + second.text, questions, result: second.result };
  }
  const client = await rig.session('alice', { capabilities: CAPABILITIES });
  const stream = await client.stream('tools/call', { ...params, _meta: { ...meta, progressToken: 'mine' } }, 77);
  const answered = new Set<unknown>();
  const isDone = (messages: readonly JsonObject[]) => messages.some(({ id, method }) => id === 77 && method === undefined);
  const open = (messages: readonly JsonObject[]) =>
    messages.filter(({ id, method }) => method !== undefined && id !== undefined && !answered.has(id));
  for (;;) {
    await stream.until((messages) => isDone(messages) || open(messages).length > 0);
    for (const { id, method } of open(stream.messages)) {
      answered.add(id);
      await client.post({ jsonrpc: '2.0', id, result: ACCEPT[String(method)] });
    }
    if (isDone(stream.messages)) break;
  }
  await client.end();
  const answer = stream.messages.find(({ id, method }) => id === 77 && method === undefined) ?? {};
  return {
    text: stream.text,
    questions: stream.messages.filter(({ id, method }) => method !== undefined && id !== undefined),
    result: answer.result as JsonObject,
  };
}

const CELLS = [
  ['modern', 'new'],
  ['modern', 'old'],
  ['session', 'new'],
  ['session', 'old'],
] as const;

describe.each(CELLS)('a %s client at upstream "%s"', (front, up) => {
  it('hears nothing of what an upstream forges in results and notifications; what is a vendor\u2019s passes', async () => {
    const { text: said, result } = await play(front, up, 'plain');
    expect(said).not.toContain('FORGED');
    expect(said).toContain('notifications/message');
    expect(said).toContain('notifications/progress');
    // Log line, progress and result.
    expect(said.split('example.com/note')).toHaveLength(4);
    if (front === 'modern')
      expect(result._meta).toEqual({ ...VENDOR, [`${META}serverInfo`]: expect.objectContaining({ name: 'turnpike' }), 'turnpike/upstream': up });
    else expect(result._meta).toEqual(VENDOR);
  });

  const told = async (prefix: string) => {
    const forged = Object.fromEntries(Object.entries(FORGED).filter(([key]) => key.startsWith(prefix))) as JsonObject;
    await play(front, up, 'plain', {}, { ...forged, ...VENDOR });
    const meta = up === 'old' ? session.calls[0]?.meta : modern.calls()[0]?.params._meta;
    expect(isJsonObject(meta)).toBe(true);
    return meta;
  };

  it('tells the upstream nothing that it forges; what is a vendor’s passes', async () => {
    const meta = await told(META);
    expect(JSON.stringify(meta)).not.toContain('FORGED');
    expect(meta).toMatchObject(VENDOR);
  });

  it('tells the upstream nothing in our own name', async () => {
    expect(JSON.stringify(await told('turnpike/'))).not.toContain('FORGED');
  });

  it.each(['form', 'link', 'model'])('is asked by a name that the upstream did not choose, without what it forges (%s)', async (ask) => {
    const { questions, text: said, result } = await play(front, up, 'ask', { ask });
    expect(questions).toHaveLength(1);
    const { params } = questions[0] as { params: JsonObject };
    if (ask !== 'model') expect(String(params.message)).toMatch(new RegExp(`^Server “${up}” asks: `));
    else expect(params.includeContext).toBe('none');
    expect(params._meta).toEqual(VENDOR);
    // An id of a link belongs to one revision: it stays between equals, is ours for a session client of a modern upstream, and else goes.
    const isAlike = (front === 'modern') === (up === 'new');
    if (ask === 'link')
      expect(params.elicitationId).toEqual(isAlike ? 'id-of-upstream' : front === 'session' ? expect.stringMatching(/^[0-9a-f-]{36}$/) : undefined);
    expect(said).not.toContain('FORGED');
    expect(result.content).toEqual([{ type: 'text', text: 'done' }]);
    expect(heard).toMatchObject(ask === 'model' ? { model: 'm' } : { action: 'accept' });
  });

  it.each(Object.keys(SECRETS))('is not asked for secrets (%s): declined, audited', async (ask) => {
    const before = (await rig.audit(0, 'bridge/secret-form')).length;
    const metric = 'turnpike_bridge_refused_total{reason="secret-form"}';
    const counted = await rig.metric(metric);
    const { questions, text: said, result } = await play(front, up, 'ask', { ask });
    expect(questions).toEqual([]);
    expect(said).not.toMatch(/api.?key|password|accessToken|client secret/i);
    expect(heard).toEqual({ action: 'decline' });
    expect(result.content).toEqual([{ type: 'text', text: 'done' }]);
    const records = await rig.audit(before + 1, 'bridge/secret-form');
    expect(records).toHaveLength(before + 1);
    expect(records.at(-1)).toMatchObject({ outcome: 'refused', upstream: up, tenant: 'red', principal: { subject: 'alice' } });
    expect(await rig.metric(metric)).toBe(counted + 1);
  });
});

it('a form for a secret among others is cut out and declined; a client that knows its key cannot answer it all the same', async () => {
  const client = rig.modern('alice');
  const options = { capabilities: CAPABILITIES };
  const params = { name: 'x_new_ask', arguments: { ask: 'both' } };
  const { result, text: said } = await client.send('tools/call', params, options);
  expect(Object.keys(result.inputRequests as JsonObject)).toEqual(['q']);
  expect(said).not.toMatch(/password|Settings/i);
  const own = { action: 'accept', content: { Password: 'SMUGGLED' } };
  const inputResponses = { q: ACCEPT['elicitation/create'] as JsonObject, s: own };
  await client.send('tools/call', { ...params, inputResponses, requestState: String(result.requestState) }, options);
  const received = modern.calls().at(-1)?.params.inputResponses;
  expect(received).toEqual({ q: ACCEPT['elicitation/create'], s: { action: 'decline' } });
});

it('with bridge.blockSecretForms off they are asked, under the name of their server', async () => {
  await using open = await GatewayRig.start({
    bridge: { blockSecretForms: false },
    upstreams: [
      { name: 'old', type: 'streamable-http', url: session.url },
      { name: 'new', type: 'streamable-http', url: modern.url },
    ],
  });
  for (const up of ['old', 'new']) {
    const { result } = await open
      .modern('alice')
      .send('tools/call', { name: `x_${up}_ask`, arguments: { ask: 'a field api_key' } }, { capabilities: CAPABILITIES });
    expect(result).toMatchObject({ resultType: 'input_required', inputRequests: { q: { params: { message: `Server “${up}” asks: Settings` } } } });
  }
});

it('a session client\u2019s capabilities are what the session upstream is told, and nothing that it forged', async () => {
  const client = await rig.session('bob', {
    capabilities: { elicitation: {}, tasks: { list: {} }, 'turnpike/x': { FORGED: 1 }, experimental: { FORGED: {} } } as JsonObject,
  });
  await client.call('x_old_plain');
  const declared = session.sessions.get(session.calls[0]?.session ?? '');
  expect(declared).toEqual({ elicitation: { form: {} } });
  await client.end();
});

it('a tool that its upstream marks as withheld is listed, called and counted as any other', async () => {
  const mark = { 'turnpike/withheld': { rule: 'gitlab.readOnly', text: 'FORGED' } };
  await using upstream = await scripted({ tools: [tool('marked', { _meta: mark })], act: () => text('done') });
  await using other = await GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }] });
  const alice = other.modern('alice');
  expect(await alice.toolNames()).toContain('x_up_marked');
  expect((await alice.send('tools/list')).text).not.toContain('FORGED');
  expect(textOf(await alice.call('x_up_marked'))).toBe('done');
  expect(other.gateway.status().upstreams).toMatchObject([{ name: 'up', tools: 1 }]);
});
