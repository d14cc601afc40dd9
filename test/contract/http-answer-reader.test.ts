import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { TurnpikeError } from '../../src/core/errors.ts';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { Slots } from '../../src/core/slots.ts';
import { AnswerReader, type Outcome } from '../../src/upstream/http/answer-reader.ts';
import { HttpClient } from '../../src/upstream/http/http-client.ts';
import { Route } from '../../src/upstream/http/route.ts';
import { answer, events, json, until } from '../fixtures/http-rig.ts';
import { type Answerer, startUpstream } from '../fixtures/http-upstream.ts';

/** A stream that ends. */
const whole =
  (text: string): Answerer =>
  (response) => {
    events(response, text);
    response.end();
  };

it.each<[string, Answerer, Outcome['kind'], ('abort' | 'stop')?]>([
  ['JSON', (response) => json(response, answer(1)), 'answered'],
  ['events', whole(`data: ${answer(1)}\n\n`), 'answered'],
  ['events that go on', (response) => events(response, `data: ${answer(1)}\n\n`), 'answered'],
  ['events without the answer', whole('data: {}\n\n'), 'cut'],
  ['an error', (response) => response.writeHead(500).end('no'), 'failed'],
  ['a redirect', (response) => response.writeHead(307, { location: '/' }).end(), 'failed'],
  ['HTML', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'), 'failed'],
  ['a reset', (_response, _seen, raw) => raw.socket.resetAndDestroy(), 'failed'],
  ['nothing, until it is aborted', () => undefined, 'aborted', 'abort'],
  ['nothing, until it is stopped', () => undefined, 'failed', 'stop'],
])('leaves no listener, timer and entry after %s', async (_name, answerer, kind, end) => {
  await using upstream = await startUpstream(answerer);
  const client = new HttpClient();
  const clock = new ManualClock();
  const abort = new AbortController();
  const running = new Slots<AnswerReader>();
  const context = { upstream: 'S', clock, maxMessageBytes: 1000, secrets: () => [], running };
  const ended = Promise.withResolvers<Outcome>();
  const reader = new AnswerReader(new Route(new URL(upstream.url)), context, {
    signal: abort.signal,
    expects: 'answer',
    deliver: (message) => message.toString() === answer(1),
    onHead: undefined,
    inSession: false,
    onEnd: ended.resolve,
  });
  client.dispatch(reader, { method: 'POST', headers: [], body: Buffer.from('{}') });
  expect([running.size, getEventListeners(abort.signal, 'abort').length]).toEqual([1, 1]);
  await upstream.until(() => upstream.requests.length === 1);
  if (end === 'abort') abort.abort();
  if (end === 'stop') reader.stop(new TurnpikeError('upstream/lost'));
  expect((await ended.promise).kind).toBe(kind);
  // A stream that goes on after its answer is ended.
  if (running.size > 0) clock.advance(1000);
  await until(() => running.size === 0);
  expect([clock.pending, getEventListeners(abort.signal, 'abort').length]).toEqual([0, 0]);
  await client.close();
});

it('reads no further while whoever hears the events has not read them', async () => {
  const line = `data: ${JSON.stringify({ text: 'x'.repeat(10_000) })}\n\n`;
  let sent = 0;
  await using upstream = await startUpstream((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const more = () => {
      let hasRoom = true;
      for (; hasRoom && sent < 2_000; sent++) hasRoom = response.write(line);
      if (sent < 2_000) response.once('drain', more);
      else response.end(`data: ${answer(1)}\n\n`);
    };
    more();
  });
  const client = new HttpClient();
  const running = new Slots<AnswerReader>();
  const ended = Promise.withResolvers<Outcome>();
  let heard = 0;
  let waiting: (() => void) | undefined;
  const flow = {
    full: false,
    whenFree: (then: () => void) => {
      waiting = then;
    },
  };
  const reader = new AnswerReader(
    new Route(new URL(upstream.url)),
    { upstream: 'S', clock: new ManualClock(), maxMessageBytes: 100_000, secrets: () => [], running },
    {
      signal: new AbortController().signal,
      expects: 'answer',
      deliver: (message) => {
        if (message.toString() === answer(1)) return true;
        heard++;
        flow.full = heard === 10;
        return false;
      },
      onHead: undefined,
      inSession: false,
      flow,
      onEnd: ended.resolve,
    },
  );
  client.dispatch(reader, { method: 'POST', headers: [], body: Buffer.from('{}') });
  await until(() => waiting !== undefined);
  // What the sockets hold is full, too, and the upstream waits.
  let before = -1;
  while (before !== sent) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(heard).toBeLessThan(20);
  expect(sent).toBeLessThan(1_500);
  flow.full = false;
  waiting?.();
  expect((await ended.promise).kind).toBe('answered');
  expect(heard).toBe(2_000);
  await client.close();
});
