import { describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode, TurnpikeError } from './errors.ts';
import type { Answer } from './mcp.ts';
import { toAnswer, toWire } from './to-wire.ts';

const read = (answer: Answer) => JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString()) as unknown;

describe('an error on its way to a caller', () => {
  it('is a result of tools/call when the model should see it, complete as every result of its revision', () => {
    const down = new TurnpikeError('upstream/down', 'it is down', { upstream: 'a', retryable: true, reason: 'a secret' });
    const result = {
      content: [{ type: 'text', text: 'it is down' }],
      isError: true,
      _meta: { 'turnpike/error': { code: -31001, upstream: 'a', retryable: true } },
    };
    expect(read(toAnswer(down, 'modern', 'tools/call'))).toEqual({ resultType: 'complete', ...result });
    expect(read(toAnswer(down, 'legacy', 'tools/call'))).toEqual(result);
    const denied = new TurnpikeError('policy/denied', 'no', { data: { rule: 'denylist', tool: 't' } });
    expect(read(toAnswer(denied, 'modern', 'tools/call'))).toMatchObject({
      resultType: 'complete',
      _meta: { 'turnpike/refusal': { rule: 'denylist', tool: 't' } },
    });
  });

  it('is an error elsewhere, with the data of an upstream', () => {
    const down = new TurnpikeError('upstream/down', 'it is down', { upstream: 'a', reason: 'a secret', data: 'foreign' });
    expect(read(toAnswer(down, 'modern', 'prompts/get'))).toEqual({
      code: -31001,
      message: 'it is down',
      data: { code: -31001, upstream: 'a', retryable: false },
    });
    expect(toAnswer(new TurnpikeError('request/params', 'wrong'), 'modern', 'tools/call')).toMatchObject({ kind: 'error', code: -32602 });
  });

  it('has the code of its era for a resource that is not there', () => {
    const missing = new TurnpikeError('catalog/resource', 'not found', { data: { uri: 'a:b' } });
    expect(read(toAnswer(missing, 'modern', 'resources/read'))).toEqual({ code: -32602, message: 'not found', data: { uri: 'a:b' } });
    expect(read(toAnswer(missing, 'legacy', 'resources/read'))).toMatchObject({ code: -32002 });
  });

  it('shows its own text only where its row says so', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const wire = toWire(new TurnpikeError(code, 'the text of this one', { reason: 'internal reason' }));
      expect(wire.error.message, code).toBe(ERRORS[code].show ? 'the text of this one' : ERRORS[code].sentence);
      expect(JSON.stringify(wire)).not.toContain('internal reason');
    }
    expect(toWire(new Error('a stack and a secret')).error.message).toBe(ERRORS.internal.sentence);
  });

  it('tells when to come back in whole seconds, at least one', () => {
    expect(toWire(new TurnpikeError('limit/ip', 'slow down', { retryAfter: 0.2 })).headers).toEqual({ 'retry-after': '1' });
    expect(toWire(new TurnpikeError('limit/ip', 'slow down', { retryAfter: 1.2 })).headers).toEqual({ 'retry-after': '2' });
  });
});
