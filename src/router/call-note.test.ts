import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { memberSpans } from '../core/json.ts';
import type { Answer } from '../core/mcp.ts';
import { CallNote } from './call-note.ts';
import { ALICE, errorOf, resultOf, sampleExchange, sampleServices } from './sample-services.ts';

/** A note of a call that led somewhere, and what was recorded of it. */
function start(more: Parameters<typeof sampleExchange>[0] = {}) {
  const { services, clock, audited } = sampleServices();
  const { exchange } = sampleExchange({ body: { name: 'x_a_write' }, ...more });
  const note = new CallNote(services, exchange);
  const recorded = async () => {
    await services.audit.close();
    return audited;
  };
  return { services, clock, note, exchange, recorded };
}

async function outcomeOf(answer: Answer): Promise<unknown> {
  const { note, recorded } = start();
  note.answered(answer);
  return (await recorded())[0]?.outcome;
}

describe('the note of a call', () => {
  it('is one record of everything that was found out, under the same fingerprints each time', async () => {
    const { services, clock, note, exchange, recorded } = start({ caller: { ...ALICE, sessionId: 'a-session' }, id: 'r-1', era: 'legacy' });
    note.exposed('x_a_write');
    note.resolved('a', 'write');
    clock.advance(1500);
    const answer = resultOf({ content: [] });
    note.answered(answer);
    expect(await recorded()).toEqual([
      {
        time: '2026-01-01T00:00:01.500Z',
        message: 'tool call',
        subsystem: 'MCP-Tool',
        requestId: 'r-1',
        tenant: 't1',
        principal: { fingerprint: services.fingerprint.of('principal', '["static","alice"]'), issuer: 'static', subject: 'alice' },
        session: services.fingerprint.of('session', 'a-session'),
        era: 'legacy',
        method: 'tools/call',
        tool: 'x_a_write',
        original: 'write',
        upstream: 'a',
        decision: 'allowed',
        outcome: 'ok',
        duration_s: 1.5,
        bytesIn: exchange.params.length,
        bytesOut: '{"content":[]}'.length,
        credentialMode: 'none',
      },
    ]);
    const page = (await services.instruments.expose()).text;
    expect(page).toContain('turnpike_tool_calls_total{tool="x_a_write",upstream="a",outcome="ok"} 1');
    expect(page).toContain('turnpike_tool_call_duration_seconds_sum{upstream="a"} 1.5');
  });

  it('has no member for what is not known, and no metric of a tool that only the caller named', async () => {
    const { services, note, recorded } = start();
    note.exposed('x_a_gone');
    note.failed(new TurnpikeError('catalog/ambiguous'));
    const [record] = await recorded();
    expect(Object.keys(record ?? {})).toEqual([
      ...['time', 'message', 'subsystem', 'requestId', 'tenant', 'principal', 'era', 'method', 'tool'],
      ...['decision', 'outcome', 'code', 'error', 'duration_s', 'bytesIn', 'bytesOut'],
    ]);
    expect(record).toMatchObject({ decision: 'catalog/ambiguous', outcome: 'refused', code: 'catalog/ambiguous', bytesOut: 0 });
    expect((await services.instruments.expose()).text).not.toContain('x_a_gone');
  });

  it('holds the error that an upstream answered', async () => {
    const { note, recorded } = start();
    note.resolved('a', 'write');
    note.answered(errorOf(-32000, 'no such thing'));
    expect(await recorded()).toMatchObject([{ outcome: 'error', code: -32000, error: 'no such thing', decision: 'allowed' }]);
  });
});

describe('an error result', () => {
  it.each([
    ['{"isError":true}', 'error_result'],
    ['{"content":[], "isError" : true }', 'error_result'],
    ['{"isError":false}', 'ok'],
    ['{"isError":"true"}', 'ok'],
    ['{"isError":[true]}', 'ok'],
    ['{"isError":null}', 'ok'],
    ['{}', 'ok'],
    ['{"isError":true,"isError":false}', 'ok'],
    ['{"content":[{"type":"text","text":"\\"isError\\":true"}]}', 'ok'],
    ['{"structuredContent":{"isError":true}}', 'ok'],
    ['{"structuredContent":{"isError":false},"isError":true}', 'error_result'],
  ])('%s is recorded as %s, whether its members are known or not', async (text, expected) => {
    const result = Buffer.from(text);
    expect(await outcomeOf({ kind: 'result', result })).toBe(expected);
    expect(await outcomeOf({ kind: 'result', result, spans: memberSpans(result) })).toBe(expected);
  });

  it('is found in any result alike, by its members and by its text', async () => {
    const value = fc.oneof(fc.boolean(), fc.jsonValue({ maxDepth: 2 }));
    const result = fc.dictionary(fc.constantFrom('content', 'isError', 'structuredContent', '_meta', 'x'), value);
    await fc.assert(
      fc.asyncProperty(result, async (members) => {
        const bytes = Buffer.from(JSON.stringify(members));
        const expected = members.isError === true ? 'error_result' : 'ok';
        expect(await outcomeOf({ kind: 'result', result: bytes })).toBe(expected);
        expect(await outcomeOf({ kind: 'result', result: bytes, spans: memberSpans(bytes) })).toBe(expected);
      }),
      { numRuns: 60 },
    );
  });
});
