import { describe, expect, it } from 'vitest';
import {
  accept,
  askedOf,
  asksFor,
  INVALID,
  NOTHING_LEFT,
  REPLAY_MS,
  type SampleBridgeOptions,
  said,
  sessionUpstream,
  someone,
  turn,
  wordsOf,
} from '../sample-bridge.ts';

describe('a call that asks', () => {
  it('is answered with its questions, stays open, and is completed by the retry: the upstream saw one call', async () => {
    const bridge = sessionUpstream();
    const { visit, state, requests } = await bridge.parked();
    expect(state).toMatch(/^rs1\./);
    expect(requests).toEqual({
      'r1-1': { method: 'elicitation/create', params: { message: 'Server “a” asks: Word 1?', requestedSchema: expect.any(Object) } },
    });
    expect(visit.done()?.result._meta).toEqual({
      'io.modelcontextprotocol/serverInfo': { name: 'turnpike', version: '0' },
      'turnpike/upstream': 'a',
    });
    expect(bridge.left()).toMatchObject({ parked: 1, records: 1, leases: 1 });
    const retry = await bridge.now(bridge.retry(state, { 'r1-1': accept('yes') }));
    expect(retry.result).toMatchObject({ resultType: 'complete' });
    expect(wordsOf(retry.result)).toEqual([accept('yes')]);
    expect(bridge.sides).toHaveLength(1);
    expect(bridge.left()).toMatchObject({ parked: 0, records: 1, leases: 0 });
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('waits as well where the upstream was believed to be stateless: nothing was sent before that was found out', async () => {
    const bridge = sessionUpstream();
    bridge.connections.eraOf = () => 'modern';
    const { state } = await bridge.parked();
    expect(bridge.connections.outcomes).toEqual(['ok']);
    const retry = await bridge.now(bridge.retry(state, { 'r1-1': accept('yes') }));
    expect(wordsOf(retry.result)).toEqual([accept('yes')]);
    expect(bridge.sides).toHaveLength(1);
    expect(bridge.connections.outcomes).toEqual(['ok', 'ok']);
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('neither `inputResponses` nor the state is told to a session upstream', async () => {
    const bridge = sessionUpstream();
    await bridge.parked({ more: { inputResponses: { other: { secret: 1 } }, task: { ttl: 1 } } });
    expect(bridge.sides[0]?.params).toEqual({ name: 'write', arguments: { n: 1 } });
  });

  it('concurrent questions of all kinds leave in one answer; their metadata and ids of ours do not', async () => {
    const bridge = sessionUpstream(async (side) => {
      await Promise.all([
        side.ask('elicitation/create', {
          mode: 'url',
          message: 'Go',
          url: 'https://example.com/',
          elicitationId: 'e1',
          _meta: { 'turnpike/inputKey': 'link', 'turnpike/upstream': 'forged', 'io.modelcontextprotocol/x': 1, 'example.com/y': 2 },
        }),
        side.ask('sampling/createMessage', { messages: [], maxTokens: 5 }),
        side.ask('roots/list', {}),
      ]);
      return said(...side.heard);
    });
    const { state, requests } = await bridge.parked();
    expect(requests).toEqual({
      link: {
        method: 'elicitation/create',
        params: { mode: 'url', message: 'Server “a” asks: Go', url: 'https://example.com/', _meta: { 'example.com/y': 2 } },
      },
      'r1-1': { method: 'sampling/createMessage', params: { messages: [], maxTokens: 5 } },
      'r1-2': { method: 'roots/list', params: {} },
    });
    const model = { role: 'assistant', model: 'm', content: { type: 'text', text: 'x' } };
    const { result } = await bridge.now(bridge.retry(state, { link: { action: 'accept' }, 'r1-1': model, 'r1-2': { roots: [] } }));
    expect(wordsOf(result)).toEqual([{ action: 'accept' }, model, { roots: [] }]);
  });

  it('prompts and resources ask, too', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      return side.call.method === 'prompts/get' ? { messages: [] } : { contents: [{ uri: 'memo://x', text: 'x' }] };
    });
    for (const [method, body] of [
      ['prompts/get', { name: 'x_a_p' }],
      ['resources/read', { uri: 'memo://x' }],
    ] as const) {
      const visit = bridge.request({ method, body });
      await bridge.gather();
      const { state } = askedOf(await bridge.now(visit));
      const retry = bridge.request({ method, body: { ...body, requestState: state, inputResponses: { 'r1-1': accept('x') } } });
      expect((await bridge.now(retry)).result).toMatchObject({ resultType: 'complete' });
      // The state of one method is none of another.
      const crossed = bridge.request({ method: 'tools/call', body: { name: 'x_a_write', requestState: state } });
      expect((await bridge.now(crossed)).error).toEqual(INVALID);
    }
    expect(bridge.sides).toHaveLength(2);
  });

  it('a second round counts from one again and has a state of its own; the state of the first is spent', async () => {
    const bridge = sessionUpstream(asksFor(2));
    const first = await bridge.parked();
    const visit = bridge.retry(first.state, { 'r1-1': accept('a') });
    await bridge.gather();
    const second = askedOf(await bridge.now(visit));
    expect(Object.keys(second.requests)).toEqual(['r2-1']);
    expect(second.state).not.toBe(first.state);
    // Answers count for their round only.
    expect((await bridge.now(bridge.retry(first.state, { 'r1-1': accept('a'), 'r2-1': accept('b') }))).error).toEqual(INVALID);
    expect(wordsOf((await bridge.now(bridge.retry(second.state, { 'r2-1': accept('b') }))).result)).toEqual([accept('a'), accept('b')]);
    expect(bridge.sides).toHaveLength(1);
  });

  it('early answers save the round; those for keys nobody asked under are ignored', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.form('Which?', 'word');
      return said(...side.heard);
    });
    const visit = bridge.visit({ more: { inputResponses: { word: accept('early'), more: {} } } });
    expect(wordsOf((await bridge.now(visit)).result)).toEqual([accept('early')]);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('what is no object of objects is refused before anything is sent', async () => {
    const bridge = sessionUpstream();
    for (const inputResponses of [[], 'x', 1, null, { k: [] }, { k: 'x' }, { k: null }]) {
      expect((await bridge.now(bridge.visit({ more: { inputResponses } }))).error).toMatchObject({ code: -32602 });
    }
    expect(bridge.sides).toHaveLength(0);
  });

  it('missing and schema-breaking answers are asked again at once, under the same keys, with a new state', async () => {
    const bridge = sessionUpstream(async (side) => {
      await Promise.all([side.form('One?'), side.form('Two?'), side.form('Three?')]);
      return said(...side.heard);
    });
    const first = await bridge.parked();
    const again = askedOf(
      await bridge.now(bridge.retry(first.state, { 'r1-1': accept('one'), 'r1-2': { action: 'accept', content: { word: 2 } }, 'r1-9': accept('?') })),
    );
    expect(Object.keys(again.requests)).toEqual(['r1-2', 'r1-3']);
    expect(again.requests['r1-2']).toEqual(first.requests['r1-2']);
    expect(again.state).not.toBe(first.state);
    const { result } = await bridge.now(
      bridge.retry(again.state, { 'r1-1': accept('changed'), 'r1-2': accept('two'), 'r1-3': { action: 'decline' } }),
    );
    expect(wordsOf(result)).toEqual([accept('one'), accept('two'), { action: 'decline' }]);
  });

  it('a question that was taken back while parked is not asked again; the result of the call counts', async () => {
    const withdrawn = new AbortController();
    const bridge = sessionUpstream(async (side) => {
      await Promise.all([side.form('One?', 'one', withdrawn.signal), side.form('Two?', 'two')]);
      return said(...side.heard);
    });
    const { state } = await bridge.parked();
    withdrawn.abort();
    await turn();
    const { result } = await bridge.now(bridge.retry(state, { one: accept('late'), two: accept('two') }));
    expect(wordsOf(result)).toEqual([{ action: 'cancel' }, accept('two')]);
  });

  it(`the seventeenth question at once is answered cancel, and sixteen leave`, async () => {
    const bridge = sessionUpstream(async (side) => {
      await Promise.all(Array.from({ length: 17 }, () => side.form()));
      return said(...side.heard);
    });
    const { state, requests } = await bridge.parked();
    expect(Object.keys(requests)).toHaveLength(16);
    expect(bridge.sides[0]?.heard).toEqual([{ action: 'cancel' }]);
    const { result } = await bridge.now(bridge.retry(state, Object.fromEntries(Object.keys(requests).map((key) => [key, accept(key)]))));
    expect(wordsOf(result)).toHaveLength(17);
  });
});

describe('what the upstream says', () => {
  it("goes to the request that waits now, by that one's token and level; to nobody while parked", async () => {
    const bridge = sessionUpstream(async (side) => {
      side.progress(1);
      side.log('info');
      await side.form();
      side.progress(3);
      side.log('info');
      side.log('debug');
      await side.form();
      return said();
    });
    const visit = bridge.visit({ progressToken: 'first', logLevel: 'error' });
    await bridge.gather();
    expect(visit.told.map(({ method, params }) => [method, params.progressToken])).toEqual([['notifications/progress', 'first']]);
    bridge.sides[0]?.progress(2);
    bridge.sides[0]?.log('emergency');
    const retry = bridge.retry(askedOf(await bridge.now(visit)).state, { 'r1-1': accept('a') }, { progressToken: 7, logLevel: 'info' });
    await bridge.gather();
    expect(visit.told).toHaveLength(1);
    expect(retry.told.map(({ method, params }) => [method, params.progressToken ?? params.level])).toEqual([
      ['notifications/progress', 7],
      ['notifications/message', 'info'],
    ]);
  });

  it('the upstream is told of a retry that wants to hear more, once', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      return said();
    });
    const { state } = await bridge.parked({ logLevel: 'error' });
    const retry = bridge.retry(state, { 'r1-1': accept('a') }, { logLevel: 'info' });
    expect(await bridge.now(retry)).toMatchObject({ result: { resultType: 'complete' } });
    await bridge.parked({ logLevel: 'warning' });
    expect(bridge.connection.of('logging/setLevel').map(({ params }) => params.toString())).toEqual(['{"level":"error"}', '{"level":"info"}']);
  });

  it('is not sent to a retry that wants none', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      side.progress(1);
      side.log('emergency');
      return said();
    });
    const { state } = await bridge.parked({ progressToken: 'x', logLevel: 'debug' });
    const retry = bridge.retry(state, { 'r1-1': accept('a') });
    await turn();
    expect(retry.told).toEqual([]);
  });
});

describe('limits', () => {
  it.each([
    ['perPrincipal', { perPrincipal: 2, perUpstream: 99, total: 99 }],
    ['perUpstream', { perPrincipal: 99, perUpstream: 2, total: 99 }],
    ['total', { perPrincipal: 99, perUpstream: 99, total: 2 }],
  ])('park.%s: the next call is told so, its upstream is answered and cancelled, and a place that is free again is used', async (_name, park) => {
    const bridge = sessionUpstream(asksFor(1), { bridge: { park } });
    const [first] = [await bridge.parked(), await bridge.parked()];
    const third = bridge.visit();
    await bridge.gather();
    expect(await bridge.now(third)).toMatchObject({
      code: 'upstream/capacity',
      error: { code: -31004, message: 'Too many calls are waiting for input.' },
    });
    expect(bridge.sides[2]?.heard).toEqual([{ action: 'cancel' }]);
    bridge.clock.advance(0);
    await turn();
    expect(bridge.sides[2]?.call.signal.aborted).toBe(true);
    expect(bridge.left()).toMatchObject({ parked: 2, leases: 2 });
    await bridge.now(bridge.retry(first.state, { 'r1-1': accept('a') }));
    await bridge.parked();
    expect(bridge.parking.size).toBe(2);
  });

  it('the limit of one principal is not that of another', async () => {
    const bridge = sessionUpstream(asksFor(1), { bridge: { park: { perPrincipal: 1, perUpstream: 99, total: 99 } } });
    await bridge.parked();
    await bridge.parked({ caller: someone('bob') });
    expect(bridge.parking.size).toBe(2);
  });

  it('a call asks maxRounds times and no oftener; bad answers count as well', async () => {
    const bridge = sessionUpstream(asksFor(3), { bridge: { maxRounds: 2 } });
    const first = await bridge.parked();
    const again = askedOf(await bridge.now(bridge.retry(first.state, {})));
    const last = bridge.retry(again.state, { 'r1-1': accept('a') });
    await bridge.gather();
    expect(await bridge.now(last)).toMatchObject({
      code: 'bridge/rounds',
      error: { code: -32603, message: 'The upstream asked for input too many times.' },
    });
    bridge.clock.advance(0);
    await turn();
    expect(bridge.sides[0]?.heard).toEqual([accept('a'), { action: 'cancel' }]);
    expect(bridge.sides[0]?.call.signal.aborted).toBe(true);
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it.each<[string, SampleBridgeOptions['bridge'], Parameters<typeof asksFor>[0]]>([['too many rounds', { maxRounds: 1 }, 2]])(
    'a retry that came to %s gets the same answer when it comes again',
    async (_what, limits, rounds) => {
      const bridge = sessionUpstream(asksFor(rounds), { bridge: limits ?? {} });
      const { state } = await bridge.parked();
      const first = bridge.retry(state, { 'r1-1': accept('a') });
      await bridge.gather();
      expect(await bridge.now(first)).toMatchObject({ code: 'bridge/rounds' });
      expect(await bridge.now(bridge.retry(state, { 'r1-1': accept('a') }))).toMatchObject({ code: 'bridge/rounds' });
      bridge.clock.advance(REPLAY_MS);
      await turn();
      expect(bridge.left()).toEqual(NOTHING_LEFT);
    },
  );
});

describe('methods that cannot ask', () => {
  it('roots are none and the rest is refused, and the call goes on', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.ask('roots/list', {});
      await side.form();
      return { completion: { values: [] } };
    });
    const visit = bridge.request({
      method: 'completion/complete',
      body: { ref: { type: 'ref/prompt', name: 'x_a_p' }, argument: { name: 'n', value: '' } },
    });
    const { result } = await bridge.now(visit);
    expect(result).toMatchObject({ resultType: 'complete', completion: { values: [] } });
    expect(bridge.sides[0]?.heard).toEqual([{ roots: [] }, { error: expect.objectContaining({ code: -32600 }) }]);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });
});

it('what the client declares and the lease is asked for is the profile of the call', async () => {
  const bridge = sessionUpstream();
  await bridge.parked();
  await bridge.now(bridge.visit({ capabilities: {} }));
  await bridge.now(bridge.visit({ capabilities: { sampling: {} } }));
  expect(bridge.connections.taken.map(({ profile }) => profile)).toEqual(['fustcr', '-', 's']);
});
