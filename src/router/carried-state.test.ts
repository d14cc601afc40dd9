import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../core/mcp.ts';
import { invalidState } from './carried-state.ts';
import { accept, askedOf, FORM, INVALID, NOTHING_LEFT, SampleBridge, type Script, someone, wordsOf } from './sample-bridge.ts';
import { resultOf, SampleConnection } from './sample-services.ts';

const form = { method: 'elicitation/create', params: { message: 'Which?', requestedSchema: FORM } };
const secret = {
  method: 'elicitation/create',
  params: { message: 'Sign in', requestedSchema: { type: 'object', properties: { api_key: { type: 'string' } } } },
};
const asks = (inputRequests: JsonObject, requestState?: string): JsonObject => ({
  resultType: 'input_required',
  inputRequests,
  ...(requestState === undefined ? {} : { requestState }),
});
const echo: Script = ({ call }) => {
  const { inputResponses, requestState } = JSON.parse(call.params.toString()) as JsonObject;
  return { content: [{ type: 'text', text: JSON.stringify([inputResponses, requestState]) }] };
};
const start = (...rounds: JsonObject[]) => new SampleBridge('modern', (side, nth) => rounds[nth - 1] ?? echo(side, nth));
const DECLINED = { action: 'decline' };

it('the one text', () => {
  expect(invalidState()).toMatchObject({ code: 'state/invalid', message: 'Invalid or expired request state' });
});

describe('answers that we give in the client\u2019s stead (security class 17)', () => {
  it('all of them: the round is played without the client, which hears nothing of it', async () => {
    const bridge = start(asks({ s: secret }, 'first'), asks({ s: secret, t: secret }, 'second'));
    const { result } = await bridge.now(bridge.visit());
    expect(wordsOf(result)).toEqual([{ s: DECLINED, t: DECLINED }, 'second']);
    expect(bridge.sides.map(({ call }) => (JSON.parse(call.params.toString()) as JsonObject).inputResponses)).toEqual([
      undefined,
      { s: DECLINED },
      { s: DECLINED, t: DECLINED },
    ]);
    expect(bridge.audited.filter(({ decision }) => decision === 'bridge/secret-form')).toHaveLength(3);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('all of them, again and again: the rounds are counted', async () => {
    const bridge = new SampleBridge('modern', () => asks({ s: secret }, 'x'), { bridge: { maxRounds: 3 } });
    expect(await bridge.now(bridge.visit())).toMatchObject({ code: 'bridge/rounds' });
    expect(bridge.sides).toHaveLength(4);
  });

  it.each([
    ['with a state', 'own'],
    ['without a state', undefined],
  ])('some of them, %s: cut from what the client sees, put into what it answers', async (_how, state) => {
    const bridge = start(asks({ s: secret, q: form }, state));
    const asked = askedOf(await bridge.now(bridge.visit()));
    expect(Object.keys(asked.requests)).toEqual(['q']);
    const { result } = await bridge.now(bridge.retry(asked.state, { q: accept('x') }));
    expect(wordsOf(result)).toEqual([{ q: accept('x'), s: DECLINED }, state ?? null]);
  });

  it.each<[string, string]>([
    ['under its key', '{"s":{"action":"accept","content":{"api_key":"k"}},"q":{"action":"cancel"}}'],
    ['twice', '{"s":{"action":"accept","content":{"api_key":"k"}},"s":{"action":"accept","content":{"api_key":"k"}},"q":{"action":"cancel"}}'],
    ['in another spelling', '{"\\u0073":{"action":"accept","content":{"api_key":"k"}},"q":{"action":"cancel"}}'],
    [
      'before and after, in both',
      '{"\\u0073":{"action":"accept","content":{"api_key":"k"}},"q":{"action":"cancel"},"s":{"action":"accept","content":{"api_key":"k"}}}',
    ],
  ])('a client cannot put its own in their place: %s', async (_how, responses) => {
    const bridge = start(asks({ s: secret, q: form }, 'own'));
    const { state } = askedOf(await bridge.now(bridge.visit()));
    const body = `{"name":"x_a_write","arguments":{"n":1},"requestState":"${state}","inputResponses":${responses}}`;
    await bridge.now(bridge.request({ body }));
    const sent = bridge.sides[1]?.call.params.toString() ?? '';
    expect(sent).not.toContain('api_key');
    expect(JSON.parse(sent)).toMatchObject({ inputResponses: { s: DECLINED, q: { action: 'cancel' } } });
  });

  it('they are there although the client sends no answers at all', async () => {
    const bridge = start(asks({ s: secret, q: form }, 'own'));
    const { state } = askedOf(await bridge.now(bridge.visit()));
    expect(wordsOf((await bridge.now(bridge.visit({ more: { requestState: state } }))).result)).toEqual([{ s: DECLINED }, 'own']);
  });

  it('they belong to their round: the next state has its own', async () => {
    const bridge = start(asks({ s: secret, q: form }, 'one'), asks({ q2: form }, 'two'));
    const first = askedOf(await bridge.now(bridge.visit()));
    const second = askedOf(await bridge.now(bridge.retry(first.state, { q: accept('x') })));
    expect(wordsOf((await bridge.now(bridge.retry(second.state, { q2: accept('y') }))).result)).toEqual([{ q2: accept('y') }, 'two']);
  });
});

describe('a state that the upstream wrote', () => {
  it('goes back byte for byte, whatever is in it, and says nothing to the client', async () => {
    for (const own of ['', 'x'.repeat(65_536), '\u2028"\\\u0000é😀', '{"a":1.0,"a":2}']) {
      const bridge = start(asks({ q: form }, own));
      const { state } = askedOf(await bridge.now(bridge.visit()));
      if (own.length > 3) expect(Buffer.from(state.slice(4), 'base64url').toString('latin1')).not.toContain(own.slice(0, 16));
      expect(wordsOf((await bridge.now(bridge.retry(state, { q: accept('x') }))).result)[1]).toBe(own);
    }
  });

  it('that is too long once it is written down is the upstream\u2019s fault', async () => {
    for (const own of ['"'.repeat(65_536), '\u0001'.repeat(20_000)]) {
      const bridge = start(asks({ s: secret, q: form }, own));
      expect(await bridge.now(bridge.visit())).toMatchObject({ code: 'upstream/protocol', status: 200 });
      expect(bridge.left()).toEqual(NOTHING_LEFT);
    }
    // What is just short enough is carried, with our own answers beside it.
    const bridge = start(asks({ s: secret, q: form }, '"'.repeat(46_000)));
    const { state } = askedOf(await bridge.now(bridge.visit()));
    expect(wordsOf((await bridge.now(bridge.retry(state, { q: accept('x') }))).result)[1]).toBe('"'.repeat(46_000));
  });

  it('may be used again by the same client for the same call, and by nobody else, for nothing else, no longer than its time', async () => {
    const bridge = start(asks({ q: form }, 'own'));
    const { state } = askedOf(await bridge.now(bridge.visit()));
    const attempts = [
      bridge.retry(state, {}, { caller: someone('bob') }),
      bridge.retry(state, {}, { caller: someone('alice', 't2') }),
      bridge.retry(state, {}, { name: 'x_a_read' }),
      bridge.retry(state, {}, { args: { n: 1.5 } }),
      bridge.request({ method: 'prompts/get', body: { name: 'x_a_p', requestState: state } }),
      bridge.retry(`${state}A`, {}),
      bridge.retry(state.slice(0, -1), {}),
    ];
    for (const attempt of attempts) expect((await bridge.now(attempt)).error).toEqual(INVALID);
    expect(bridge.sides).toHaveLength(1);
    bridge.clock.advance(599_999);
    await bridge.now(bridge.retry(state, { q: accept('x') }));
    expect(bridge.sides).toHaveLength(2);
    bridge.clock.advance(1);
    expect((await bridge.now(bridge.retry(state, { q: accept('x') }))).error).toEqual(INVALID);
  });

  it('of an upstream that speaks a session revision by now is void: nobody is left who could read it', async () => {
    const bridge = start(asks({ q: form }, 'own'));
    const { state } = askedOf(await bridge.now(bridge.visit()));
    const legacy = new SampleConnection('legacy');
    legacy.answer = () => resultOf({ content: [] });
    bridge.connections.next = [legacy];
    expect((await bridge.now(bridge.retry(state, { q: accept('x') }))).error).toEqual(INVALID);
    expect(legacy.calls).toEqual([]);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });
});
