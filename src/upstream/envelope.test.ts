import { describe, expect, it } from 'vitest';
import { member, memberSpans, toJson } from '../core/json.ts';
import type { Era } from '../core/mcp.ts';
import type { UpstreamCall } from '../core/ports.ts';
import { mirroredHeaders, RequestWriter } from './envelope.ts';
import { NO_RELAY } from './own-call.ts';

function call(params: string, overrides: Partial<UpstreamCall> = {}): UpstreamCall {
  return {
    method: 'tools/call',
    params: Buffer.from(params),
    capabilities: { roots: {} },
    progress: false,
    relay: NO_RELAY,
    signal: new AbortController().signal,
    ...overrides,
  };
}

/** The params of what is written; twice by one writer, which keeps what it made. */
function paramsOf(era: Era, made: UpstreamCall): string {
  const writer = new RequestWriter({ name: 'us' });
  const [first, second] = [writer.write(era, 7, made), writer.write(era, 7, { ...made, spans: memberSpans(made.params) }, true)];
  expect(second.toString()).toBe(first.toString());
  expect(first.toString()).toMatch(/^\{"jsonrpc":"2\.0","id":7,"method":"tools\/call","params":.*\}$/);
  return (member(first, 'params') as Buffer).toString();
}

describe('params for a legacy upstream', () => {
  const bytes = (params: string, overrides: Partial<UpstreamCall> = {}) => paramsOf('legacy', call(params, overrides));

  it('keep every byte where nothing is to be changed', () => {
    for (const params of ['{}', '{ "n": 1.50, "big": 12345678901234567890 }', '{"_meta":{}}', '{"_meta": { "vendor/x" : 1 } }', '{"_meta":5}']) {
      expect(bytes(params)).toBe(params);
    }
  });

  it('have our progress token, and no envelope of the caller’s', () => {
    expect(bytes('{"a":1}', { progress: true })).toBe('{"a":1,"_meta":{"progressToken":7}}');
    expect(bytes('{"_meta":{"progressToken":"theirs","io.modelcontextprotocol/clientInfo":{},"v/x":1}}', { progress: true })).toBe(
      '{"_meta":{"progressToken":7,"v/x":1}}',
    );
    expect(bytes('{"a":1,"_meta":{"progressToken":"theirs"}}')).toBe('{"a":1}');
  });
});

describe('params for a modern upstream', () => {
  const meta = (params: string, overrides: Partial<UpstreamCall> = {}) =>
    (JSON.parse(paramsOf('modern', call(params, overrides))) as { _meta: unknown })._meta;

  it('have our envelope, whatever the caller sent; vendor members and trace stay', () => {
    const forged =
      '{"_meta":{"io.modelcontextprotocol/protocolVersion":"x","io.modelcontextprotocol/other":1,"progressToken":1,"traceparent":"t","v/x":1}}';
    expect(meta(forged)).toEqual({
      traceparent: 't',
      'v/x': 1,
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'us' },
      'io.modelcontextprotocol/clientCapabilities': { roots: {} },
    });
    expect(meta('{"_meta":[]}', { progress: true, logLevel: 'info' })).toMatchObject({
      progressToken: 7,
      'io.modelcontextprotocol/logLevel': 'info',
    });
  });
});

describe('headers that repeat the body', () => {
  it('name what the body names, also against what they were given', () => {
    const headers = (method: string, params: string) =>
      mirroredHeaders(call(params, { method, headers: { 'mcp-name': 'forged', 'mcp-param-x': '1' } })) ?? {};
    expect(headers('tools/call', '{"name":"t"}')).toEqual({ 'mcp-name': 't', 'mcp-param-x': '1' });
    expect(headers('resources/read', '{"uri":"a:ä"}')['mcp-name']).toBe(`=?base64?${Buffer.from('a:ä').toString('base64')}?=`);
    expect(headers('tasks/get', '{"taskId":"k"}')['mcp-name']).toBe('k');
    expect(headers('tools/list', '{"name":"t"}')['mcp-name']).toBe('forged');
  });
});

describe('a writer', () => {
  it('quotes the method, and makes the edits of the call', () => {
    const edits = { name: toJson('theirs'), task: undefined, more: toJson(1) };
    const message = new RequestWriter({}).write('legacy', 1, call('{ "name":"ours","task":{} ,"x":1}', { method: 'x"y', edits }));
    expect(message.toString()).toBe('{"jsonrpc":"2.0","id":1,"method":"x\\"y","params":{ "name":"theirs","x":1,"more":1}}');
    expect(mirroredHeaders(call('{"name":"ours"}', { edits }))).toEqual({ 'mcp-name': 'theirs' });
  });

  it('keeps an envelope for what it was made from only', () => {
    const writer = new RequestWriter({ name: 'us' });
    const meta = (overrides: Partial<UpstreamCall>, params = '{"_meta":{ "v":1 } }') =>
      (JSON.parse(writer.write('modern', 7, call(params, overrides)).toString()) as { params: { _meta: unknown } }).params._meta;
    const base = { v: 1, ...ENVELOPE };
    const capabilities = { roots: {} };
    expect(meta({ capabilities })).toEqual(base);
    expect(meta({ capabilities, progress: true })).toEqual({ ...base, progressToken: 7 });
    expect(meta({ capabilities, logLevel: 'info' })).toEqual({ ...base, 'io.modelcontextprotocol/logLevel': 'info' });
    expect(meta({ capabilities })).toEqual(base);
    expect(meta({ capabilities: {} })).toEqual({ ...base, 'io.modelcontextprotocol/clientCapabilities': {} });
    expect(meta({ capabilities }, '{"_meta":{ "v":2 } }')).toEqual({ ...base, v: 2 });
    expect(meta({ capabilities }, '{}')).toEqual(ENVELOPE);
  });
});

const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'us' },
  'io.modelcontextprotocol/clientCapabilities': { roots: {} },
};
