import { describe, expect, it } from 'vitest';
import { Deadlines } from '../core/deadlines.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { CallLife } from './call-life.ts';

function start() {
  const clock = new ManualClock();
  const life = new CallLife(new Deadlines(clock), { call: 100, callMax: 1_000 }, 'a', 'read');
  return { clock, life };
}

describe('a call ends', () => {
  it('with its time', () => {
    const { clock, life } = start();
    clock.advance(100);
    expect(life.signal.reason).toMatchObject({ code: 'upstream/timeout', message: "tool 'read' timed out after 0.1s", details: { upstream: 'a' } });
    expect(clock.pending).toBe(0);
  });

  it('with whom it follows, and says why; the first reason counts', () => {
    const { clock, life } = start();
    const source = new AbortController();
    life.follow(source.signal);
    source.abort('gone');
    clock.advance(100);
    expect(life.signal.reason).toBe('gone');
  });

  it('at once with one that has ended', () => {
    const { life } = start();
    life.follow(AbortSignal.abort('gone'));
    expect(life.signal.reason).toBe('gone');
  });

  it('not with one that it follows no more', () => {
    const { life } = start();
    const [one, two] = [new AbortController(), new AbortController()];
    life.follow(one.signal);
    life.follow(two.signal);
    one.abort('one');
    expect(life.signal.aborted).toBe(false);
    two.abort('two');
    expect(life.signal.reason).toBe('two');
  });
});

it('what is over follows nobody and has no timer', () => {
  const { clock, life } = start();
  const source = new AbortController();
  life.follow(source.signal);
  life[Symbol.dispose]();
  source.abort('late');
  clock.advance(10_000);
  expect(life.signal.aborted).toBe(false);
  expect(clock.pending).toBe(0);
  life.deadline.pause();
  life.deadline.resume();
  life.deadline.restart();
  expect(clock.pending).toBe(0);
});
