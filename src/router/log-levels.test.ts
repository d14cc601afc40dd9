import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { LOG_LEVELS } from '../core/mcp.ts';
import { ToldLevels } from './log-levels.ts';
import { errorOf, resultOf, SampleConnection } from './sample-services.ts';

const SIGNAL = new AbortController().signal;
const toldTo = (connection: SampleConnection) => connection.calls.map(({ method, params }) => [method, JSON.parse(params.toString())]);

describe('a session upstream', () => {
  it('is told a level once, and again only when a more verbose one is in use', async () => {
    const levels = new ToldLevels();
    const connection = new SampleConnection('legacy');
    for (const level of ['warning', 'error', 'warning', 'info', 'emergency', 'debug', 'info'] as const) await levels.tell(connection, level, SIGNAL);
    expect(toldTo(connection)).toEqual(['warning', 'info', 'debug'].map((level) => ['logging/setLevel', { level }]));
  });

  it('each connection by itself', async () => {
    const levels = new ToldLevels();
    const [one, two] = [new SampleConnection('legacy'), new SampleConnection('legacy')];
    await levels.tell(one, 'debug', SIGNAL);
    await levels.tell(two, 'alert', SIGNAL);
    expect([toldTo(one), toldTo(two)]).toEqual([[['logging/setLevel', { level: 'debug' }]], [['logging/setLevel', { level: 'alert' }]]]);
  });

  it('that refuses the level is asked no further: the call goes on', async () => {
    const levels = new ToldLevels();
    const connection = new SampleConnection('legacy');
    connection.answer = () => errorOf(-32601);
    await levels.tell(connection, 'debug', SIGNAL);
    await levels.tell(connection, 'debug', SIGNAL);
    expect(connection.calls).toHaveLength(1);
  });

  it('that is lost meanwhile has not seen the call, and another is told anew', async () => {
    const levels = new ToldLevels();
    const connection = new SampleConnection('legacy');
    connection.answer = () => {
      throw new TurnpikeError('upstream/lost', 'lost', { upstream: 'a' });
    };
    await expect(levels.tell(connection, 'debug', SIGNAL)).rejects.toMatchObject({
      code: 'upstream/down',
      details: { retryable: true, upstream: 'a' },
    });
    connection.answer = () => resultOf({});
    await levels.tell(connection, 'debug', SIGNAL);
    expect(connection.calls).toHaveLength(2);
  });

  it('whose call was cancelled meanwhile is told anew, and the reason stays', async () => {
    const levels = new ToldLevels();
    const connection = new SampleConnection('legacy');
    const reason = new TurnpikeError('request/cancelled');
    await expect(levels.tell(connection, 'debug', AbortSignal.abort(reason))).rejects.toBe(reason);
    await levels.tell(connection, 'debug', SIGNAL);
    expect(connection.calls).toHaveLength(2);
  });

  it('may not ask while it is told', async () => {
    const levels = new ToldLevels();
    const connection = new SampleConnection('legacy');
    let refused: unknown;
    connection.answer = async ({ relay }) => {
      refused = await relay.request('sampling/createMessage', Buffer.from('{}'), SIGNAL).catch((error: unknown) => error);
      return resultOf({});
    };
    await levels.tell(connection, 'debug', SIGNAL);
    expect(refused).toMatchObject({ code: 'request/method' });
  });
});

it('nobody is told who does not log, or speaks a revision in which each request says it', async () => {
  const levels = new ToldLevels();
  const modern = new SampleConnection('modern');
  const silent = Object.assign(new SampleConnection('legacy'), { capabilities: { tools: {} } });
  for (const level of LOG_LEVELS) await Promise.all([levels.tell(modern, level, SIGNAL), levels.tell(silent, level, SIGNAL)]);
  const plain = new SampleConnection('legacy');
  await levels.tell(plain, undefined, SIGNAL);
  expect([modern.calls, silent.calls, plain.calls]).toEqual([[], [], []]);
});
