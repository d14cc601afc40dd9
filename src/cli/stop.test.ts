import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Crash } from './crash.ts';
import { SAME_REQUEST, Stop } from './stop.ts';

function stopped() {
  const events = new EventEmitter();
  const clock = new ManualClock();
  const codes: number[] = [];
  return { events, clock, codes, stop: new Stop({ events, clock, onSecond: (code) => codes.push(code) }) };
}

describe('signals', () => {
  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ])('the first asks for the end, a later %s ends at once', async (signal, code) => {
    const { events, clock, codes, stop } = stopped();
    events.emit('SIGTERM');
    expect(await stop.first).toBe('SIGTERM');
    clock.advance(SAME_REQUEST);
    events.emit(signal);
    expect(codes).toEqual([code]);
  });

  it('deliveries of one request count once: the group was signalled, and the parent passed it on', () => {
    const { events, clock, codes } = stopped();
    events.emit('SIGINT');
    clock.advance(SAME_REQUEST - 1);
    events.emit('SIGINT');
    expect(codes).toEqual([]);
    // The window counts from the first: a stream of signals cannot keep it open.
    clock.advance(1);
    events.emit('SIGINT');
    expect(codes).toEqual([130]);
  });

  it('a disposed one listens no more', () => {
    const { events, stop } = stopped();
    stop[Symbol.dispose]();
    expect(events.eventNames()).toEqual([]);
  });
});

describe('what nobody caught', () => {
  it.each(['uncaughtException', 'unhandledRejection'])('%s is told once; the next one ends at once', async (event) => {
    const events = new EventEmitter();
    let second = 0;
    const crash = new Crash(events, () => second++);
    expect(crash.happened).toBe(false);
    events.emit(event, 'first');
    expect(await crash.first).toBe('first');
    expect([crash.happened, second]).toEqual([true, 0]);
    events.emit('uncaughtException', 'other');
    expect(second).toBe(1);
    crash[Symbol.dispose]();
    expect(events.eventNames()).toEqual([]);
  });
});
