import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import type { Answer, JsonObject } from '../core/mcp.ts';
import { toAnswer } from '../core/to-wire.ts';
import { dispatch } from './dispatch.ts';
import {
  ALICE,
  type Answering,
  errorOf,
  NEVER,
  resultOf,
  SampleConnection,
  SampleConnections,
  sampleExchange,
  sampleServices,
} from './sample-services.ts';

const lost = () => new TurnpikeError('upstream/lost', undefined, { upstream: 'a' });
const unsent = () => new TurnpikeError('upstream/down', 'refused', { upstream: 'a', retryable: true });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Answers one after the other; an error is thrown. */
function inTurn(...outcomes: (Answer | Error | Answering)[]): Answering {
  return (call) => {
    const next = outcomes.shift();
    if (next === undefined) throw new Error('one request too many');
    if (next instanceof Error) throw next;
    return typeof next === 'function' ? next(call) : next;
  };
}

function start(answer: Answering, era: 'modern' | 'legacy' = 'modern') {
  const connection = new SampleConnection(era);
  connection.answer = answer;
  const connections = new SampleConnections(connection);
  const { services, clock, audited } = sampleServices(connections);
  const call = (name: string, more: Parameters<typeof sampleExchange>[0] = {}) => {
    const made = sampleExchange({ body: { name, arguments: { n: 1 } }, ...more });
    const answering = dispatch(services, made.exchange);
    answering.catch(() => {});
    return { ...made, answering };
  };
  return { connection, connections, services, clock, audited, call };
}

describe('running at most once (security class 27)', () => {
  it('a write whose connection was lost is not sent again, and the outcome is unknown', async () => {
    const { connection, connections, call } = start(inTurn(lost(), resultOf({ content: [] })));
    await expect(call('x_a_write').answering).rejects.toThrow(expect.objectContaining({ code: 'upstream/lost' }));
    expect(connection.of('tools/call')).toHaveLength(1);
    expect(connections.outcomes).toEqual(['transport-error']);
  });

  it('a trusted read is sent once more, and no oftener', async () => {
    const { connection, call } = start(inTurn(lost(), resultOf({ content: [] })));
    await call('x_a_read').answering;
    expect(connection.of('tools/call')).toHaveLength(2);
    const twice = start(inTurn(lost(), lost(), resultOf({})));
    await expect(twice.call('x_a_read').answering).rejects.toThrow(expect.objectContaining({ code: 'upstream/lost' }));
    expect(twice.connection.of('tools/call')).toHaveLength(2);
  });

  it('a read that the client has seen begin is not', async () => {
    const { connection, call } = start(
      inTurn(
        (request) => {
          request.relay.notification('notifications/progress', toJson({ progress: 1 }));
          throw lost();
        },
        resultOf({ content: [] }),
      ),
    );
    const { answering, told } = call('x_a_read', { progressToken: 't' });
    await expect(answering).rejects.toThrow(expect.objectContaining({ code: 'upstream/lost' }));
    expect(connection.of('tools/call')).toHaveLength(1);
    expect(told).toHaveLength(1);
  });

  it('whatever comes from somebody who is gone already is not sent at all', async () => {
    for (const era of ['modern', 'legacy'] as const) {
      const { connection, connections, call } = start(() => resultOf({ content: [] }), 'legacy');
      const gone = AbortSignal.abort(new TurnpikeError('request/cancelled'));
      await expect(call('x_a_write', { era, signal: gone }).answering).rejects.toThrow(expect.objectContaining({ code: 'request/cancelled' }));
      expect(connection.calls).toEqual([]);
      expect(connections.taken).toEqual([]);
    }
  });

  it('whatever was certainly not sent is sent once more', async () => {
    const { connection, call } = start(inTurn(unsent(), resultOf({ content: [] })));
    await call('x_a_write').answering;
    expect(connection.of('tools/call')).toHaveLength(2);
  });

  it('a connection that is lost while it is told a level has not seen the call', async () => {
    const { connection, call } = start(inTurn(lost(), resultOf({}), resultOf({ content: [] })), 'legacy');
    await call('x_a_write', { logLevel: 'debug' }).answering;
    expect(connection.calls.map(({ method }) => method)).toEqual(['logging/setLevel', 'logging/setLevel', 'tools/call']);
  });

  it.each(['upstream/timeout', 'upstream/protocol', 'upstream/capacity', 'upstream/login', 'internal'] as const)(
    'nothing is sent again after %s',
    async (code) => {
      const { connection, call } = start(inTurn(new TurnpikeError(code), resultOf({})));
      await expect(call('x_a_read').answering).rejects.toThrow(expect.objectContaining({ code }));
      expect(connection.of('tools/call')).toHaveLength(1);
    },
  );

  it('answers are answers: errors and isError are neither repeated nor held against the connection', async () => {
    for (const answer of [errorOf(-32603), resultOf({ isError: true, content: [] })]) {
      const { connection, connections, call } = start(inTurn(answer));
      await call('x_a_read').answering;
      expect(connection.of('tools/call')).toHaveLength(1);
      expect(connections.outcomes).toEqual(['ok']);
    }
  });

  it('nothing is sent again once the client is gone', async () => {
    const { connection, connections, call } = start(inTurn((request) => NEVER(request)));
    const { answering, gone } = call('x_a_read');
    await turn();
    gone.abort(new TurnpikeError('request/cancelled'));
    await expect(answering).rejects.toThrow(expect.objectContaining({ code: 'request/cancelled' }));
    expect(connection.of('tools/call')).toHaveLength(1);
    expect(connections.outcomes).toEqual(['ok']);
    expect(connections.held).toBe(0);
  });
});

describe('the time of a call', () => {
  it('ends it with the tool and the limit that passed, cancelled upstream', async () => {
    const { connection, connections, clock, call } = start(NEVER);
    const { answering } = call('x_a_read');
    await turn();
    await clock.advanceAsync(60_000);
    await expect(answering).rejects.toThrow(expect.objectContaining({ code: 'upstream/timeout', message: "tool 'x_a_read' timed out after 60s" }));
    expect(connection.calls[0]?.signal.aborted).toBe(true);
    expect(connections.outcomes).toEqual(['transport-error']);
    expect(clock.pending).toBe(0);
  });

  it('ends one whose members name nothing, which no method of it looked at (security class 23)', async () => {
    for (const name of [{ toString: 1, valueOf: 1 }, 7, null]) {
      const { clock, call } = start(NEVER);
      const { answering } = call('', { method: 'resources/read', body: { uri: 'memo://x', name } });
      await turn();
      await clock.advanceAsync(60_000);
      await expect(answering).rejects.toThrow(expect.objectContaining({ code: 'upstream/timeout', message: "tool 'memo://x' timed out after 60s" }));
    }
  });

  it('is prolonged by progress up to the whole, also when nobody asked for progress', async () => {
    const { connection, clock, call } = start(NEVER);
    const { answering } = call('x_a_read');
    await turn();
    for (let minute = 0; minute < 61; minute++) {
      await clock.advanceAsync(59_000);
      connection.calls[0]?.relay.notification('notifications/progress', toJson({ progress: minute }));
    }
    await clock.advanceAsync(60_000);
    await expect(answering).rejects.toThrow("tool 'x_a_read' timed out after 3600s");
  });

  it('covers the wait for a connection', async () => {
    const { connections, clock, call } = start(NEVER);
    connections.lease = (_upstream, _caller, _profile, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const { answering } = call('x_a_read');
    await turn();
    await clock.advanceAsync(60_000);
    await expect(answering).rejects.toThrow('timed out after 60s');
  });
});

describe('what goes to the upstream', () => {
  const sent = async (era: 'modern' | 'legacy', more: Parameters<typeof sampleExchange>[0]) => {
    const { connection, call } = start(() => resultOf({ content: [] }), era);
    await call('x_a_write', more).answering;
    const request = connection.of('tools/call')[0];
    if (request === undefined) throw new Error('nothing was sent');
    return request;
  };

  it('has the upstream\u2019s own name and otherwise the client\u2019s bytes', async () => {
    const body = '{ "arguments":{"big":9007199254740993, "f":1.0,"f":2}, "x-vendor":[1e2],"name":"x_a_write" }';
    expect((await sent('modern', { body })).params.toString()).toBe(body.replace('x_a_write', 'write'));
    expect((await sent('legacy', { body })).params.toString()).toBe(body.replace('x_a_write', 'write'));
  });

  it('has no task parameter, and nothing of rounds for a session upstream', async () => {
    const rounds = { inputResponses: { a: {} }, task: { ttl: 1 } };
    const name = 'x_a_write';
    expect(JSON.parse((await sent('modern', { body: { name, ...rounds } })).params.toString())).toEqual({ name: 'write', inputResponses: { a: {} } });
    expect(JSON.parse((await sent('legacy', { body: { name, ...rounds } })).params.toString())).toEqual({ name: 'write' });
  });

  it('declares what the client declared and is carried, and of a session what can be asked', async () => {
    const capabilities = { sampling: {}, extensions: { 'io.modelcontextprotocol/tasks': {}, 'example.com/unknown': {} } };
    expect((await sent('modern', { capabilities })).capabilities).toEqual({ sampling: {}, extensions: { 'io.modelcontextprotocol/tasks': {} } });
    expect((await sent('modern', { capabilities, era: 'legacy' })).capabilities).toEqual({});
    const ask = async () => resultOf({});
    const declared = { ...capabilities, elicitation: { form: {}, url: {} }, roots: { listChanged: true }, tasks: {} };
    const { elicitation, sampling, roots } = declared;
    expect((await sent('modern', { capabilities: declared, era: 'legacy', ask })).capabilities).toEqual({ elicitation, sampling, roots });
    const older = await sent('modern', { capabilities: declared, era: 'legacy', version: '2025-06-18', ask });
    expect(older.capabilities).toEqual({ elicitation: { form: {} }, sampling, roots });
  });

  it('is refused here when answers to questions are no objects', async () => {
    for (const inputResponses of [null, [], 'x', { a: 1 }, { a: null }]) {
      const { connection, call } = start(() => resultOf({}));
      await expect(call('x_a_write', { body: { name: 'x_a_write', inputResponses } }).answering).rejects.toThrow(
        expect.objectContaining({ code: 'request/params' }),
      );
      expect(connection.calls).toEqual([]);
    }
  });

  it('is preceded by the most verbose level that was asked for, once', async () => {
    const { connection, call } = start(() => resultOf({ content: [] }), 'legacy');
    for (const logLevel of ['warning', 'error', 'debug', 'info'] as const) await call('x_a_read', { logLevel }).answering;
    expect(connection.of('logging/setLevel').map(({ params }) => params.toString())).toEqual(['{"level":"warning"}', '{"level":"debug"}']);
  });

  it('goes over a connection of the client\u2019s own profile when there is a session', async () => {
    const capabilities = { elicitation: {}, roots: {} };
    const { connections, call } = start(() => resultOf({ content: [] }), 'legacy');
    await call('x_a_read', { era: 'legacy', capabilities }).answering;
    await call('x_a_read', { capabilities }).answering;
    expect(connections.taken.map(({ profile }) => profile)).toEqual(['fr', 'fr']);
  });
});

describe('state between rounds', () => {
  const question = { q: { method: 'elicitation/create', params: { message: 'm', requestedSchema: { type: 'object', properties: {} } } } };

  it('is sealed for the client and comes back to the upstream byte for byte', async () => {
    const own = 'own "state" \u00e9';
    const { connection, call } = start(
      inTurn(resultOf({ resultType: 'input_required', inputRequests: question, requestState: own }), resultOf({ content: [] })),
    );
    const capabilities = { elicitation: {} };
    const first = await call('x_a_write', { capabilities }).answering;
    if (first.kind === 'error') throw new Error('refused');
    const { requestState } = JSON.parse(first.result.toString()) as JsonObject;
    expect(requestState).toMatch(/^rs1\./);
    const retry = { name: 'x_a_write', arguments: { n: 1 }, requestState, inputResponses: { q: { action: 'accept' } } };
    await call('x_a_write', { capabilities, body: retry }).answering;
    expect(JSON.parse(connection.of('tools/call')[1]?.params.toString() ?? '')).toEqual({ ...retry, name: 'write', requestState: own });

    const bob = { ...ALICE, principal: { issuer: 'static', subject: 'bob' } };
    await expect(call('x_a_write', { capabilities, body: retry, caller: bob }).answering).rejects.toThrow(
      expect.objectContaining({ code: 'state/invalid' }),
    );
    expect(connection.of('tools/call')).toHaveLength(2);
  });
});

describe('what is written down of a call', () => {
  it('is one record, also of those that were refused or failed', async () => {
    const { services, audited, call } = start(inTurn(resultOf({ content: [] }), lost(), resultOf({ isError: true })));
    await call('x_a_write').answering;
    await call('x_a_write').answering.catch(() => {});
    await call('x_a_write').answering;
    await call('x_a_gone').answering.catch(() => {});
    await call('x_a_write', { caller: { ...ALICE, scopes: new Set() } }).answering.catch(() => {});
    await services.audit.close();
    expect(audited.map(({ tool, upstream, outcome }) => [tool, upstream, outcome])).toEqual([
      ['x_a_write', 'a', 'ok'],
      ['x_a_write', 'a', 'error'],
      ['x_a_write', 'a', 'error_result'],
      ['x_a_gone', undefined, 'refused'],
      ['x_a_write', 'a', 'refused'],
    ]);
  });
});

it('a connection that is closed under a call is an unknown outcome', async () => {
  const { connection, call } = start(NEVER);
  const { answering } = call('x_a_write');
  await turn();
  connection.lose();
  const error = await answering.catch((thrown: unknown) => thrown);
  expect(JSON.parse((toAnswer(error, 'modern', 'tools/call') as { result: Buffer }).result.toString())).toMatchObject({
    isError: true,
    _meta: { 'turnpike/error': { code: -31003, upstream: 'a', retryable: false } },
  });
  expect(connection.of('tools/call')).toHaveLength(1);
});

describe('a result that is balanced, and no JSON within', () => {
  it.each([
    ['modern', '{"content":[],"_meta":{"a""{" }}'],
    ['modern', '{"content":[],"resultType":[}]}'],
    ['legacy', '{"content":[],"structuredContent":{"a":},"_meta":{"a""{" }}'],
  ] as const)('is the fault of its upstream (%s): %s', async (era, text) => {
    const { call } = start(() => ({ kind: 'result', result: Buffer.from(text) }), era);
    await expect(call('x_a_read').answering).rejects.toMatchObject({
      code: 'upstream/protocol',
      message: "upstream 'a' sent something that is not JSON",
    });
  });
});
