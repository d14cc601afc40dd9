import { describe, expect, it } from 'vitest';
import type { Exchange } from '../core/exchange.ts';
import type { Answer, Era, JsonObject } from '../core/mcp.ts';
import { ResultMetas } from './result-metas.ts';
import { type AnswerContext, convertAnswer } from './results.ts';
import { errorOf, resultOf, sampleExchange } from './sample-services.ts';

const OURS = { 'io.modelcontextprotocol/serverInfo': { name: 'turnpike', version: '0' }, 'turnpike/upstream': 'a' };
const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } };

type More = Partial<Omit<Exchange, 'body' | 'params'>> & { readonly body?: JsonObject };

/** Converts an answer of an upstream of one era for a client of the other or the same. */
function convert(upstreamEra: Era, answer: Answer, more: More = {}, context: Partial<AnswerContext> = {}): Answer {
  const { exchange } = sampleExchange({ body: { name: 'x_a_t' }, ...more });
  return convertAnswer(answer, {
    exchange,
    upstream: 'a',
    upstreamEra,
    metas: new ResultMetas({ name: 'turnpike', version: '0' }),
    label: true,
    wrapped: false,
    sealState: (state) => `sealed(${state})`,
    sealTask: (taskId) => `task(${taskId})`,
    ...context,
  });
}

function converted(...args: Parameters<typeof convert>): JsonObject {
  const answer = convert(...args);
  if (answer.kind === 'error') throw new Error(answer.error.toString());
  return JSON.parse(answer.result.toString()) as JsonObject;
}

const legacy: More = { era: 'legacy' };

describe('results for clients without sessions', () => {
  it('are complete, and from us', () => {
    for (const era of ['modern', 'legacy'] as const) {
      expect(converted(era, resultOf({ content: [] }))).toEqual({ content: [], resultType: 'complete', _meta: OURS });
    }
    expect(converted('modern', resultOf({ resultType: 'complete', content: [] }))).toEqual({ resultType: 'complete', content: [], _meta: OURS });
  });

  it('carry no forged members, and every vendor\u2019s own', () => {
    const forged = {
      'io.modelcontextprotocol/serverInfo': { name: 'forged' },
      'io.modelcontextprotocol/subscriptionId': 1,
      'turnpike/upstream': 'b',
    };
    const result = resultOf({ content: [], _meta: { ...forged, 'example.com/kept': [1.5] } });
    expect(converted('modern', result)._meta).toEqual({ ...OURS, 'example.com/kept': [1.5] });
    expect(converted('modern', resultOf({ content: [], _meta: 7 }))._meta).toEqual(OURS);
  });

  it('of a type that nobody knows are refused by name', () => {
    const strange = resultOf({ resultType: 'hologram' });
    for (const more of [{}, legacy]) {
      expect(() => convert('modern', strange, more)).toThrow(
        expect.objectContaining({ code: 'upstream/protocol', message: 'The upstream sent a result type Turnpike does not know: hologram.' }),
      );
    }
    expect(() => convert('modern', resultOf({ resultType: 7 }))).toThrow('does not know: 7');
    // A session upstream knows no result types: there it is a member like any other.
    expect(converted('legacy', strange)).toMatchObject({ resultType: 'complete' });
    expect(converted('legacy', strange, legacy)).toEqual({ resultType: 'hologram' });
  });

  it('of resources/read say how long they may be kept', () => {
    const read = (era: Era, more: object) =>
      converted(era, resultOf({ contents: [], ...more }), { method: 'resources/read', body: { uri: 'memo://x' } });
    expect(read('modern', { ttlMs: 5, cacheScope: 'public' })).toMatchObject({ ttlMs: 5, cacheScope: 'public' });
    expect(read('modern', { ttlMs: 3_600_001, cacheScope: 'private' })).toMatchObject({ ttlMs: 3_600_000, cacheScope: 'private' });
    for (const ttlMs of [undefined, -1, 1.5, '5', null])
      expect(read('modern', { ttlMs, cacheScope: 'public' })).toMatchObject({ ttlMs: 0, cacheScope: 'private' });
    expect(read('modern', { ttlMs: 5, cacheScope: 'everybody' })).toMatchObject({ ttlMs: 5, cacheScope: 'private' });
    expect(read('legacy', { ttlMs: 5, cacheScope: 'public', resultType: 'x' })).toMatchObject({ ttlMs: 0, cacheScope: 'private' });
    expect(converted('modern', resultOf({ content: [] }))).not.toHaveProperty('ttlMs');
  });
});

describe('tasks', () => {
  const task = resultOf({ resultType: 'task', taskId: 'inner', status: 'working' });

  it('are for those who declared them, under a sealed id', () => {
    expect(converted('modern', task, { capabilities: TASKS })).toEqual({ resultType: 'task', taskId: 'task(inner)', status: 'working', _meta: OURS });
    expect(() => convert('modern', task)).toThrow(expect.objectContaining({ code: 'upstream/protocol' }));
    expect(() => convert('modern', resultOf({ resultType: 'task' }), { capabilities: TASKS })).toThrow(
      expect.objectContaining({ code: 'upstream/protocol' }),
    );
    expect(() => convert('modern', task, legacy)).toThrow(expect.objectContaining({ code: 'upstream/protocol' }));
  });
});

describe('results for clients with sessions', () => {
  it('lose what their revision does not know', () => {
    const modern = resultOf({
      resultType: 'complete',
      content: [],
      ttlMs: 1,
      cacheScope: 'public',
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'a' }, 'example.com/x': 1 },
    });
    expect(converted('modern', modern, legacy)).toEqual({ content: [], _meta: { 'example.com/x': 1 } });
    expect(converted('modern', resultOf({ content: [], _meta: { 'io.modelcontextprotocol/serverInfo': {} } }), legacy)).toEqual({ content: [] });
    expect(converted('modern', resultOf({ resultType: 'complete', ttlMs: 1, cacheScope: 'public' }), legacy)).toEqual({});
  });

  it('of a session upstream keep members that only look alike', () => {
    expect(converted('legacy', resultOf({ content: [], ttlMs: 1, resultType: 'x' }), legacy)).toEqual({ content: [], ttlMs: 1, resultType: 'x' });
  });

  it('have an object for structured content', () => {
    const structured = (structuredContent: unknown, wrapped = false, era: Era = 'modern') =>
      converted(era, resultOf({ content: [], structuredContent }), legacy, { wrapped }).structuredContent;
    expect(structured([1, 2])).toEqual({ result: [1, 2] });
    expect(structured('text')).toEqual({ result: 'text' });
    expect(structured(null)).toEqual({ result: null });
    expect(structured({ a: 1 })).toEqual({ a: 1 });
    expect(structured({ a: 1 }, true)).toEqual({ result: { a: 1 } });
    expect(structured([1, 2], false, 'legacy')).toEqual([1, 2]);
  });

  it('before 2025-06-18 have neither structured content nor links', () => {
    const content = [
      { type: 'resource_link', uri: 'memo://x', name: 'x' },
      { type: 'text', text: 't' },
    ];
    const old = { era: 'legacy', version: '2025-03-26' } as const;
    for (const era of ['modern', 'legacy'] as const) {
      expect(converted(era, resultOf({ content, structuredContent: { a: 1 } }), old)).toEqual({
        content: [
          { type: 'text', text: 'memo://x' },
          { type: 'text', text: 't' },
        ],
      });
      expect(converted(era, resultOf({ content, structuredContent: { a: 1 } }), legacy)).toEqual({ content, structuredContent: { a: 1 } });
    }
  });
});

describe('errors', () => {
  const code = (answer: Answer) => (answer.kind === 'error' ? [answer.code, JSON.parse(answer.error.toString())] : undefined);
  const reading: More = { method: 'resources/read', body: { uri: 'memo://x' } };

  it('pass as they are', () => {
    const error = '{"code":-32050 ,"message":"own","data":{"big":9007199254740993}}';
    const answer: Answer = { kind: 'error', error: Buffer.from(error), code: -32050 };
    for (const era of ['modern', 'legacy'] as const) {
      for (const more of [{}, legacy]) expect(convert(era, answer, more)).toBe(answer);
    }
  });

  it('for a missing resource have the code of the client\u2019s era', () => {
    const data = { uri: 'memo://x' };
    expect(code(convert('modern', errorOf(-32602, 'no', data), { ...reading, ...legacy }))).toEqual([-32002, { code: -32002, message: 'no', data }]);
    expect(code(convert('legacy', errorOf(-32002, 'no', data), reading))).toEqual([-32602, { code: -32602, message: 'no', data }]);
    expect(code(convert('legacy', errorOf(-32002), { ...reading, ...legacy }))?.[0]).toBe(-32002);
    expect(code(convert('modern', errorOf(-32602), legacy))?.[0]).toBe(-32602);
  });

  it('about our own hop are never the client\u2019s', () => {
    for (const more of [{}, legacy]) {
      expect(() => convert('modern', errorOf(-32020), more)).toThrow(expect.objectContaining({ code: 'upstream/header' }));
      expect(() => convert('modern', errorOf(-32022), more)).toThrow(expect.objectContaining({ code: 'upstream/protocol' }));
    }
  });

  it('about a capability are the client\u2019s when it lacks it', () => {
    const lacking = (requiredCapabilities: unknown) => errorOf(-32021, 'needs', { requiredCapabilities });
    expect(() => convert('modern', lacking({ sampling: { tools: {} } }))).toThrow(
      expect.objectContaining({
        code: 'request/capability',
        details: expect.objectContaining({ data: { requiredCapabilities: { sampling: { tools: {} } } } }),
      }),
    );
    expect(() => convert('modern', lacking(TASKS))).toThrow(expect.objectContaining({ code: 'request/capability' }));
    expect(() => convert('modern', lacking({ sampling: {} }), { capabilities: { sampling: {} } })).toThrow(
      expect.objectContaining({ code: 'upstream/capability', message: 'upstream needs a capability Turnpike cannot carry: sampling' }),
    );
    for (const shapeless of [undefined, [], 'sampling']) {
      expect(() => convert('modern', lacking(shapeless))).toThrow(
        expect.objectContaining({ code: 'upstream/capability', message: 'upstream needs a capability Turnpike cannot carry: unnamed' }),
      );
    }
    for (const [capabilities, why] of [
      [{}, 'which your client does not offer'],
      [{ sampling: {} }, 'which cannot be asked on a connection that takes JSON only'],
    ] as const) {
      expect(() => convert('modern', lacking({ sampling: {} }), { ...legacy, capabilities })).toThrow(
        expect.objectContaining({ code: 'bridge/interaction', message: `This tool needs sampling, ${why}.` }),
      );
    }
  });
});
