import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import type { Answer } from '../core/mcp.ts';
import { KeepAlive } from './keep-alive.ts';
import { type EventStream, Replay } from './replay.ts';
import { SampleResponse, turn } from './sample-response.ts';
import { SseWriter } from './sse-writer.ts';

const MIB = 1024 * 1024;
const data = (text: string) => Buffer.from(JSON.stringify(text));

function made() {
  const clock = new ManualClock();
  const keepAlive = new KeepAlive(clock);
  const replay = new Replay(clock);
  const connect = () => {
    const response = new SampleResponse();
    return { response, writer: new SseWriter(response.response, keepAlive) };
  };
  /** A stream with a connection. */
  const opened = () => {
    const stream = replay.create();
    const connection = connect();
    replay.attach(stream, connection.writer);
    return { stream, ...connection };
  };
  const missed = (id: string) => replay.find(id)?.missed.map(({ data: bytes }) => JSON.parse(bytes.toString()) as unknown);
  const lose = (stream: EventStream) => {
    stream.writer?.end();
    replay.dropped(stream);
  };
  return { clock, replay, connect, opened, missed, lose };
}

describe('a stream', () => {
  it('begins with an empty event, and numbers what follows', async () => {
    const { replay, opened } = made();
    const { stream, response } = opened();
    replay.send(stream, data('one'));
    replay.send(stream, data('two'));
    await turn();
    expect(response.text).toBe('id: 0-0\nretry: 1000\ndata: \n\nid: 0-1\ndata: "one"\n\nid: 0-2\ndata: "two"\n\n');
  });

  it('that was lost is resumed after the event that the client names, and goes on', async () => {
    const { replay, opened, connect, lose } = made();
    const { stream } = opened();
    replay.send(stream, data('one'));
    lose(stream);
    replay.send(stream, data('two'));
    const { response, writer } = connect();
    const found = replay.find('0-1');
    expect(found?.stream).toBe(stream);
    replay.resume(stream, writer, found?.missed ?? []);
    replay.send(stream, data('three'));
    await turn();
    expect(response.text).toBe('id: 0-2\ndata: "two"\n\nid: 0-3\ndata: "three"\n\n');
  });

  it('that is resumed while its old connection is still open leaves that one', async () => {
    const { replay, opened, connect } = made();
    const { stream, response: before } = opened();
    const { response, writer } = connect();
    replay.resume(stream, writer, []);
    replay.send(stream, data('x'));
    await turn();
    expect(before.ended).toBe(true);
    expect(before.text).not.toContain('"x"');
    expect(response.text).toContain('"x"');
  });

  it('that ended while nobody listened is replayed to its end, once', () => {
    const { replay, opened, connect, lose, missed } = made();
    const { stream } = opened();
    lose(stream);
    replay.send(stream, data('answer'));
    replay.end(stream);
    const { response, writer } = connect();
    replay.resume(stream, writer, replay.find('0-0')?.missed ?? []);
    expect([response.text, response.ended]).toEqual(['id: 0-1\ndata: "answer"\n\n', true]);
    expect(missed('0-0')).toBeUndefined();
  });

  it('ends with its answer, which waits for who is not there', async () => {
    const { replay, opened, lose, missed } = made();
    const [read, lost] = [opened(), opened()];
    const answer: Answer = { kind: 'result', result: Buffer.from('{"a":1}') };
    replay.send(read.stream, data('one'));
    replay.answer(read.stream, 7, answer);
    expect(read.response.text).toContain('id: 0-1\ndata: "one"\n\nid: 0-2\ndata: {"jsonrpc":"2.0","id":7,"result":{"a":1}}\n\n');
    expect([read.response.ended, missed('0-0')]).toEqual([true, undefined]);
    lose(lost.stream);
    replay.answer(lost.stream, 8, answer);
    expect(missed('1-0')).toEqual([{ jsonrpc: '2.0', id: 8, result: { a: 1 } }]);
  });

  it('that ended before its client is nothing to come back for', () => {
    const { replay, opened, missed } = made();
    const { stream, response } = opened();
    replay.send(stream, data('answer'));
    replay.end(stream);
    expect(response.ended).toBe(true);
    expect(missed('0-0')).toBeUndefined();
  });

  it('never shows the events of its neighbours', () => {
    const { replay, opened, missed } = made();
    const streams = [opened(), opened(), opened()];
    for (let round = 0; round < 3; round++) for (const [index, { stream }] of streams.entries()) replay.send(stream, data(`${index}.${round}`));
    expect([missed('0-1'), missed('1-0'), missed('2-3')]).toEqual([['0.1', '0.2'], ['1.0', '1.1', '1.2'], []]);
  });
});

describe('what is kept', () => {
  it('is 1,000 events', () => {
    const { replay, opened, missed } = made();
    const { stream } = opened();
    for (let index = 1; index <= 1_500; index++) replay.send(stream, data(String(index)));
    expect(missed('0-0')).toHaveLength(1_000);
    expect(missed('0-0')?.[0]).toBe('501');
  });

  it('is 5 MiB, and no single message that is larger', () => {
    const { replay, opened, missed } = made();
    const { stream } = opened();
    for (let index = 0; index < 12; index++) replay.send(stream, Buffer.concat([Buffer.from('"'), Buffer.alloc(MIB - 2, 'x'), Buffer.from('"')]));
    expect(missed('0-0')).toHaveLength(5);
    replay.send(stream, Buffer.concat([Buffer.from('"'), Buffer.alloc(6 * MIB, 'x'), Buffer.from('"')]));
    expect(missed('0-0')).toEqual([]);
    replay.send(stream, data('small'));
    expect(missed('0-0')).toEqual(['small']);
  });

  it('is kept for 5 minutes after a drop, and for as long as the connection lives', () => {
    const { clock, replay, opened, missed, lose } = made();
    const lost = opened();
    const living = opened();
    for (const { stream } of [lost, living]) replay.send(stream, data('x'));
    lose(lost.stream);
    clock.advance(5 * 60_000);
    expect([missed('0-0'), missed('1-0')]).toEqual([['x'], ['x']]);
    clock.advance(1);
    expect([missed('0-0'), missed('1-0')]).toEqual([[], ['x']]);
  });

  it('is nothing after the end of the session', () => {
    const { replay, opened, missed } = made();
    const { stream, response } = opened();
    replay.send(stream, data('x'));
    replay.endAll();
    expect([response.ended, missed('0-0')]).toEqual([true, undefined]);
  });
});

it.each(['', '0', '0-', '-0', '9-0', '0-x', '0-0-0', ' 0-0', '0-0\n', `${'0'.repeat(11)}-0`, '0-9999999999999', '__proto__-0'])(
  'the event id %j names nothing',
  (id) => {
    const { replay, opened } = made();
    opened();
    expect(replay.find(id)).toBeUndefined();
  },
);
