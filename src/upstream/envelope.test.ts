import { describe, expect, it } from 'vitest';
import type { UpstreamCall } from '../core/ports.ts';
import { legacyParams, mirroredHeaders, modernParams, requestMessage } from './envelope.ts';
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

describe('params for a legacy upstream', () => {
  const bytes = (params: string, overrides: Partial<UpstreamCall> = {}) => legacyParams(call(params, overrides), 7).toString();

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
    (JSON.parse(modernParams(call(params, overrides), { name: 'us' }, 7).toString()) as { _meta: unknown })._meta;

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
      mirroredHeaders(call(params, { method, headers: { 'mcp-name': 'forged', 'mcp-param-x': '1' } }));
    expect(headers('tools/call', '{"name":"t"}')).toEqual({ 'mcp-name': 't', 'mcp-param-x': '1' });
    expect(headers('resources/read', '{"uri":"a:ä"}')['mcp-name']).toBe(`=?base64?${Buffer.from('a:ä').toString('base64')}?=`);
    expect(headers('tasks/get', '{"taskId":"k"}')['mcp-name']).toBe('k');
    expect(headers('tools/list', '{"name":"t"}')['mcp-name']).toBe('forged');
  });
});

it('ids and methods are quoted', () => {
  expect(requestMessage('a"b', 'x"y', Buffer.from('{}')).toString()).toBe('{"jsonrpc":"2.0","id":"a\\"b","method":"x\\"y","params":{}}');
});
