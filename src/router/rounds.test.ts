import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Answer, JsonObject } from '../core/mcp.ts';
import {
  accept,
  askedOf,
  EVERYTHING,
  FORM,
  NOTHING_LEFT,
  SampleBridge,
  type SampleBridgeOptions,
  type Script,
  said,
  turn,
  type UpstreamSide,
  wordsOf,
} from './sample-bridge.ts';
import { errorOf, NEVER, resultOf } from './sample-services.ts';

const form = (message = 'Which?') => ({ method: 'elicitation/create', params: { mode: 'form', message, requestedSchema: FORM } });
const link = { method: 'elicitation/create', params: { mode: 'url', message: 'Go', url: 'https://example.com/' } };
const model = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } };
const secret = {
  method: 'elicitation/create',
  params: { mode: 'form', message: 'Sign in', requestedSchema: { type: 'object', properties: { api_key: { type: 'string' } } } },
};
const asks = (inputRequests: JsonObject | undefined, requestState?: string): JsonObject => ({
  resultType: 'input_required',
  ...(inputRequests === undefined ? {} : { inputRequests }),
  ...(requestState === undefined ? {} : { requestState }),
});
const paramsOf = ({ call }: UpstreamSide) => JSON.parse(call.params.toString()) as JsonObject;

interface Asked {
  readonly method: string;
  readonly params: JsonObject;
  readonly signal: AbortSignal;
  answer(answer: Answer | JsonObject): void;
}

/** A session's `tools/call`, and what its client is asked meanwhile. */
function session(
  script: Script,
  options: SampleBridgeOptions & Partial<Pick<Exchange, 'version' | 'capabilities'>> & { readonly json?: boolean } = {},
) {
  const { version = '2025-11-25', capabilities = EVERYTHING, json = false, ...others } = options;
  const bridge = new SampleBridge('modern', script, others);
  const asked: Asked[] = [];
  const ask: Exchange['ask'] = (method, params, signal) =>
    new Promise((resolve) => {
      // As `Session.ask` does.
      signal.addEventListener('abort', () => resolve(errorOf(-32603, 'the client did not answer')));
      const answer = (given: Answer | JsonObject) => resolve('kind' in given ? (given as Answer) : resultOf(given));
      asked.push({ method, params: JSON.parse(params.toString()) as JsonObject, signal, answer });
    });
  const call = (name = 'x_a_write') => bridge.visit({ era: 'legacy', version, capabilities, name, ...(json ? {} : { ask }) });
  return { bridge, asked, call };
}

/** Asks in the first `rounds` calls, says what it was told in the next. */
const inRounds =
  (...rounds: JsonObject[]): Script =>
  (side, nth) =>
    rounds[nth - 1] ?? said(paramsOf(side).inputResponses);

describe('a session client at a modern upstream', () => {
  it('is asked all questions at once, labelled; their answers and the byte-exact state go back in the same call', async () => {
    const state = 'état \u2028 "x" \\ {"a":1.0}';
    const { bridge, asked, call } = session(inRounds(asks({ one: form('One?'), two: form('Two?'), m: model }, state)));
    const visit = call();
    await turn();
    expect(asked.map(({ method, params }) => [method, params.message])).toEqual([
      ['elicitation/create', 'Server “a” asks: One?'],
      ['elicitation/create', 'Server “a” asks: Two?'],
      ['sampling/createMessage', undefined],
    ]);
    asked[2]?.answer({ role: 'assistant', model: 'm', content: { type: 'text', text: 'x' } });
    asked[0]?.answer(accept('one'));
    await turn();
    expect(bridge.sides).toHaveLength(1);
    asked[1]?.answer({ action: 'decline' });
    const { result } = await bridge.now(visit);
    expect(result).not.toHaveProperty('resultType');
    expect(paramsOf(bridge.sides[1] as UpstreamSide)).toEqual({
      name: 'write',
      arguments: { n: 1 },
      requestState: state,
      inputResponses: { one: accept('one'), two: { action: 'decline' }, m: { role: 'assistant', model: 'm', content: { type: 'text', text: 'x' } } },
    });
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('answers count for their round only, and a round without a state sends none', async () => {
    const { bridge, asked, call } = session(inRounds(asks({ one: form() }, 's1'), asks({ two: form() })));
    call();
    await turn();
    asked[0]?.answer(accept('a'));
    await turn();
    asked[1]?.answer(accept('b'));
    await turn();
    const { requestState, inputResponses } = paramsOf(bridge.sides[2] as UpstreamSide);
    expect(requestState).toBeUndefined();
    expect(inputResponses).toEqual({ two: accept('b') });
  });

  it('what the client sends as `inputResponses` and `requestState` by itself does not reach the upstream', async () => {
    const { bridge } = session(() => said());
    await bridge.now(bridge.visit({ era: 'legacy', more: { inputResponses: { x: {} }, requestState: 'mine' } }));
    expect(paramsOf(bridge.sides[0] as UpstreamSide)).toEqual({ name: 'write', arguments: { n: 1 } });
  });

  it('is asked for modes as its revision writes them; a link has an id of ours', async () => {
    for (const version of ['2025-11-25', '2025-06-18']) {
      const { asked, call } = session(inRounds(asks({ f: form(), ...(version === '2025-11-25' ? { l: link } : {}) })), { version });
      call();
      await turn();
      expect(asked[0]?.params.mode).toBe(version === '2025-11-25' ? 'form' : undefined);
      if (version === '2025-11-25') expect(asked[1]?.params).toMatchObject({ mode: 'url', elicitationId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    }
  });

  it.each([
    ['a link', link, 'elicitation.url'],
    ['a model with tools', { ...model, params: { ...model.params, tools: [] } }, 'sampling.tools'],
  ])('of a revision without it is not asked for %s, whatever it declared', async (_what, question, name) => {
    const { bridge, asked, call } = session(inRounds(asks({ q: question })), { version: '2025-06-18' });
    expect(await bridge.now(call())).toMatchObject({ error: { message: `This tool needs ${name}, which your client does not offer.` } });
    expect(asked).toEqual([]);
  });

  it('is not told what is reserved between servers and gateways; the rest of the metadata stays', async () => {
    const _meta = { 'turnpike/upstream': 'forged', 'io.modelcontextprotocol/serverInfo': { name: 'forged' }, 'example.com/x': 1 };
    const { asked, call } = session(
      inRounds(asks({ m: { ...model, params: { ...model.params, _meta } }, f: { ...form(), params: { ...form().params, _meta } } })),
    );
    call();
    await turn();
    expect(asked.map(({ params }) => params._meta)).toEqual([{ 'example.com/x': 1 }, { 'example.com/x': 1 }]);
  });

  it('on a connection that takes JSON only nothing of the kind is offered, and a question all the same is refused with the reason', async () => {
    const { bridge, call } = session(inRounds(asks({ f: form() })), { json: true });
    expect(await bridge.now(call())).toMatchObject({
      code: 'bridge/interaction',
      error: { message: 'This tool needs elicitation, which cannot be asked on a connection that takes JSON only.' },
    });
    expect(bridge.sides[0]?.call.capabilities).toEqual({});
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it.each<[string, JsonObject, JsonObject, string]>([
    ['sampling', model, { elicitation: {} }, 'This tool needs sampling, which your client does not offer.'],
    ['elicitation', form(), { sampling: {} }, 'This tool needs elicitation, which your client does not offer.'],
    ['roots', { method: 'roots/list' }, {}, 'This tool needs roots, which your client does not offer.'],
    ['a link', link, { elicitation: {} }, 'This tool needs elicitation.url, which your client does not offer.'],
  ])('without %s it is told what is missing', async (_what, question, capabilities, message) => {
    const { bridge, asked, call } = session(inRounds(asks({ q: question })), { capabilities });
    expect(await bridge.now(call())).toMatchObject({ code: 'bridge/interaction', error: { message } });
    expect(asked).toEqual([]);
    expect(bridge.sides).toHaveLength(1);
  });

  it('what the configuration does not relay is neither offered nor asked', async () => {
    const { bridge, asked, call } = session(inRounds(asks({ m: model })), { bridge: { interactive: ['f'] } });
    expect(await bridge.now(call())).toMatchObject({ error: { message: 'This tool needs sampling, which this gateway does not relay.' } });
    expect(bridge.sides[0]?.call.capabilities).toEqual({ elicitation: { form: {} } });
    expect(asked).toEqual([]);
  });

  it.each([
    ['elicitation', form(), { q: { action: 'cancel' } }],
    ['roots', { method: 'roots/list' }, { q: { roots: [] } }],
  ])('that answers %s with an error has given none', async (_what, question, responses) => {
    const { bridge, asked, call } = session(inRounds(asks({ q: question })));
    const visit = call();
    await turn();
    asked[0]?.answer(errorOf(-1, 'User rejected'));
    expect(wordsOf((await bridge.now(visit)).result)).toEqual([responses]);
  });

  it('that refuses sampling ends the call, and what else it was asked is taken back', async () => {
    const { bridge, asked, call } = session(inRounds(asks({ m: model, f: form(), g: form() })));
    const visit = call();
    await turn();
    asked[0]?.answer(errorOf(-1, 'User rejected sampling'));
    expect(await bridge.now(visit)).toMatchObject({
      code: 'bridge/interaction',
      error: { message: 'tools/call needs an answer to sampling/createMessage, and the client gave none: User rejected sampling' },
    });
    expect(asked.map(({ signal }) => signal.aborted).slice(1)).toEqual([true, true]);
    expect(bridge.sides).toHaveLength(1);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('is asked sixteen questions at most; the rest is cancelled', async () => {
    const { bridge, asked, call } = session(inRounds(asks(Object.fromEntries(Array.from({ length: 18 }, (_, at) => [`q${at}`, form()])))));
    const visit = call();
    await turn();
    expect(asked).toHaveLength(16);
    for (const one of asked) one.answer(accept('x'));
    const [responses] = wordsOf((await bridge.now(visit)).result);
    expect(Object.keys(responses ?? {})).toHaveLength(18);
    expect(responses).toMatchObject({ q15: accept('x'), q16: { action: 'cancel' }, q17: { action: 'cancel' } });
  });

  it('a round without questions waits 250 ms, then is asked again with its state', async () => {
    const { bridge, asked, call } = session(inRounds(asks(undefined, 'later'), asks({}, 'later still')));
    const visit = call();
    await turn();
    bridge.clock.advance(249);
    await turn();
    expect(bridge.sides).toHaveLength(1);
    bridge.clock.advance(1);
    await turn();
    expect(bridge.sides.map((side) => paramsOf(side).requestState)).toEqual([undefined, 'later']);
    bridge.clock.advance(250);
    await bridge.now(visit);
    expect(bridge.sides.map((side) => paramsOf(side).requestState)).toEqual([undefined, 'later', 'later still']);
    expect(asked).toEqual([]);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('after maxRounds rounds it is over', async () => {
    const { bridge, asked, call } = session(() => asks({ q: form() }, 's'), { bridge: { maxRounds: 3 } });
    const visit = call();
    for (let round = 0; round < 3; round++) {
      await turn();
      asked[round]?.answer(accept('x'));
    }
    expect(await bridge.now(visit)).toMatchObject({ code: 'bridge/rounds', error: { message: 'The upstream asked for input too many times.' } });
    expect([asked.length, bridge.sides.length]).toEqual([3, 4]);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('an upstream that is never ready ends so as well, without asking anybody', async () => {
    const { bridge, call } = session(() => asks(undefined, 's'), { bridge: { maxRounds: 2 } });
    const visit = call();
    for (let round = 0; round < 2; round++) {
      await turn();
      bridge.clock.advance(250);
    }
    expect(await bridge.now(visit)).toMatchObject({ code: 'bridge/rounds' });
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('the time of a person is not the time of the call, and each round has its own', async () => {
    const { bridge, asked, call } = session((_side, nth) => (nth === 1 ? asks({ q: form() }) : NEVER({} as never)));
    const visit = call();
    await turn();
    bridge.clock.advance(500_000);
    await turn();
    expect(visit.done()).toBeUndefined();
    asked[0]?.answer(accept('x'));
    await turn();
    bridge.clock.advance(59_999);
    await turn();
    expect(visit.done()).toBeUndefined();
    bridge.clock.advance(1);
    expect(await bridge.now(visit)).toMatchObject({ code: 'upstream/timeout' });
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('no connection is held while a person thinks', async () => {
    const { bridge, asked, call } = session(inRounds(asks({ q: form() })));
    const visit = call();
    await turn();
    expect(bridge.connections.held).toBe(0);
    asked[0]?.answer(accept('x'));
    await bridge.now(visit);
  });

  it.each<[string, Script]>([
    ['while it is asked', inRounds(asks({ q: form(), r: form() }))],
    ['between rounds', inRounds(asks(undefined, 's'))],
  ])('that cancels %s is not asked any more, and the upstream is not called again', async (_when, script) => {
    const { bridge, asked, call } = session(script);
    const visit = call();
    await turn();
    visit.gone.abort(new TurnpikeError('request/cancelled'));
    expect(await bridge.now(visit)).toMatchObject({ code: 'request/cancelled' });
    expect(asked.every(({ signal }) => signal.aborted)).toBe(true);
    bridge.clock.advance(1_000);
    await turn();
    expect(bridge.sides).toHaveLength(1);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });
});

describe('what is no question', () => {
  it.each<[string, JsonObject | string]>([
    ['another method', asks({ q: { method: 'tools/call', params: {} } })],
    ['no method', asks({ q: {} })],
    ['no object', asks({ q: 'elicitation/create' })],
    [
      'a form that is not flat',
      asks({
        q: { method: 'elicitation/create', params: { message: 'm', requestedSchema: { type: 'object', properties: { a: { type: 'object' } } } } },
      }),
    ],
    ['a state above 64 KiB', asks({}, 'x'.repeat(65_537))],
    ['a question that stands twice', `{"resultType":"input_required","inputRequests":{"q":${JSON.stringify(form())},"q":${JSON.stringify(form())}}}`],
    [
      'a question with two params',
      `{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":${JSON.stringify(secret.params)},"params":${JSON.stringify(form().params)}}}}`,
    ],
    ['a kind of result in another spelling', `{"resultType":"input\\u005frequired","inputRequests":{"q":${JSON.stringify(secret)}}}`],
    ['a key that is no name', `{"resultType":"input_required","inputRequests":{"__proto__":${JSON.stringify(secret)}}}`],
    ['params that are no object', asks({ q: { method: 'roots/list', params: [] } })],
    [
      'two lists of questions',
      `{"resultType":"input_required","inputRequests":{"q":${JSON.stringify(secret)}},"inputRequests":{"q":${JSON.stringify(form())}}}`,
    ],
  ])('%s is refused in both eras, and nobody is asked', async (_what, answer) => {
    for (const naming of ['prefixed', 'passthrough'] as const) {
      const { bridge, asked, call } = session(() => (typeof answer === 'string' ? resultOf(answer) : answer), { naming });
      expect(await bridge.now(call())).toMatchObject({ code: 'upstream/protocol' });
      expect(await bridge.now(bridge.visit())).toMatchObject({ code: 'upstream/protocol' });
      expect(asked).toEqual([]);
      expect(bridge.left()).toEqual(NOTHING_LEFT);
    }
  });

  it('during a method that cannot ask it is refused', async () => {
    const { bridge } = session(() => asks({ q: form() }));
    const visit = bridge.request({
      method: 'completion/complete',
      body: { ref: { type: 'ref/prompt', name: 'x_a_p' }, argument: { name: 'n', value: '' } },
    });
    expect(await bridge.now(visit)).toMatchObject({ code: 'upstream/protocol' });
  });

  it('a stateless client is not asked for what it did not offer', async () => {
    const { bridge } = session(inRounds(asks({ q: model })));
    expect(await bridge.now(bridge.visit({ capabilities: { elicitation: {} } }))).toMatchObject({ code: 'upstream/protocol' });
  });
});

describe('a stateless client at a modern upstream', () => {
  it('gets the questions labelled and a state that only it can use; the upstream gets its own back byte for byte', async () => {
    const state = '\u0000 "é" 1.0';
    const { bridge } = session((side, nth) =>
      nth === 1 ? asks({ q: form('One?'), m: model }, state) : said(paramsOf(side).requestState, paramsOf(side).inputResponses),
    );
    const asked = askedOf(await bridge.now(bridge.visit()));
    expect(asked.requests).toEqual({ q: form('Server “a” asks: One?'), m: model });
    expect(asked.state).toMatch(/^rs1\./);
    const { result } = await bridge.now(bridge.retry(asked.state, { q: accept('x'), other: {} }));
    // Which keys count is the upstream's to say.
    expect(wordsOf(result)).toEqual([state, { q: accept('x'), other: {} }]);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('without a state of the upstream there is none', async () => {
    const { bridge } = session((side, nth) => (nth === 1 ? asks({ q: form() }) : said(paramsOf(side))));
    const { result } = await bridge.now(bridge.visit());
    expect(result).not.toHaveProperty('requestState');
    const retry = bridge.visit({ more: { inputResponses: { q: accept('x') } } });
    expect(wordsOf((await bridge.now(retry)).result)).toEqual([{ name: 'write', arguments: { n: 1 }, inputResponses: { q: accept('x') } }]);
  });

  it('a round without questions is the client\u2019s to wait for', async () => {
    const { bridge } = session(inRounds(asks(undefined, 's')));
    const { result } = await bridge.now(bridge.visit());
    expect(result).toMatchObject({ resultType: 'input_required', requestState: expect.stringMatching(/^rs1\./) });
    expect(result).not.toHaveProperty('inputRequests');
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('is not told what is reserved between servers and gateways in a question', async () => {
    const _meta = { 'turnpike/upstream': 'forged', 'io.modelcontextprotocol/related-task': { taskId: 'x' }, 'example.com/x': 1 };
    for (const naming of ['prefixed', 'passthrough'] as const) {
      const { bridge } = session(
        inRounds(asks({ m: { ...model, params: { ...model.params, _meta } }, f: { ...form(), params: { ...form().params, _meta } } })),
        { naming },
      );
      const { requests } = askedOf(
        await bridge.now(bridge.visit()).then((outcome) => ({ ...outcome, result: { requestState: '', ...outcome.result } })),
      );
      for (const one of Object.values(requests)) expect((one.params as JsonObject)._meta).toEqual({ 'example.com/x': 1 });
    }
  });

  it('under passthrough a question passes byte for byte', async () => {
    const raw =
      '{"resultType":"input_required", "inputRequests":{ "q" : {"method":"elicitation/create","params":{"message":"1.0","requestedSchema":{"type":"object","properties":{}}, "x":1.50}} }}';
    const { bridge } = session(() => resultOf(raw), { naming: 'passthrough' });
    const made = bridge.visit();
    expect((await bridge.now(made)).result.inputRequests).toMatchObject({ q: { params: { message: '1.0', x: 1.5 } } });
  });
});
