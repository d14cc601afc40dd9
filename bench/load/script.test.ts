import { describe, expect, it } from 'vitest';
import { META } from '../../src/core/mcp.ts';
import { headerOf } from '../http1.ts';
import type { LoadPlan } from './plan.ts';
import { Script } from './script.ts';

const plan: LoadPlan = {
  url: 'http://127.0.0.1:7000/mcp',
  era: 'modern',
  transport: 'http',
  method: 'tools/call',
  tool: 'x_mod_echo',
  token: 'a-token',
  clients: 1,
  text: 100,
  size: 300,
  events: 0,
  speech: 'progress',
  eventSize: 0,
  rate: undefined,
  watch: undefined,
};

const requestOf = (script: Script, session?: string) => {
  const id = script.nextId();
  return { id, head: script.callHead(session), body: script.bodyOf(id) };
};

describe('script of a load', () => {
  it('writes the length of every body, since ids keep their width', () => {
    const script = new Script(plan);
    for (let count = 0; count < 3; count++) {
      const { id, head, body } = requestOf(script);
      expect(headerOf(head, 'content-length')).toBe(String(Buffer.byteLength(body)));
      expect(JSON.parse(body)).toMatchObject({ id: Number(id), params: { name: 'x_mod_echo', arguments: { text: 'x'.repeat(100), size: 300 } } });
    }
  });

  it('says in modern headers what the body says, and nothing of it in a session', () => {
    const modern = requestOf(new Script(plan));
    expect(['mcp-method', 'mcp-name', 'mcp-protocol-version'].map((name) => headerOf(modern.head, name))).toEqual([
      'tools/call',
      'x_mod_echo',
      '2026-07-28',
    ]);
    expect(JSON.parse(modern.body).params._meta).toMatchObject({ [META.protocolVersion]: '2026-07-28', [META.clientCapabilities]: {} });
    const legacy = requestOf(new Script({ ...plan, era: 'legacy' }), 'session-1');
    expect(['mcp-method', 'mcp-name', 'mcp-session-id'].map((name) => headerOf(legacy.head, name))).toEqual([undefined, undefined, 'session-1']);
    expect(JSON.parse(legacy.body).params).not.toHaveProperty('_meta');
  });

  it('gives each call that wants events a token of its own', () => {
    const script = new Script({ ...plan, events: 5 });
    const tokens = [requestOf(script), requestOf(script)].map(({ id, body }) => [Number(id), JSON.parse(body).params._meta.progressToken]);
    expect(tokens.map(([id, token]) => id === token)).toEqual([true, true]);
    expect(tokens[0]).not.toEqual(tokens[1]);
  });
});
