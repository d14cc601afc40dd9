import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { META, MODERN_VERSION } from '../core/mcp.ts';
import { eraOf, type Message, MessageError, parseMessages } from './classify.ts';

const parse = (value: unknown) => parseMessages(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));

function one(value: unknown): Message {
  const [message] = parse(value).messages;
  if (message === undefined) throw new Error('there is no message');
  return message;
}

function refusal(work: () => unknown): MessageError {
  try {
    work();
  } catch (error) {
    if (error instanceof MessageError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('one message', () => {
  it('is a request with the bytes of its params', () => {
    const text = '{"jsonrpc":"2.0","id":"a","method":"m","params":{"x" : 1.0,"_meta":{}}}';
    const message = one(text);
    expect(message).toMatchObject({ kind: 'request', id: 'a', method: 'm', params: Buffer.from('{"x" : 1.0,"_meta":{}}'), meta: {} });
    expect(message).toHaveProperty('body', { x: 1, _meta: {} });
  });

  it('is a notification without an id, and a request with id 0', () => {
    expect(one({ jsonrpc: '2.0', method: 'm' })).toEqual({ kind: 'notification', method: 'm', params: Buffer.from('{}'), body: {} });
    expect(one({ jsonrpc: '2.0', id: 0, method: 'm' })).toMatchObject({ kind: 'request', id: 0 });
  });

  it('is a response with the bytes of its result or error', () => {
    expect(one('{"jsonrpc":"2.0","id":1,"result":{"a":1.0}}')).toEqual({ kind: 'response', id: 1, result: Buffer.from('{"a":1.0}') });
    expect(one('{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m"}}')).toEqual({
      kind: 'response',
      id: 1,
      error: Buffer.from('{"code":-1,"message":"m"}'),
    });
  });

  it.each<[string, unknown, string]>([
    ['no JSON', '{', 'Parse error'],
    ['nothing', '', 'Parse error'],
    ['two values', '{}{}', 'Parse error'],
    ['a text', '"x"', 'must be a JSON object'],
    ['null', 'null', 'must be a JSON object'],
    ['an empty batch', '[]', 'the batch is empty'],
    ['a batch in a batch', '[[]]', 'must be a JSON object'],
    ['no jsonrpc', { id: 1, method: 'm' }, 'jsonrpc must be'],
    ['another jsonrpc', { jsonrpc: '1.0', id: 1, method: 'm' }, 'jsonrpc must be'],
    ['jsonrpc as a number', { jsonrpc: 2.0, id: 1, method: 'm' }, 'jsonrpc must be'],
    ['an id of null', { jsonrpc: '2.0', id: null, method: 'm' }, 'id must be'],
    ['an id of an object', { jsonrpc: '2.0', id: {}, method: 'm' }, 'id must be'],
    ['a fraction as id', { jsonrpc: '2.0', id: 1.5, method: 'm' }, 'id must be an integer'],
    ['an id whose digits are lost', '{"jsonrpc":"2.0","id":9007199254740993,"method":"m"}', 'id must be an integer'],
    ['a method of a number', { jsonrpc: '2.0', id: 1, method: 1 }, 'method must be a string'],
    ['params of a list', { jsonrpc: '2.0', id: 1, method: 'm', params: [] }, 'params must be an object'],
    ['params of null', { jsonrpc: '2.0', id: 1, method: 'm', params: null }, 'params must be an object'],
    ['nothing to do', { jsonrpc: '2.0', id: 1 }, 'needs a method, a result or an error'],
    ['result and error', { jsonrpc: '2.0', id: 1, result: {}, error: { code: 1, message: '' } }, 'needs a method, a result or an error'],
    ['a response without id', { jsonrpc: '2.0', result: {} }, 'a response needs an id'],
    ['a result of a list', { jsonrpc: '2.0', id: 1, result: [] }, 'result must be an object'],
    ['an error without code', { jsonrpc: '2.0', id: 1, error: { message: '' } }, 'error must be an object'],
    ['two methods', '{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}', '"method" stands twice'],
    ['two names', '{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x","n\\u0061me":"y"}}', '"params.name" stands twice'],
    ['two versions', '{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"v":1,"v":2}}}', '"params._meta.v" stands twice'],
  ])('is refused: %s', (_what, value, text) => {
    expect(refusal(() => parse(value)).message).toContain(text);
  });

  it('carries its id in the refusal where it can be read, and none where it cannot', () => {
    expect(refusal(() => one({ jsonrpc: '2.0', id: 'mine', method: 1 })).id).toBe('mine');
    expect(refusal(() => one({ jsonrpc: '2.0', id: [], method: 1 })).id).toBeUndefined();
  });

  it('refuses bytes that are no UTF-8', () => {
    expect(refusal(() => parseMessages(Buffer.from([0x22, 0xff, 0x22]))).code).toBe('request/parse');
  });

  it('never throws anything but a refusal, whatever the bytes', () => {
    const texts = fc.oneof(
      fc.json(),
      fc.string(),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parseMessages(Buffer.from(text));
        } catch (error) {
          expect(error).toBeInstanceOf(MessageError);
        }
      }),
    );
  });

  it('reads any envelope that JSON can write', () => {
    const ids = fc.oneof(fc.string(), fc.maxSafeInteger());
    fc.assert(
      fc.property(ids, fc.string(), fc.dictionary(fc.string(), fc.jsonValue()), (id, method, params) => {
        const text = JSON.stringify({ jsonrpc: '2.0', id, method, params });
        const { body } = JSON.parse(text) as { body?: unknown };
        expect(body).toBeUndefined();
        expect(one(text)).toMatchObject({
          kind: 'request',
          id: (JSON.parse(text) as { id: unknown }).id,
          method,
          params: Buffer.from(JSON.stringify(params)),
        });
      }),
    );
  });
});

describe('a batch', () => {
  it('is its messages in their order, each with its own bytes', () => {
    const { messages, batch } = parse('[{"jsonrpc":"2.0","id":1,"method":"a","params":{"n":1.0}}, {"jsonrpc":"2.0","method":"b"}]');
    expect(batch).toBe(true);
    expect(messages).toMatchObject([
      { id: 1, params: Buffer.from('{"n":1.0}') },
      { kind: 'notification', method: 'b' },
    ]);
  });

  it('has 100 messages at most', () => {
    const of = (count: number) => Array.from({ length: count }, (_, id) => ({ jsonrpc: '2.0', id, method: 'ping' }));
    expect(parse(of(100)).messages).toHaveLength(100);
    expect(refusal(() => parse(of(101))).message).toContain('more than 100 messages');
  });
});

describe('the era', () => {
  const meta = { [META.protocolVersion]: MODERN_VERSION };
  const request = (method: string, params?: object) => one({ jsonrpc: '2.0', id: 1, method, ...(params === undefined ? {} : { params }) });
  const modern = (method: string) => request(method, { _meta: meta });

  it('is modern for whatever carries a version in its body, `initialize` and unsupported versions included', () => {
    expect(eraOf(modern('tools/list'), undefined)).toBe('modern');
    expect(eraOf(modern('tools/list'), '2025-11-25')).toBe('modern');
    expect(eraOf(modern('initialize'), undefined)).toBe('modern');
    expect(eraOf(request('x', { _meta: { [META.protocolVersion]: 5 } }), undefined)).toBe('modern');
    expect(eraOf(one({ jsonrpc: '2.0', method: 'n', params: { _meta: meta } }), undefined)).toBe('modern');
  });

  it('is legacy for everything else without a modern header', () => {
    for (const version of [undefined, '2025-11-25', '', 'nonsense', '2026-07-28, 2026-07-28']) {
      expect(eraOf(request('tools/list'), version)).toBe('legacy');
      expect(eraOf(request('initialize'), version)).toBe('legacy');
      expect(eraOf(one({ jsonrpc: '2.0', id: 1, result: {} }), version)).toBe('legacy');
    }
  });

  it('cannot be decided by a header: it only contradicts the body', () => {
    expect(refusal(() => eraOf(request('tools/list'), MODERN_VERSION))).toMatchObject({ code: 'request/envelope', id: 1 });
    expect(refusal(() => eraOf(request('initialize'), MODERN_VERSION))).toMatchObject({ code: 'request/header', id: 1 });
    expect(eraOf(one({ jsonrpc: '2.0', id: 1, result: {} }), MODERN_VERSION)).toBe('modern');
  });

  it('is not fooled by a `_meta` that is no object', () => {
    for (const wrong of ['x', 1, null, [meta]]) expect(eraOf(request('tools/list', { _meta: wrong }), undefined)).toBe('legacy');
  });
});
