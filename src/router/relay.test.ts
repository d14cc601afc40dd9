import { describe, expect, it } from 'vitest';
import { Deadlines } from '../core/deadlines.ts';
import { asTurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { memberSpans, toJson } from '../core/json.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { type Answer, LOG_LEVELS } from '../core/mcp.ts';
import { CallLife } from './call-life.ts';
import { needOf } from './interactions.ts';
import { CallRelay, refusedInteraction } from './relay.ts';
import { resultOf, sampleExchange, sampleServices } from './sample-services.ts';

interface Asked {
  readonly method: string;
  readonly params: unknown;
}

function start(more: Partial<Omit<Exchange, 'body' | 'params'>> = {}, { profile = 'fusr', label = true, asks = true } = {}) {
  const clock = new ManualClock();
  const expired: string[] = [];
  const dropped: string[] = [];
  const asked: Asked[] = [];
  const answers: ((answer: Answer) => void)[] = [];
  const ask = (method: string, params: Buffer) => {
    asked.push({ method, params: JSON.parse(params.toString()) });
    return new Promise<Answer>((resolve) => answers.push(resolve));
  };
  const { exchange, told } = sampleExchange({ ...more, ...(asks && more.era === 'legacy' ? { ask } : {}) });
  const life = new CallLife(new Deadlines(clock), { call: 1_000, callMax: 10_000 }, 'a', 't');
  life.signal.addEventListener('abort', () => expired.push(asTurnpikeError(life.signal.reason).message));
  const { services } = sampleServices();
  services.instruments.droppedNotifications = (reason) => ({ add: () => void dropped.push(reason) });
  const relay = new CallRelay({
    services,
    exchange,
    upstream: 'a',
    label,
    profile,
    life,
  });
  return { relay, told, asked, answers, dropped, clock, expired };
}

const progress = (value: number, more: object = {}) => toJson({ progress: value, total: 3, ...more });
const log = (level: unknown) => toJson({ level, data: `at ${String(level)}` });
const FORM = { type: 'object', properties: {} };
const SIGNAL = new AbortController().signal;

describe('what an upstream says during a call', () => {
  it('progress carries the token of the client\u2019s own request, and its members stay', () => {
    for (const progressToken of ['t', '', 0, 7]) {
      const { relay, told } = start({ progressToken });
      relay.notification('notifications/progress', progress(1, { message: 'm', 'x-more': [1] }));
      expect(told).toEqual([expect.objectContaining({ params: { progress: 1, total: 3, message: 'm', 'x-more': [1], progressToken } })]);
    }
  });

  it('progress nobody asked for is dropped, and restarts the time all the same', () => {
    const { relay, told, dropped, clock, expired } = start();
    clock.advance(900);
    relay.notification('notifications/progress', progress(1));
    clock.advance(900);
    expect(expired).toEqual([]);
    expect(told).toEqual([]);
    expect(dropped).toEqual(['progress not wanted']);
  });

  it('log lines pass from the level of the request up; without a level none leaves', () => {
    const silent = start();
    for (const level of LOG_LEVELS) silent.relay.notification('notifications/message', log(level));
    expect(silent.told).toEqual([]);
    for (const [index, logLevel] of LOG_LEVELS.entries()) {
      for (const era of ['modern', 'legacy'] as const) {
        const { relay, told } = start({ era, logLevel });
        for (const level of LOG_LEVELS) relay.notification('notifications/message', log(level));
        expect(told.map(({ params }) => params.level)).toEqual(LOG_LEVELS.slice(index));
      }
    }
  });

  it('what was only scanned is decided alike, and passes byte for byte but for the token', () => {
    const levels = [...LOG_LEVELS.map((level) => `"${level}"`), '"\\u0069nfo"', '"loud"', '7', 'null', '{"level":"debug"}'];
    const texts = [...levels.map((level) => `{ "data":{"big":9007199254740993}, "level":${level} }`), '{"data":1}'];
    for (const logLevel of [undefined, ...LOG_LEVELS]) {
      for (const era of ['modern', 'legacy'] as const) {
        const [parsed, scanned] = [start({ era, logLevel }), start({ era, logLevel })];
        for (const text of texts) {
          const params = Buffer.from(text);
          parsed.relay.notification('notifications/message', params);
          scanned.relay.notification('notifications/message', params, { spans: memberSpans(params), progress: undefined });
        }
        expect(scanned.told.map(({ bytes }) => bytes)).toEqual(parsed.told.map(({ bytes }) => bytes));
        expect(scanned.dropped).toEqual(parsed.dropped);
      }
    }
    const { relay, told } = start({ progressToken: 'ü"' });
    const params = Buffer.from('{ "total": 1.0, "progressToken" : 12 , "progress":1,"message":"ß" }');
    relay.notification('notifications/progress', params, { spans: memberSpans(params), progress: 1 });
    expect(told[0]?.bytes).toBe('{ "total": 1.0, "progressToken" : "ü\\"" , "progress":1,"message":"ß" }');
  });

  it('a session without a level hears every line', () => {
    const { relay, told } = start({ era: 'legacy' });
    relay.notification('notifications/message', log('debug'));
    expect(told).toHaveLength(1);
  });

  it('reserved members of _meta do not pass, others do, and nothing else changes', () => {
    const { relay, told } = start({ logLevel: 'debug' });
    const params =
      '{ "level":"info", "data":{"big":9007199254740993,"f":1.0}, "_meta":{"io.modelcontextprotocol/subscriptionId":"forged","example.com/x":1.50} }';
    relay.notification('notifications/message', Buffer.from(params));
    expect(told[0]?.bytes).toBe('{ "level":"info", "data":{"big":9007199254740993,"f":1.0}, "_meta":{"example.com/x":1.50} }');
  });

  it('nothing leaves after the end', () => {
    const { relay, told, dropped } = start({ progressToken: 't', logLevel: 'debug' });
    relay.end();
    relay.notification('notifications/progress', progress(1));
    relay.notification('notifications/message', log('alert'));
    expect(told).toEqual([]);
    expect(dropped).toEqual(['late', 'late']);
  });

  it('is known to have reached the client, or not', async () => {
    const quiet = start({ logLevel: 'alert' });
    quiet.relay.notification('notifications/message', log('debug'));
    quiet.relay.notification('notifications/progress', progress(1));
    await quiet.relay.request('elicitation/create', toJson({ message: 'm' }), SIGNAL);
    expect(quiet.relay.reached).toBe(false);
    const heard = start({ progressToken: 1 });
    heard.relay.notification('notifications/progress', progress(1));
    expect(heard.relay.reached).toBe(true);
  });
});

describe('progress over the rounds of one call', () => {
  it('only rises, although the upstream counts from the beginning in each', () => {
    const { relay, told, dropped } = start({ progressToken: 't' });
    for (const value of [1, 2, 1, 2, 3]) relay.notification('notifications/progress', progress(value));
    expect(told.map(({ params }) => params.progress)).toEqual([1, 2, 3]);
    expect(dropped).toEqual(['progress', 'progress']);
  });
});

describe('what an upstream asks during a call', () => {
  it('reaches the client of a session, labelled, and the time of a person is not the time of the call', async () => {
    const { relay, asked, answers, clock, expired } = start({ era: 'legacy' });
    const answer = relay.request(
      'elicitation/create',
      toJson({
        message: 'Your name?',
        requestedSchema: { type: 'object', properties: {} },
        _meta: { 'io.modelcontextprotocol/x': 1, 'example.com/y': 2 },
      }),
      SIGNAL,
    );
    expect(asked).toEqual([
      {
        method: 'elicitation/create',
        params: { message: 'Server “a” asks: Your name?', requestedSchema: { type: 'object', properties: {} }, _meta: { 'example.com/y': 2 } },
      },
    ]);
    clock.advance(3_600_000);
    expect(expired).toEqual([]);
    answers[0]?.(resultOf({ action: 'accept' }));
    expect((await answer).kind).toBe('result');
    clock.advance(1_000);
    expect(expired).toEqual(["tool 't' timed out after 1s"]);
    expect(relay.reached).toBe(true);
  });

  it('passes byte for byte when nothing is labelled', async () => {
    const { relay, answers, asked } = start({ era: 'legacy' }, { label: false });
    void relay.request('elicitation/create', toJson({ message: 'Your name?', requestedSchema: FORM }), SIGNAL);
    void relay.request('sampling/createMessage', toJson({ messages: [], maxTokens: 1 }), SIGNAL);
    expect(asked.map(({ params }) => params)).toEqual([
      { message: 'Your name?', requestedSchema: FORM },
      { messages: [], maxTokens: 1 },
    ]);
    for (const settle of answers) settle(resultOf({}));
  });

  it('is refused when the client did not offer it, or the configuration does not allow it', async () => {
    const questions = [
      ['f', 'elicitation/create', { message: 'm', requestedSchema: FORM }, 'elicitation'],
      ['u', 'elicitation/create', { mode: 'url', message: 'm', url: 'https://example.com' }, 'elicitation'],
      ['s', 'sampling/createMessage', { messages: [] }, 'sampling'],
      ['t', 'sampling/createMessage', { messages: [], tools: [] }, 'sampling'],
    ] as const;
    for (const [letter, method, params, capability] of questions) {
      const rest = 'fustcr'.replace(letter, '');
      const { relay, asked } = start({ era: 'legacy' }, { profile: rest });
      const answer = await relay.request(method, toJson(params), SIGNAL);
      expect(answer).toMatchObject({ kind: 'error', code: -32600 });
      expect(relay.refused?.capability).toBe(capability);
      expect(asked).toEqual([]);
      const allowed = start({ era: 'legacy' }, { profile: 'fustcr' });
      void allowed.relay.request(method, toJson(params), SIGNAL);
      expect(allowed.asked).toHaveLength(1);
    }
  });

  it('is empty roots where there is nobody to ask for them', async () => {
    for (const options of [{ profile: 'fs' }, { asks: false }]) {
      const { relay } = start({ era: 'legacy' }, options);
      expect(await relay.request('roots/list', toJson({}), SIGNAL)).toEqual(resultOf({ roots: [] }));
      expect(relay.refused).toBeUndefined();
    }
  });

  it('cannot be asked of a client without a session, or on a connection that takes JSON only', async () => {
    // During `completion/complete`, say: nothing of it could be answered `input_required`.
    const modern = start({ capabilities: { sampling: {} } });
    expect(await modern.relay.request('sampling/createMessage', toJson({}), SIGNAL)).toMatchObject({ kind: 'error', code: -32600 });
    expect(await modern.relay.request('roots/list', toJson({}), SIGNAL)).toEqual(resultOf({ roots: [] }));
    expect(modern.relay.refused).toBeUndefined();
    const json = start({ era: 'legacy' }, { asks: false });
    expect(await json.relay.request('sampling/createMessage', toJson({}), SIGNAL)).toMatchObject({ kind: 'error', code: -32600 });
    expect(json.relay.refused).toMatchObject({ name: 'sampling' });
  });

  it('is no method when nobody knows it', async () => {
    const { relay } = start({ era: 'legacy' });
    expect(await relay.request('tasks/list', toJson({}), SIGNAL)).toMatchObject({ kind: 'error', code: -32601 });
    expect(relay.refused).toBeUndefined();
  });
});

describe('the text of a call that failed for a question', () => {
  const text = (more: Partial<Omit<Exchange, 'body' | 'params'>>, params = {}, interactive = ['f', 'u', 's', 't', 'c', 'r']) =>
    refusedInteraction(needOf('sampling/createMessage', params), sampleExchange(more).exchange, 'a', interactive);

  it('says what is missing, and on whose side', () => {
    expect(text({})).toMatchObject({ code: 'request/capability', details: { data: { requiredCapabilities: { sampling: {} } } } });
    expect(text({ capabilities: { sampling: {} } }, { tools: [] })).toMatchObject({
      code: 'request/capability',
      details: { data: { requiredCapabilities: { sampling: { tools: {} } } } },
    });
    expect(text({ capabilities: { sampling: {} } }, {}, ['f'])).toMatchObject({
      code: 'upstream/capability',
      message: 'upstream needs a capability Turnpike cannot carry: sampling',
    });
    expect(text({ era: 'legacy', capabilities: { sampling: {} } }, {}, ['f']).message).toBe(
      'This tool needs sampling, which this gateway does not relay.',
    );
    expect(text({ era: 'legacy' }).message).toBe('This tool needs sampling, which your client does not offer.');
    expect(text({ era: 'legacy', capabilities: { sampling: {} } }).message).toBe(
      'This tool needs sampling, which cannot be asked on a connection that takes JSON only.',
    );
  });
});
