import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../core/errors.ts';
import type { Answer, JsonObject } from '../../core/mcp.ts';
import {
  accept,
  askedOf,
  asksFor,
  INVALID,
  NOTHING_LEFT,
  REPLAY_MS,
  type SampleBridge,
  said,
  sessionUpstream,
  someone,
  turn,
  wordsOf,
} from '../sample-bridge.ts';
import { errorOf, NEVER } from '../sample-services.ts';

describe('a handle is used once (security class 18)', () => {
  it('the same retry within the window gets the same answer, however its answers are spelled, and the call ran once', async () => {
    const bridge = sessionUpstream();
    const { state } = await bridge.parked();
    const first = await bridge.now(bridge.retry(state, { 'r1-1': { action: 'accept', content: { word: 'é' } } }));
    bridge.clock.advance(REPLAY_MS - 1);
    const body = `{"name":"x_a_write","arguments":{"n":1},"requestState":${JSON.stringify(state)},"inputResponses": { "r1-1":{"content":{"word":"\\u00e9"},  "action":"\\u0061ccept"}}}`;
    const second = await bridge.now(bridge.request({ body }));
    expect(second.result).toEqual(first.result);
    expect(bridge.sides).toHaveLength(1);
    bridge.clock.advance(1);
    expect((await bridge.now(bridge.request({ body }))).error).toEqual(INVALID);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('other answers are -32602, before and after the call is over, and nothing of them reaches the upstream', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      await side.form();
      return said(...side.heard);
    });
    const { state } = await bridge.parked();
    const visit = bridge.retry(state, { 'r1-1': accept('mine') });
    await turn();
    const others = [{ 'r1-1': accept('other') }, {}, { 'r1-1': accept('mine'), x: {} }, { 'r1-1': { ...accept('mine'), x: 1 } }];
    for (const responses of others) expect((await bridge.now(bridge.retry(state, responses))).error).toEqual(INVALID);
    await bridge.gather();
    const second = askedOf(await bridge.now(visit));
    for (const responses of others) expect((await bridge.now(bridge.retry(state, responses))).error).toEqual(INVALID);
    await bridge.now(bridge.retry(second.state, { 'r2-1': accept('done') }));
    for (const responses of others) expect((await bridge.now(bridge.retry(state, responses))).error).toEqual(INVALID);
    expect(bridge.sides[0]?.heard).toEqual([accept('mine'), accept('done')]);
  });

  it('two at once run once, and both get the answer: questions, result and error alike', async () => {
    const over = Promise.withResolvers<Answer | JsonObject>();
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      await side.form();
      return over.promise;
    });
    const first = await bridge.parked();
    const pair = [bridge.retry(first.state, { 'r1-1': accept('a') }), bridge.retry(first.state, { 'r1-1': accept('a') })] as const;
    await bridge.gather();
    const [one, two] = await Promise.all(pair.map((visit) => bridge.now(visit)));
    expect(two).toEqual(one);
    const { state } = askedOf(one as Awaited<ReturnType<typeof bridge.now>>);
    const last = [bridge.retry(state, { 'r2-1': accept('b') }), bridge.retry(state, { 'r2-1': accept('b') })] as const;
    await turn();
    over.resolve(errorOf(-32000, 'it went wrong'));
    const errors = await Promise.all(last.map((visit) => bridge.now(visit)));
    expect(errors.map(({ error }) => error)).toEqual([
      { code: -32000, message: 'it went wrong' },
      { code: -32000, message: 'it went wrong' },
    ]);
    expect(bridge.sides).toHaveLength(1);
    expect(bridge.sides[0]?.heard).toEqual([accept('a'), accept('b')]);
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it("the first one's connection dies while the second waits: the call goes on, and the second gets what it says and its answer", async () => {
    const over = Promise.withResolvers<JsonObject>();
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      return over.promise;
    });
    const { state } = await bridge.parked();
    const first = bridge.retry(state, { 'r1-1': accept('a') }, { progressToken: 'one' });
    await turn();
    const second = bridge.retry(state, { 'r1-1': accept('a') }, { progressToken: 'two' });
    await turn();
    first.gone.abort(new TurnpikeError('request/cancelled'));
    await turn();
    expect(bridge.sides[0]?.call.signal.aborted).toBe(false);
    bridge.sides[0]?.progress(1);
    expect(first.told).toEqual([]);
    expect(second.told).toEqual([expect.objectContaining({ params: { progress: 1, progressToken: 'two' } })]);
    over.resolve(said('done'));
    expect(wordsOf((await bridge.now(second)).result)).toEqual(['done']);
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('only when the last one is gone the call is cancelled', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      return NEVER(side.call);
    });
    const { state } = await bridge.parked();
    const visits = [bridge.retry(state, { 'r1-1': accept('a') }), bridge.retry(state, { 'r1-1': accept('a') })] as const;
    await turn();
    visits[1].gone.abort(new TurnpikeError('request/cancelled'));
    await turn();
    expect(bridge.sides[0]?.call.signal.aborted).toBe(false);
    visits[0].gone.abort(new TurnpikeError('request/cancelled'));
    await turn();
    expect(bridge.sides[0]?.call.signal.aborted).toBe(true);
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('a repeated retry of a round that is over, whose connection is gone already, does not end the call that waits for another', async () => {
    const bridge = sessionUpstream(asksFor(2));
    const first = await bridge.parked();
    const visit = bridge.retry(first.state, { 'r1-1': accept('a') });
    await bridge.gather();
    const second = askedOf(await bridge.now(visit));
    const repeated = bridge.retry(first.state, { 'r1-1': accept('a') }, { signal: AbortSignal.abort(new TurnpikeError('request/cancelled')) });
    await turn();
    expect(repeated.done()).toMatchObject({ code: 'request/cancelled' });
    expect(bridge.left()).toMatchObject({ parked: 1, leases: 1 });
    expect(wordsOf((await bridge.now(bridge.retry(second.state, { 'r2-1': accept('b') }))).result)).toEqual([accept('a'), accept('b')]);
  });

  it('nor does it take away the answer that is kept for others', async () => {
    const bridge = sessionUpstream();
    const { state } = await bridge.parked();
    const { result } = await bridge.now(bridge.retry(state, { 'r1-1': accept('a') }));
    bridge.retry(state, { 'r1-1': accept('a') }, { signal: AbortSignal.abort(new TurnpikeError('request/cancelled')) });
    await turn();
    expect((await bridge.now(bridge.retry(state, { 'r1-1': accept('a') }))).result).toEqual(result);
  });

  it.each<[string, Parameters<SampleBridge['retry']>[2]]>([
    ['another principal', { caller: someone('bob') }],
    ['the same subject of another issuer', { caller: { ...someone('alice'), principal: { issuer: 'other', subject: 'alice' } } }],
    ['the same principal in another tenant', { caller: someone('alice', 't2') }],
    ['another tool', { name: 'x_a_read' }],
    ['other arguments', { args: { n: 2 } }],
    ['no arguments', { args: {} }],
  ])('%s gets nothing of it, with the one text, and does not use it up', async (_what, options) => {
    const bridge = sessionUpstream();
    const { state } = await bridge.parked();
    expect((await bridge.now(bridge.retry(state, { 'r1-1': accept('stolen') }, options))).error).toEqual(INVALID);
    expect(bridge.sides[0]?.heard).toEqual([]);
    expect(wordsOf((await bridge.now(bridge.retry(state, { 'r1-1': accept('mine') }))).result)).toEqual([accept('mine')]);
  });

  it('equal arguments in another spelling are the same call', async () => {
    const bridge = sessionUpstream();
    const { state } = await bridge.parked({ args: { a: 'x', b: [1, { c: 2 }] } });
    const body = `{"name":"x_a_write","arguments": {"b":[1,{"c":2}], "\\u0061":"\\u0078"},"requestState":"${state}","inputResponses":{"r1-1":{"action":"decline"}}}`;
    expect((await bridge.now(bridge.request({ body }))).result).toMatchObject({ resultType: 'complete' });
  });

  it('states that are none are refused like any other', async () => {
    const bridge = sessionUpstream();
    for (const state of ['', 'rs1.', 'x', 7, null, {}, [], true]) {
      expect((await bridge.now(bridge.retry(state, {}))).error).toEqual(INVALID);
    }
    expect(bridge.sides).toHaveLength(0);
  });

  it('of another process, the call is gone', async () => {
    const [here, there] = [sessionUpstream(), sessionUpstream()];
    const { state } = await here.parked();
    // The same keys, another process: as after a restart, or at a second replica.
    const { result } = await there.now(there.retry(state, { 'r1-1': accept('a') })).then((outcome) => outcome);
    expect(result).toEqual({});
    const outcome = await there.now(there.retry(state, { 'r1-1': accept('a') }));
    expect(outcome.error).toMatchObject({ code: -31003, message: 'The call that waited for this answer is gone.', data: { retryable: false } });
    expect(there.sides).toHaveLength(0);
  });
});
