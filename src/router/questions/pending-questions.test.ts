import { afterEach, describe, expect, it } from 'vitest';
import { toJson } from '../../core/json.ts';
import { ManualClock } from '../../core/manual-clock.ts';
import type { Answer, JsonObject } from '../../core/mcp.ts';
import { accept, FORM, turn } from '../sample-bridge.ts';
import { MAX_PENDING, Questions } from './pending-questions.ts';

const clocks: ManualClock[] = [];
afterEach(() => {
  for (const clock of clocks.splice(0)) expect(clock.pending).toBe(0);
});

function start(early?: JsonObject) {
  const clock = new ManualClock();
  clocks.push(clock);
  const questions = new Questions(clock, 25, early && toJson(early));
  const answers: Record<string, JsonObject> = {};
  const controllers: Record<string, AbortController> = {};
  const ask = (name: string, wished?: unknown, method = 'elicitation/create', params: JsonObject = { message: name, requestedSchema: FORM }) => {
    const controller = new AbortController();
    controllers[name] = controller;
    void questions.ask(method, toJson(params), controller.signal, wished).then((answer: Answer) => {
      answers[name] = JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString()) as JsonObject;
    });
  };
  const take = () => {
    const bytes = questions.take();
    return bytes && (JSON.parse(bytes.toString()) as Record<string, { method: string; params: JsonObject }>);
  };
  const isGathered = async () => {
    let gathered = false;
    void questions.gathered().then(() => {
      gathered = true;
    });
    await turn();
    return gathered;
  };
  const deliver = async (responses: JsonObject | string) => {
    questions.deliver(typeof responses === 'string' ? Buffer.from(responses) : toJson(responses));
    await turn();
  };
  return { clock, questions, answers, controllers, ask, take, isGathered, deliver };
}

describe('the gather window', () => {
  it('opens with the first question, is not prolonged by others, and closes for all of them together', async () => {
    const { clock, ask, take, isGathered, questions } = start();
    ask('one');
    clock.advance(24);
    ask('two');
    expect(await isGathered()).toBe(false);
    clock.advance(1);
    expect(await isGathered()).toBe(true);
    expect(Object.keys(take() ?? {})).toEqual(['r1-1', 'r1-2']);
    expect(clock.pending).toBe(0);
    questions.end();
  });

  it('a question that comes after the others left waits for a window of its own, in the next round', async () => {
    const { clock, ask, take, isGathered, questions } = start();
    ask('one');
    clock.advance(25);
    take();
    ask('two');
    expect(await isGathered()).toBe(false);
    clock.advance(25);
    expect(await isGathered()).toBe(true);
    // Both stand in it: the first was not answered.
    expect(Object.entries(take() ?? {}).map(([key, { params }]) => [key, params.message])).toEqual([
      ['r1-1', 'one'],
      ['r2-1', 'two'],
    ]);
    questions.end();
  });

  it('what was taken back within it is no reason to answer', async () => {
    const { clock, ask, controllers, isGathered, take, answers } = start();
    ask('one');
    controllers.one?.abort();
    clock.advance(25);
    expect(await isGathered()).toBe(false);
    expect(take()).toBeUndefined();
    expect(answers.one).toEqual({ action: 'cancel' });
  });

  it('what was taken back between the window and the answer is none either, and the next window counts anew', async () => {
    const { clock, ask, controllers, isGathered, take, questions } = start();
    ask('one');
    clock.advance(25);
    expect(await isGathered()).toBe(true);
    controllers.one?.abort();
    expect(take()).toBeUndefined();
    expect(await isGathered()).toBe(false);
    ask('two');
    clock.advance(25);
    expect(await isGathered()).toBe(true);
    questions.end();
  });
});

describe('keys', () => {
  it.each(['a', 'A.b_c-9', 'x'.repeat(64), '__proto__', 'constructor', 'r7-1'])('the upstream may have %j', (key) => {
    const { ask, take, questions } = start();
    ask('one', key);
    expect(Object.keys(take() ?? {})).toEqual([key]);
    questions.end();
  });

  it.each([
    ['empty', ''],
    ['too long', 'x'.repeat(65)],
    ['a blank', 'a b'],
    ['a line end', 'a\n'],
    ['not ASCII', 'schlüssel'],
    ['no text', 7],
    ['an object', {}],
    ['null', null],
  ])('but not %s', (_why, key) => {
    const { ask, take, questions } = start();
    ask('one', key);
    expect(Object.keys(take() ?? {})).toEqual(['r1-1']);
    questions.end();
  });

  it('a key that was used is not used again, in no round: neither theirs nor ours', async () => {
    const { ask, take, deliver, questions } = start();
    ask('one', 'k');
    ask('two', 'k');
    ask('three', 'r1-2');
    ask('four');
    expect(Object.entries(take() ?? {}).map(([key, { params }]) => [key, params.message])).toEqual([
      ['k', 'one'],
      ['r1-1', 'two'],
      ['r1-2', 'three'],
      ['r1-3', 'four'],
    ]);
    await deliver({ k: accept('a'), 'r1-1': accept('b'), 'r1-2': accept('c'), 'r1-3': accept('d') });
    expect(questions.size).toBe(0);
    ask('five', 'k');
    ask('six', 'r1-2');
    expect(Object.keys(take() ?? {})).toEqual(['r2-1', 'r2-2']);
    questions.end();
  });
});

describe('answers', () => {
  it('that fit are delivered byte for byte; missing and broken ones leave the question open under its key', async () => {
    const { ask, take, deliver, answers, questions } = start();
    ask('one');
    ask('two');
    ask('three');
    ask('model', undefined, 'sampling/createMessage', { messages: [], maxTokens: 1 });
    ask('roots', undefined, 'roots/list', {});
    take();
    await deliver(
      '{"r1-1":{"action":"accept","content":{"word":"1.0"} , "x":1.0},"r1-2":{"action":"accept","content":{"word":7}},"r1-4":{"role":"user"},"r1-5":{"roots":[{"uri":"http://x"}]}}',
    );
    expect(answers).toEqual({ one: { action: 'accept', content: { word: '1.0' }, x: 1 } });
    expect(Object.keys(take() ?? {})).toEqual(['r1-2', 'r1-3', 'r1-4', 'r1-5']);
    await deliver({
      'r1-2': { action: 'decline' },
      'r1-3': { action: 'cancel' },
      'r1-4': { role: 'assistant', content: { type: 'text', text: 'x' }, model: 'm' },
      'r1-5': { roots: [] },
    });
    expect(questions.size).toBe(0);
    expect(answers).toMatchObject({ two: { action: 'decline' }, three: { action: 'cancel' }, model: { model: 'm' }, roots: { roots: [] } });
  });

  it('to what was not shown yet are as if they had not come', async () => {
    const { ask, take, deliver, answers, questions } = start();
    ask('one');
    take();
    // The client guesses the key of a question that it never saw.
    ask('two');
    await deliver({ 'r1-1': accept('a'), 'r2-1': accept('guessed') });
    expect(answers).toEqual({ one: accept('a') });
    expect(Object.keys(take() ?? {})).toEqual(['r2-1']);
    await deliver({ 'r2-1': accept('seen') });
    expect(answers.two).toEqual(accept('seen'));
    expect(questions.size).toBe(0);
  });

  it('to what was taken back go nowhere', async () => {
    const { ask, take, controllers, deliver, answers } = start();
    ask('one');
    take();
    controllers.one?.abort();
    await turn();
    expect(answers.one).toEqual({ action: 'cancel' });
    await deliver({ 'r1-1': accept('late') });
    expect(answers.one).toEqual({ action: 'cancel' });
  });
});

describe('early answers', () => {
  it('are delivered at once under their key, if they fit; the client is not asked', async () => {
    const { ask, answers, questions, clock } = start({ k: accept('early'), wrong: { action: 'accept', content: {} } });
    ask('one', 'k');
    await turn();
    expect(answers.one).toEqual(accept('early'));
    expect(clock.pending).toBe(0);
    ask('two', 'wrong');
    expect(questions.size).toBe(1);
    questions.end();
  });

  it('answer one question only', async () => {
    const { ask, answers, take, questions } = start({ k: accept('early') });
    ask('one', 'k');
    ask('two', 'k');
    await turn();
    expect(Object.keys(answers)).toEqual(['one']);
    expect(Object.keys(take() ?? {})).toEqual(['r1-1']);
    questions.end();
  });
});

describe('too many', () => {
  it(`more than ${MAX_PENDING} at once are answered in the client's stead, each kind as it is`, async () => {
    const { ask, answers, take, questions } = start();
    for (let nth = 1; nth <= MAX_PENDING; nth++) ask(`q${nth}`);
    ask('form');
    ask('model', undefined, 'sampling/createMessage', { messages: [] });
    ask('roots', undefined, 'roots/list', {});
    await turn();
    expect(answers).toMatchObject({ form: { action: 'cancel' }, model: { code: -1 }, roots: { roots: [] } });
    expect(Object.keys(answers)).toHaveLength(3);
    expect(Object.keys(take() ?? {})).toHaveLength(16);
    questions.end();
  });
});

describe('the end', () => {
  it('answers what waits and what still comes; elicitations cancel, sampling -1, roots none', async () => {
    const { ask, answers, take, questions, isGathered } = start();
    ask('form');
    ask('model', undefined, 'sampling/createMessage', { messages: [] });
    take();
    ask('roots', undefined, 'roots/list', {});
    expect(questions.end()).toBe(true);
    ask('late');
    await turn();
    expect(answers).toMatchObject({ form: { action: 'cancel' }, model: { code: -1 }, roots: { roots: [] }, late: { action: 'cancel' } });
    expect(questions.end()).toBe(false);
    expect(await isGathered()).toBe(false);
  });
});
