import { describe, expect, it } from 'vitest';
import { memberSpans } from './json.ts';
import { MAX_DEPTH } from './json-grammar.ts';
import { scanIncoming, scanRequest } from './scan.ts';

// That scanner and parser never disagree is shown in test/fuzz; here stands what is accepted, and what is left to the parser.

const request = (text: string) => scanRequest(Buffer.from(text));
const incoming = (text: string | Buffer) => scanIncoming(Buffer.from(text));
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('scanRequest', () => {
  it('finds id, method, params, and the members of params and _meta', () => {
    const meta = '{ "io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken" : 1 }';
    const params = `{"name":"a","_meta":${meta} , "arguments":{"name":"\\u0041","name":[1,2.5e-3,"é"]}}`;
    const scanned = request(` {"method":"tools/call", "id" :-7,"jsonrpc":"2.0","more":[{}],"params": ${params}}\n`);
    expect(scanned).toEqual({
      id: -7,
      method: 'tools/call',
      params: Buffer.from(params),
      spans: memberSpans(Buffer.from(params)),
      meta: memberSpans(Buffer.from(meta)),
    });
  });

  it('takes absent params for empty ones, and _meta for absent', () => {
    expect(request('{"jsonrpc":"2.0","id":"a b","method":"ping"}')).toEqual({
      id: 'a b',
      method: 'ping',
      params: Buffer.from('{}'),
      spans: [],
      meta: undefined,
    });
  });

  it.each(['0', '9007199254740991', '-9007199254740991', '""'])('reads the id %s', (id) => {
    expect(request(`{"jsonrpc":"2.0","id":${id},"method":"m"}`)?.id).toBe(JSON.parse(id));
  });

  const call = (part: string) => `{"jsonrpc":"2.0","id":1,"method":"m",${part}}`;
  it.each([
    ['a batch', `[${call('"x":1')}]`],
    ['a notification', '{"jsonrpc":"2.0","method":"m"}'],
    ['a response', '{"jsonrpc":"2.0","id":1,"result":{}}'],
    ['a result in a request', call('"result":{}')],
    ['an error in a request', call('"error":{}')],
    ['another version', '{"jsonrpc":"1.0","id":1,"method":"m"}'],
    ['no version', '{"id":1,"method":"m"}'],
    ['no object', '"m"'],
    ['nothing', ''],
    ['an empty object', '{}'],
    ...[
      '1.0',
      '1e2',
      '-0',
      '01',
      '9007199254740992',
      '-9007199254740993',
      '123456789012345678901234',
      'null',
      'true',
      '[]',
      '"\\u0041"',
      '-',
      '"é"',
    ].map((id) => [`the id ${id}`, `{"jsonrpc":"2.0","id":${id},"method":"m"}`]),
    ...['"\\u006d"', '"é"', '1', 'null'].map((method) => [`the method ${method}`, `{"jsonrpc":"2.0","id":1,"method":${method}}`]),
    ...['null', '[]', '1', '"a"'].map((params) => [`the params ${params}`, call(`"params":${params}`)]),
    ['_meta that is no object', call('"params":{"_meta":null}')],
    ...['"id":2', '"jsonrpc":"2.0"', '"method":"m"', '"params":{},"params":{}', '"x":1,"x":1'].map((part) => [`${part} twice`, call(part)]),
    ['a member of params twice', call('"params":{"a":1,"a":1}')],
    ['a member of _meta twice', call('"params":{"_meta":{"a":1,"a":1}}')],
    ['an escape in a key of the envelope', call('"\\u0078":1')],
    ['an escape in a key of params', call('"params":{"\\u006eame":"a"}')],
    ['an escape in a key of _meta', call('"params":{"_meta":{"\\u0078":1}}')],
    ['another alphabet in a key of params', call('"params":{"é":1}')],
    ['an escape in params.name', call('"params":{"name":"\\u0061"}')],
    ['an escape in params.uri', call('"params":{"uri":"a\\/b"}')],
    ['an escape in params.taskId', call('"params":{"taskId":"\\u0061"}')],
    ['__proto__ in the envelope', call('"__proto__":1')],
    ['__proto__ in params', call('"params":{"__proto__":1}')],
    ['__proto__ in _meta', call('"params":{"_meta":{"__proto__":1}}')],
    ['members beyond what is compared', call(`"params":{${Array.from({ length: 65 }, (_, index) => `"k${index}":1`).join(',')}}`)],
    ['envelope members beyond what is compared', call(Array.from({ length: 65 }, (_, index) => `"k${index}":1`).join(','))],
    ['something behind the end', `${call('"x":1')} 1`],
    ['a byte order mark', `\ufeff${call('"x":1')}`],
    ['a comma at the end', call('"x":1,')],
    ['no comma', call('"x":1 "y":1')],
    ['no colon', call('"x" 1')],
  ])('leaves %s to the parser', (_, text) => {
    expect(request(text)).toBeUndefined();
  });

  it.each([
    'tru',
    'nulL',
    'True',
    '01',
    '-',
    '1.',
    '.5',
    '1e',
    '+1',
    'NaN',
    '"\t"',
    '"\\x"',
    '"\\u12g4"',
    '"',
    '[1,]',
    '[1 2]',
    '{"a":1,}',
    '{"a"}',
    '{a:1}',
    ']',
    '',
  ])('does not accept %j where a value belongs', (value) => {
    for (const part of [`"x":${value}`, `"params":{"x":${value}}`, `"params":{"x":[${value || ','}]}`, `"params":{"_meta":{"x":${value}}}`]) {
      expect(request(call(part))).toBeUndefined();
    }
  });

  it('refuses bytes that are not UTF-8', () => {
    const bytes = Buffer.from(call('"params":{"a":"?"}'));
    expect(scanRequest(bytes)).toBeDefined();
    bytes[bytes.indexOf('?')] = 0xff;
    expect(scanRequest(bytes)).toBeUndefined();
  });

  it('leaves nesting beyond its bound to the parser, and does not run out of stack', () => {
    expect(request(call(`"params":{"a":${nested(MAX_DEPTH - 2)}}`))).toBeDefined();
    expect(request(call(`"params":{"a":${nested(MAX_DEPTH - 1)}}`))).toBeUndefined();
    expect(request(call(`"params":{"a":${'['.repeat(1_000_000)}`))).toBeUndefined();
  });
});

describe('scanIncoming', () => {
  it('finds the result of an id, and its members', () => {
    const result = `{"content":[{"type":"text","text":"${'\\"x\\\\'.repeat(200)}"}], "isError" : false}`;
    expect(incoming(`{"result":${result},"id":12,"jsonrpc":"2.0","x":null}`)).toEqual({
      kind: 'result',
      id: 12,
      result: Buffer.from(result),
      spans: memberSpans(Buffer.from(result)),
    });
  });

  it('finds a notification, with params or without', () => {
    const params = '{"progressToken":3,"progress":0.5}';
    expect(incoming(`{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}`)).toEqual({
      kind: 'notification',
      method: 'notifications/progress',
      params: Buffer.from(params),
      spans: memberSpans(Buffer.from(params)),
    });
    expect(incoming('{"jsonrpc":"2.0","method":"x"}')).toEqual({ kind: 'notification', method: 'x', params: Buffer.from('{}'), spans: [] });
  });

  it('skips what lies below the members', () => {
    expect(incoming('{"jsonrpc":"2.0","id":1,"result":{"a":[01,{x}]}}')?.kind).toBe('result');
  });

  const answer = (part: string) => `{"jsonrpc":"2.0","id":1,${part}}`;
  it.each([
    ['an error', answer('"error":{"code":1,"message":"m"}')],
    ['an error beside a result', answer('"result":{},"error":null')],
    ['a request', answer('"method":"ping"')],
    ['a result with a method', answer('"method":"ping","result":{}')],
    ['a result with params', answer('"result":{},"params":{}')],
    ['a result without an id', '{"jsonrpc":"2.0","result":{}}'],
    ...['"1"', 'null', '1.0', '9007199254740992'].map((id) => [`the id ${id}`, `{"jsonrpc":"2.0","id":${id},"result":{}}`]),
    ...['null', '[]', '1'].map((result) => [`the result ${result}`, answer(`"result":${result}`)]),
    ['params that are no object', '{"jsonrpc":"2.0","method":"m","params":[]}'],
    ['another version', '{"jsonrpc":"1.0","id":1,"result":{}}'],
    ['no version', '{"id":1,"result":{}}'],
    ['two results', answer('"result":{},"result":{}')],
    ['a member of the result twice', answer('"result":{"a":1,"a":2}')],
    ['an envelope member twice', answer('"x":1,"result":{},"x":2')],
    ['an escape in a key of the result', answer('"result":{"\\u0061":1}')],
    ['__proto__', answer('"result":{"__proto__":1}')],
    ['brackets closed by the other kind', answer('"result":{"a":[}]}')],
    ['brackets below, closed by the other kind', answer('"result":{"a":[[}]}')],
    ['brackets that stay open', answer('"result":{"a":[}')],
    ['a string that stays open', answer('"result":{"a":"b\\"}')],
    ['a value that is none', answer('"result":{"a":}')],
    ['nesting beyond its bound', answer(`"result":{"a":${nested(32)}}`)],
    ['two messages', `${answer('"result":{}')}${answer('"result":{}')}`],
    ['half a message', answer('"result":{}').slice(0, -1)],
  ])('leaves %s to the parser', (_, text) => {
    expect(incoming(text)).toBeUndefined();
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(incoming(Buffer.from(answer('"result":{"a":"\u00e9"}'), 'latin1'))).toBeUndefined();
    expect(incoming(answer('"result":{"a":"\u00e9"}'))).toBeDefined();
  });
});
