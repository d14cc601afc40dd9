import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { member, memberSpans, toJson } from '../core/json.ts';
import { type Era, isJsonObject, type JsonObject, META_PREFIX } from '../core/mcp.ts';
import type { UpstreamCall } from '../core/ports.ts';
import { RequestWriter } from '../upstream/envelope.ts';
import { dispatch } from './dispatch.ts';
import { RELAY_EDITS } from './edits.ts';
import { ResultMetas } from './result-metas.ts';
import { convertAnswer } from './results.ts';
import { type Answering, errorOf, NEVER, resultOf, SampleConnection, SampleConnections, sampleExchange, sampleServices } from './sample-services.ts';
import { gateway } from './sample-skills.ts';
import { Subscriber } from './subscriber.ts';
import { SampleTasks } from './tasks/sample-tasks.ts';

type Where = (typeof RELAY_EDITS)[number]['where'];
type More = NonNullable<Parameters<typeof sampleExchange>[0]>;

/** One request through the dispatcher; what went to the upstream, what came back, and what the client was told. */
async function through(upstreamEra: Era, answer: Answering, more: More = {}) {
  const connection = new SampleConnection(upstreamEra);
  connection.answer = answer;
  const { services, clock } = sampleServices(new SampleConnections(connection));
  const { exchange, told } = sampleExchange({ body: { name: 'x_a_read' }, ...more });
  const replying = dispatch(services, exchange);
  await new Promise((resolve) => setImmediate(resolve));
  // What session upstreams ask is gathered for a moment.
  clock.advance(services.settings.bridge.gatherWindow);
  const reply = await replying;
  const sent = JSON.parse(connection.calls.at(-1)?.params.toString() ?? '{}') as JsonObject;
  return { told, sent, services, exchange, reply: JSON.parse((reply.kind === 'result' ? reply.result : reply.error).toString()) as JsonObject };
}

const tools = { content: [] };
const legacy = { era: 'legacy' } as const;
const read = { method: 'resources/read', body: { uri: 'memo://x' } };
const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
const FORM = { type: 'object', properties: {} };
const ELICITATION = { method: 'elicitation/create', params: { message: 'm', requestedSchema: FORM } };

/** What each row of the table promises. */
const PROOFS: Readonly<Record<Where, () => Promise<void>>> = {
  'result._meta': async () => {
    const answer = () => resultOf({ ...tools, _meta: { 'io.modelcontextprotocol/x': 1, v: 2 } });
    const ours = { 'io.modelcontextprotocol/serverInfo': { name: 'turnpike', version: '0' }, 'turnpike/upstream': 'a' };
    expect((await through('modern', answer)).reply._meta).toEqual({ v: 2, ...ours });
    expect((await through('modern', answer, legacy)).reply._meta).toEqual({ v: 2 });
  },
  'result.resultType': async () => {
    expect((await through('legacy', () => resultOf(tools))).reply.resultType).toBe('complete');
    expect((await through('modern', () => resultOf({ resultType: 'complete' }), legacy)).reply).toEqual({});
  },
  'result.ttlMs, result.cacheScope': async () => {
    const answer = () => resultOf({ contents: [], ttlMs: 1e9, cacheScope: 'public' });
    expect((await through('modern', answer, read)).reply).toMatchObject({ ttlMs: 3_600_000, cacheScope: 'public' });
    expect((await through('legacy', () => resultOf({ contents: [] }), read)).reply).toMatchObject({ ttlMs: 0, cacheScope: 'private' });
    expect((await through('modern', answer, { ...read, ...legacy })).reply).toEqual({ contents: [] });
  },
  'result.requestState': async () => {
    const answer = ({ params }: UpstreamCall) =>
      params.includes('requestState') ? resultOf(tools) : resultOf({ resultType: 'input_required', requestState: 's \u00e9' });
    const { reply, services, exchange } = await through('modern', answer);
    expect(reply.requestState).toMatch(/^rs1\./);
    const connection = new SampleConnection('modern');
    const body = { ...exchange.body, requestState: reply.requestState };
    await dispatch({ ...services, connections: new SampleConnections(connection) }, sampleExchange({ body }).exchange);
    expect(JSON.parse(connection.calls[0]?.params.toString() ?? '')).toMatchObject({ requestState: 's \u00e9' });
  },
  'result.inputRequests.*.params.message': async () => {
    const answer = () => resultOf({ resultType: 'input_required', inputRequests: { q: ELICITATION } });
    const { reply } = await through('modern', answer, { capabilities: { elicitation: {} } });
    expect(reply.inputRequests).toEqual({ q: { ...ELICITATION, params: { message: 'Server “a” asks: m', requestedSchema: FORM } } });
  },
  'result.inputRequests.*': async () => {
    const secret = {
      method: 'elicitation/create',
      params: { message: 'm', requestedSchema: { type: 'object', properties: { password: { type: 'string' } } } },
    };
    const sampling = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1, includeContext: 'allServers' } };
    const answer = () => resultOf({ resultType: 'input_required', inputRequests: { p: secret, s: sampling } });
    const { reply } = await through('modern', answer, { capabilities: { elicitation: {}, sampling: {} } });
    expect(reply.inputRequests).toEqual({ s: { ...sampling, params: { ...sampling.params, includeContext: 'none' } } });
    expect(reply.requestState).toMatch(/^rs1\./);
  },
  'result (input_required)': async () => {
    const answer = ({ params }: UpstreamCall) =>
      params.includes('inputResponses')
        ? resultOf(tools)
        : resultOf({ resultType: 'input_required', inputRequests: { q: ELICITATION }, requestState: 's' });
    const ask = async (method: string) => resultOf({ action: 'accept', content: {}, of: method });
    const { reply, services } = await through('modern', answer, { ...legacy, capabilities: { elicitation: {} }, ask });
    expect(reply).toEqual(tools);
    const { connections } = services as unknown as { connections: { next: SampleConnection[] } };
    expect(JSON.parse(connections.next[0]?.calls[1]?.params.toString() ?? '')).toEqual({
      name: 'read',
      inputResponses: { q: { action: 'accept', content: {}, of: 'elicitation/create' } },
      requestState: 's',
    });
  },
  'server request': async () => {
    const url = { mode: 'url', message: 'm', url: 'https://example.com/', elicitationId: 'e' };
    const answer = async ({ relay, signal }: UpstreamCall) => {
      const given = await relay.request('elicitation/create', toJson(url), signal);
      return resultOf({ content: [], given: JSON.parse((given as { result: Buffer }).result.toString()) });
    };
    const capabilities = { elicitation: { url: {} } };
    const { reply, services, exchange } = await through('legacy', answer, { capabilities });
    const params = { mode: 'url', message: 'Server “a” asks: m', url: url.url };
    expect(reply).toMatchObject({ resultType: 'input_required', inputRequests: { 'r1-1': { method: 'elicitation/create', params } } });
    expect(JSON.stringify(reply)).not.toContain('elicitationId');
    const body = { ...exchange.body, requestState: reply.requestState, inputResponses: { 'r1-1': { action: 'accept' } } };
    const retried = await dispatch(services, sampleExchange({ body, capabilities }).exchange);
    expect(JSON.parse((retried as { result: Buffer }).result.toString())).toMatchObject({ resultType: 'complete', given: { action: 'accept' } });
  },
  'error -32042': async () => {
    const elicitations = [{ mode: 'url', message: 'm', url: 'https://example.com/', elicitationId: 'e' }];
    const capabilities = { elicitation: { url: {} } };
    const { reply } = await through('legacy', () => errorOf(-32042, 'no', { elicitations }), { capabilities });
    const params = { mode: 'url', message: 'Server “a” asks: m', url: 'https://example.com/' };
    expect(reply).toMatchObject({ resultType: 'input_required', inputRequests: { u1: { method: 'elicitation/create', params } } });
  },
  'server request params.mode, params.elicitationId': async () => {
    const questions = {
      f: { method: 'elicitation/create', params: { mode: 'form', message: 'm', requestedSchema: FORM } },
      u: { method: 'elicitation/create', params: { mode: 'url', message: 'm', url: 'https://example.com/' } },
    };
    const asked: unknown[] = [];
    const ask = async (_method: string, params: Buffer) => {
      const { mode, elicitationId } = JSON.parse(params.toString()) as JsonObject;
      asked.push([mode, elicitationId]);
      return resultOf({ action: 'cancel' });
    };
    const answer = (inputRequests: object) => (call: UpstreamCall) =>
      call.params.includes('inputResponses') ? resultOf(tools) : resultOf({ resultType: 'input_required', inputRequests });
    const capabilities = { elicitation: { form: {}, url: {} } };
    await through('modern', answer(questions), { ...legacy, capabilities, ask });
    expect(asked).toEqual([
      ['form', undefined],
      ['url', expect.stringMatching(/^[0-9a-f-]{36}$/)],
    ]);
    asked.length = 0;
    await through('modern', answer({ f: questions.f }), { ...legacy, version: '2025-06-18', capabilities, ask });
    expect(asked).toEqual([[undefined, undefined]]);
  },
  'result.taskId, params.taskId': async () => {
    const answer = ({ method }: UpstreamCall) => resultOf({ ...(method === 'tools/call' ? { resultType: 'task' } : {}), taskId: 'inner' });
    const { reply, services } = await through('modern', answer, { capabilities: TASKS });
    expect(reply.taskId).toMatch(/^tk1\./);
    const connection = new SampleConnection('modern');
    connection.answer = answer;
    const { exchange } = sampleExchange({ method: 'tasks/get', body: { taskId: reply.taskId }, capabilities: TASKS });
    const again = await dispatch({ ...services, connections: new SampleConnections(connection) }, exchange);
    expect(connection.calls[0]?.params.toString()).toBe('{"taskId":"inner"}');
    expect(JSON.parse((again as { result: Buffer }).result.toString())).toMatchObject({ taskId: reply.taskId });
  },
  'result.structuredContent': async () => {
    const answer = () => resultOf({ content: [], structuredContent: [1] });
    expect((await through('modern', answer, legacy)).reply).toEqual({ content: [], structuredContent: { result: [1] } });
    expect((await through('modern', answer, { ...legacy, version: '2025-03-26' })).reply).toEqual({ content: [] });
  },
  'result.content[], result.messages[].content': async () => {
    const link = { type: 'resource_link', uri: 'memo://x', name: 'x' };
    const audio = { type: 'audio', mimeType: 'audio/wav', data: Buffer.alloc(7).toString('base64') };
    const words = { type: 'text', text: 'memo://x' };
    const line = { type: 'text', text: '[audio: audio/wav, 7 bytes]' };
    const at = (version: string) => ({ ...legacy, version });
    const answer = () => resultOf({ content: [link, audio] });
    expect((await through('legacy', answer, at('2025-06-18'))).reply).toEqual({ content: [link, audio] });
    expect((await through('legacy', answer, at('2025-03-26'))).reply).toEqual({ content: [words, audio] });
    expect((await through('legacy', answer, at('2024-11-05'))).reply).toEqual({ content: [words, line] });
    const prompt = { method: 'prompts/get', body: { name: 'x_a_p' } };
    const said = (content: unknown) => ({ messages: [{ role: 'user', content, v: 1 }] });
    expect((await through('legacy', () => resultOf(said(audio)), { ...at('2024-11-05'), ...prompt })).reply).toEqual(said(line));
    expect((await through('legacy', () => resultOf(said(link)), { ...at('2025-03-26'), ...prompt })).reply).toEqual(said(words));
  },
  'error.code': async () => {
    expect((await through('modern', () => errorOf(-32602), { ...read, ...legacy })).reply.code).toBe(-32002);
    expect((await through('legacy', () => errorOf(-32002), read)).reply.code).toBe(-32602);
  },
  'notification params._meta': async () => {
    const { told } = await through(
      'modern',
      ({ relay }) => {
        relay.notification('notifications/message', toJson({ level: 'info', _meta: { 'io.modelcontextprotocol/subscriptionId': 'forged', v: 1 } }));
        return resultOf(tools);
      },
      { logLevel: 'info' },
    );
    expect(told[0]?.params).toEqual({ level: 'info', _meta: { v: 1 } });
  },
  'notification params.progressToken': async () => {
    const { told } = await through(
      'modern',
      ({ relay }) => {
        relay.notification('notifications/progress', toJson({ progress: 1 }));
        return resultOf(tools);
      },
      { progressToken: 'own' },
    );
    expect(told[0]?.params).toEqual({ progress: 1, progressToken: 'own' });
  },
  'params.uri': async () => {
    const connection = new SampleConnection('legacy');
    const { services } = sampleServices(new SampleConnections(connection));
    const told: string[] = [];
    const { exchange } = sampleExchange();
    const subscriber = new Subscriber({
      services,
      caller: exchange.caller,
      profile: '-',
      signal: exchange.signal,
      notify: (_method, params) => told.push(params.toString()),
    });
    await subscriber.watchResource('a', 'memo://x', 'turnpike://a/memo%3A%2F%2Fx');
    connection.emit({ kind: 'notification', method: 'notifications/resources/updated', params: Buffer.from('{"v":1.0,"uri":"memo://x"}') });
    expect(told).toEqual(['{"v":1.0,"uri":"turnpike://a/memo%3A%2F%2Fx"}']);
  },
  'result.contents[].uri': async () => {
    const answer = () => resultOf({ contents: [{ uri: 'memo://x' }, { uri: 'memo://y' }] });
    const uri = 'turnpike://a/memo%3A%2F%2Fx';
    expect((await through('modern', answer, { method: 'resources/read', body: { uri } })).reply.contents).toEqual([{ uri }, { uri: 'memo://y' }]);
    expect((await through('modern', answer, read)).reply.contents).toEqual([{ uri: 'memo://x' }, { uri: 'memo://y' }]);
  },
  'result.skill, result.resources[]': async () => {
    const said = { uri: 'skill://s/SKILL.md', resources: [{ uri: 'skill://s/SKILL.md', size: 1 }], _meta: { 'io.modelcontextprotocol/x': 1, v: 2 } };
    const answer: Answering = ({ method }) => resultOf(method === 'skills/get' ? { skill: said } : { resources: [said] });
    const { result } = gateway({ a: { answer, settings: { directoryRead: true } } });
    const uri = 'turnpike://a/skill://s/SKILL.md';
    const plain = { ...said, _meta: { v: 2 } };
    const cached = { ttlMs: 0, cacheScope: 'private' };
    expect(await result('skills/get', { uri: said.uri })).toMatchObject({ skill: plain, ...cached });
    expect(await result('skills/get', { uri })).toMatchObject({ skill: { ...plain, uri, resources: [{ uri, size: 1 }] }, ...cached });
    expect(await result('resources/directory/read', { uri: 'skill://s' })).toMatchObject({ resources: [plain] });
    expect(await result('resources/directory/read', { uri: 'turnpike://a/skill://s' })).toMatchObject({ resources: [{ ...plain, uri }] });
  },
  'params.name, params.uri': async () => {
    expect((await through('modern', () => resultOf(tools))).sent).toEqual({ name: 'read' });
    const byName = { method: 'prompts/get', body: { name: 'x_a_p' } };
    expect((await through('modern', () => resultOf({ messages: [] }), byName)).sent).toEqual({ name: 'p' });
    const byUri = { method: 'resources/read', body: { uri: 'turnpike://a/memo%3A%2F%2Fx' } };
    expect((await through('modern', () => resultOf({ contents: [] }), byUri)).sent).toEqual({ uri: 'memo://x' });
  },
  'params._meta': async () => {
    const params = toJson({ name: 't', _meta: { 'io.modelcontextprotocol/clientInfo': { name: 'client' }, progressToken: 'own', v: 1 } });
    const call = {
      method: 'tools/call',
      params,
      capabilities: { sampling: {} },
      progress: true,
      relay: { notification() {}, request: async () => resultOf({}) },
      signal: new AbortController().signal,
    };
    expect(JSON.parse(new RequestWriter({ name: 'turnpike' }).write('modern', 7, call).toString()).params._meta).toEqual({
      'io.modelcontextprotocol/clientInfo': { name: 'turnpike' },
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': { sampling: {} },
      progressToken: 7,
      v: 1,
    });
    expect(JSON.parse(new RequestWriter({}).write('legacy', 7, call).toString()).params._meta).toEqual({ progressToken: 7, v: 1 });
  },
  'result.task': async () => {
    const sample = new SampleTasks();
    const { result } = await sample.call();
    expect(result).toMatchObject({ resultType: 'task', taskId: expect.stringMatching(/^tk1\./), ttlMs: 3_600_000, pollIntervalMs: 200 });
    for (const key of ['task', 'ttl', 'pollInterval']) expect(result).not.toHaveProperty(key);
    sample.job.end();
    expect((await sample.get(result.taskId)).result).toMatchObject({ status: 'completed', result: { content: [{ text: 'done' }] } });
  },
  'result (task)': async () => {
    const sample = new SampleTasks();
    const { exchange } = sampleExchange({ ...legacy, body: { name: 'x_a_only' } });
    const driven = dispatch(sample.services, exchange);
    await new Promise((resolve) => setImmediate(resolve));
    sample.job.end();
    await sample.clock.advanceAsync(200);
    expect(JSON.parse(((await driven) as { result: Buffer }).result.toString())).toEqual({ content: [{ type: 'text', text: 'done' }] });
  },
  'params.task': async () => {
    const sample = new SampleTasks();
    await sample.request('tools/call', { name: 'x_a_job', task: { ttl: 1 } });
    expect(sample.job.wish).toEqual({ ttl: 86_400_000 });
    for (const era of ['modern', 'legacy'] as const)
      expect((await through(era, () => resultOf(tools), { body: { name: 'x_a_read', task: { ttl: 1 } } })).sent).toEqual({ name: 'read' });
  },
  'params.inputResponses, params.requestState': async () => {
    const body = { name: 'x_a_read', inputResponses: { a: {} }, requestState: 'x' };
    for (const era of ['modern', 'legacy'] as const)
      expect((await through(era, () => resultOf(tools), { body, ...legacy })).sent).toEqual({ name: 'read' });
  },
  'params.ref.name, params.ref.uri': async () => {
    const completed = () => resultOf({ completion: { values: [] } });
    const ref = (body: JsonObject) => ({ method: 'completion/complete', body: { ref: body, argument: { name: 'n', value: 'v' } } });
    expect((await through('modern', completed, ref({ type: 'ref/prompt', name: 'x_a_p' }))).sent.ref).toEqual({ type: 'ref/prompt', name: 'p' });
    const uri = 'turnpike://a/memo%3A%2F%2Fx';
    expect((await through('modern', completed, ref({ type: 'ref/resource', uri }))).sent.ref).toEqual({ type: 'ref/resource', uri: 'memo://x' });
  },
  'server request params.message': async () => {
    expect(await askedThrough({ message: 'm', requestedSchema: FORM, v: 1 })).toEqual({ message: 'Server “a” asks: m', requestedSchema: FORM, v: 1 });
  },
  'server request params._meta': async () => {
    expect(await askedThrough({ requestedSchema: FORM, _meta: { 'io.modelcontextprotocol/x': 1, v: 1 } })).toEqual({
      requestedSchema: FORM,
      _meta: { v: 1 },
    });
  },
};

/** What a session's client is asked when its upstream asks for a form. */
async function askedThrough(params: object): Promise<unknown> {
  const asked: unknown[] = [];
  await through(
    'legacy',
    ({ relay, signal }) => {
      void relay.request('elicitation/create', toJson(params), signal);
      return resultOf(tools);
    },
    {
      ...legacy,
      capabilities: { elicitation: {} },
      ask: (_method, bytes) => {
        asked.push(JSON.parse(bytes.toString()));
        return new Promise(() => {});
      },
    },
  );
  return asked[0];
}

describe('the table of edits', () => {
  it('is whole: every row has a proof, and no proof is without a row', () => {
    expect(Object.keys(PROOFS).sort()).toEqual(RELAY_EDITS.map(({ where }) => where).sort());
  });

  for (const { where } of RELAY_EDITS) it(`says what happens: ${where}`, PROOFS[where]);
});

/** JSON as others write it: numbers and strings in every form, blanks, repeated members. */
const blank = fc.constantFrom('', ' ', '\n  ');
const numberText = fc.constantFrom('0', '-0', '1.0', '1e2', '1E+2', '9007199254740993', '12345678901234567890', '0.10', '-1.50e-7');
const textText = fc.oneof(
  fc.constantFrom('"\\u00e9"', '"\u00e9"', '"a\\/b"', '"\\ud83d\\ude00"', '"}],{"', '"\\""', '""', '"resultType"'),
  fc.string().map((text) => JSON.stringify(text)),
);
const { value: anyText } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, numberText, textText, fc.constantFrom('true', 'false', 'null'), tie('array'), tie('object')),
  array: fc.tuple(blank, fc.array(tie('value'), { maxLength: 3 })).map(([space, items]) => `[${space}${items.join(`,${space}`)}${space}]`),
  object: membersOf(fc.constantFrom('a', 'b', 'type', 'text'), tie('value')),
}));

function membersOf(key: fc.Arbitrary<string>, value: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .array(fc.tuple(key, blank, value, blank), { maxLength: 5 })
    .map(
      (members) => `{${members.map(([name, before, text, after]) => `${before}${JSON.stringify(name)}${before}:${after}${text}${after}`).join(',')}}`,
    );
}

const metaText = membersOf(
  fc.constantFrom('vendor', 'example.com/x', 'turnpike/upstream', 'progressToken', `${META_PREFIX}serverInfo`, `${META_PREFIX}x`),
  anyText,
);
const resultText = fc
  .array(
    fc.oneof(
      fc.tuple(fc.constantFrom('content', 'structuredContent', 'isError', 'zeta', 'ttlMs', 'cacheScope', '__proto__', 'requestState'), anyText),
      fc.tuple(fc.constant('_meta'), fc.oneof(metaText, anyText)),
      fc.tuple(fc.constant('resultType'), fc.constant('"complete"')),
    ),
    { maxLength: 7 },
  )
  .chain((members) => fc.tuple(fc.constant(members), fc.array(blank, { minLength: 8, maxLength: 8 })))
  .map(
    ([members, blanks]) => `{${members.map(([key, text], at) => `${blanks[at]}${JSON.stringify(key)}:${blanks[at]}${text}${blanks[at]}`).join(',')}}`,
  );

/** Members as bytes, those aside that an edit may touch. */
function rest(object: Buffer, touched: (key: string) => boolean): string[] {
  return memberSpans(object)
    .filter(({ key }) => !touched(key))
    .map(({ start, end }) => object.toString('utf8', start, end));
}

const TOUCHED: Readonly<Record<string, readonly string[]>> = {
  'modern modern': ['_meta', 'resultType'],
  'modern legacy': ['_meta', 'resultType'],
  'legacy modern': ['_meta', 'resultType', 'ttlMs', 'cacheScope', 'structuredContent'],
  'legacy legacy': ['_meta'],
};
const ofMeta = (key: string) => key.startsWith(META_PREFIX) || key.startsWith('turnpike/');

describe('everything that no row names', () => {
  it('passes byte for byte, whatever it is', () => {
    const era = fc.constantFrom<Era>('modern', 'legacy');
    fc.assert(
      fc.property(resultText, era, era, fc.constantFrom('tools/call', 'resources/read'), (text, clientEra, upstreamEra, method) => {
        const bytes = Buffer.from(text);
        const { exchange } = sampleExchange({ era: clientEra, method, body: { name: 't' } });
        const converted = convertAnswer(
          { kind: 'result', result: bytes },
          {
            exchange,
            upstream: 'a',
            upstreamEra,
            metas: new ResultMetas({ name: 'turnpike' }),
            label: true,
            wrapped: false,
            sealState: (state) => JSON.stringify(state),
            sealTask: (taskId) => taskId,
          },
        );
        if (converted.kind !== 'result') throw new Error('a result became an error');
        const { result } = converted;
        const before = JSON.parse(text) as JsonObject;
        const after = JSON.parse(result.toString()) as JsonObject;
        const extra = clientEra === 'modern' && method === 'resources/read' ? ['ttlMs', 'cacheScope'] : [];
        const touched = new Set([...(TOUCHED[`${clientEra} ${upstreamEra}`] ?? []), ...extra]);
        expect(rest(result, (key) => touched.has(key))).toEqual(rest(bytes, (key) => touched.has(key)));

        // What an edit did touch: reserved members of _meta only, and structured content with its own bytes inside.
        const meta = isJsonObject(before._meta) ? member(bytes, '_meta') : undefined;
        const newMeta = isJsonObject(after._meta) ? member(result, '_meta') : undefined;
        if (meta !== undefined) expect(newMeta === undefined ? [] : rest(newMeta, ofMeta)).toEqual(rest(meta, ofMeta));
        const structured = member(bytes, 'structuredContent');
        if (touched.has('structuredContent') && structured !== undefined) {
          const plain = isJsonObject(before.structuredContent);
          expect(member(result, 'structuredContent')?.toString()).toBe(plain ? structured.toString() : `{"result":${structured.toString()}}`);
        }
        const isUntouched = clientEra === 'legacy' && upstreamEra === 'legacy' && !text.includes(META_PREFIX) && !text.includes('turnpike/');
        if (isUntouched) expect(result).toBe(bytes);
      }),
      { numRuns: 400 },
    );
  });

  it('passes towards the upstream, too', async () => {
    await fc.assert(
      fc.asyncProperty(anyText, anyText, fc.constantFrom<Era>('modern', 'legacy'), async (args, vendor, era) => {
        fc.pre(isJsonObject(JSON.parse(args)));
        const text = `{"arguments": ${args},"name":"x_a_read" ,"x-vendor":${vendor}}`;
        const connection = new SampleConnection(era);
        const { services } = sampleServices(new SampleConnections(connection));
        await dispatch(services, sampleExchange({ body: text }).exchange);
        expect(connection.calls[0]?.params.toString()).toBe(text.replace('"x_a_read" ,', '"read" ,'));
      }),
      { numRuns: 60 },
    );
  });

  it('passes in notifications and questions', async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (vendor) => {
        const text = `{"level":"info" ,"data":${vendor}, "x":${vendor}}`;
        const connection = new SampleConnection('legacy');
        const { services } = sampleServices(new SampleConnections(connection));
        const asked: string[] = [];
        connection.answer = ({ relay, signal, method }) => {
          if (method === 'logging/setLevel') return resultOf({});
          relay.notification('notifications/message', Buffer.from(text));
          void relay.request('sampling/createMessage', Buffer.from(text), signal);
          return resultOf(tools);
        };
        const ask = async (_method: string, params: Buffer) => {
          asked.push(params.toString());
          return NEVER as never;
        };
        const { exchange, told } = sampleExchange({ ...legacy, body: { name: 'x_a_read' }, capabilities: { sampling: {} }, logLevel: 'debug', ask });
        await dispatch(services, exchange);
        expect(told.map(({ bytes }) => bytes)).toEqual([text]);
        expect(asked).toEqual([text]);
      }),
      { numRuns: 60 },
    );
  });
});
