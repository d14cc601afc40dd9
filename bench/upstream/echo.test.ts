import { describe, expect, it } from 'vitest';
import { META, MODERN_VERSION } from '../../src/core/mcp.ts';
import { Echo, eventOf, objectionTo } from './echo.ts';

const call = (args: object, meta: object = {}) => ({ id: 7, method: 'tools/call', params: { name: 'echo', arguments: args, _meta: meta } });

describe('echo server', () => {
  const echo = new Echo(3);

  it('gives texts of the size that is asked for, which JSON must escape', () => {
    const message = echo.answer(call({ text: 'x', size: 1_000 }), true)?.message as { result: { content: { text: string }[] } };
    expect(message.result.content[0]?.text).toHaveLength(1_000);
    expect(message.result.content[0]?.text).toMatch(/"[\s\S]*\n/);
    expect(message).toMatchObject({ id: 7, result: { resultType: 'complete' } });
  });

  it('sends as many events as are asked for, with the token of the call', () => {
    const reply = echo.answer(call({ events: 2, eventSize: 30 }, { progressToken: 'p' }), false);
    expect(reply).toMatchObject({ events: 2 });
    expect(JSON.parse(eventOf(reply as never, 1)).params).toEqual({
      progressToken: 'p',
      progress: 1,
      message: expect.stringMatching(/^[\s\S]{30}$/),
    });
  });

  it('speaks the era that it is spoken to in, and no other', () => {
    const method = (name: string, isModern: boolean) => Object.keys(echo.answer({ id: 1, method: name }, isModern)?.message ?? {});
    expect(method('initialize', false)).toContain('result');
    expect(method('initialize', true)).toContain('error');
    expect(method('server/discover', true)).toContain('result');
    expect(method('server/discover', false)).toContain('error');
    expect(echo.answer({ method: 'notifications/initialized' }, false)).toBeUndefined();
  });

  it('takes the revision that a session client asks for', () => {
    const version = (protocolVersion: string) => echo.answer({ id: 1, method: 'initialize', params: { protocolVersion } }, false)?.message.result;
    expect(version('2025-03-26')).toMatchObject({ protocolVersion: '2025-03-26' });
    expect(version('1999-01-01')).toMatchObject({ protocolVersion: '2025-11-25' });
  });

  it('objects to modern headers that do not say what the body says', () => {
    const message = call({}, { [META.protocolVersion]: MODERN_VERSION, [META.clientCapabilities]: {} });
    const headers = { 'mcp-method': 'tools/call', 'mcp-name': 'echo' };
    const objection = (more: Record<string, string>) => objectionTo(message, (name) => ({ ...headers, ...more })[name as 'mcp-name']);
    expect(objection({})).toBeUndefined();
    expect(objection({ 'mcp-name': 'x_be1_echo' })).toMatchObject({ error: { message: 'Mcp-Name does not match the body' } });
    expect(objection({ 'mcp-method': 'ping' })).toMatchObject({ error: { message: 'Mcp-Method does not match the body' } });
    expect(objectionTo(call({}), (name) => headers[name as 'mcp-name'])).toMatchObject({ error: { message: '_meta is not complete' } });
  });
});
