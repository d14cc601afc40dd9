import { describe, expect, it } from 'vitest';
import { Deadlines } from '../core/deadlines.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { Deadline } from './deadline.ts';

function start(call = 60_000, callMax = 100_000) {
  const clock = new ManualClock();
  const expired: number[] = [];
  const deadline = new Deadline(new Deadlines(clock), { call, callMax }, (ms) => expired.push(ms));
  return { clock, deadline, expired };
}

describe('the time of a call', () => {
  it('passes once, and says which limit', () => {
    const { clock, deadline, expired } = start();
    clock.advance(59_999);
    expect(expired).toEqual([]);
    clock.advance(1);
    expect(expired).toEqual([60_000]);
    deadline.restart();
    deadline.pause();
    deadline.resume();
    clock.advance(1_000_000);
    expect(expired).toEqual([60_000]);
    expect(clock.pending).toBe(0);
  });

  it('starts again with progress, but never beyond the whole', () => {
    const { clock, deadline, expired } = start();
    clock.advance(50_000);
    deadline.restart();
    clock.advance(49_999);
    expect(expired).toEqual([]);
    clock.advance(1);
    expect(expired).toEqual([100_000]);
  });

  it('stands still while the client is asked, until every question is answered', () => {
    const { clock, deadline, expired } = start();
    clock.advance(59_000);
    deadline.pause();
    deadline.pause();
    expect(clock.pending).toBe(0);
    clock.advance(3_600_000);
    deadline.resume();
    clock.advance(3_600_000);
    deadline.resume();
    clock.advance(999);
    expect(expired).toEqual([]);
    clock.advance(1);
    expect(expired).toEqual([60_000]);
  });

  it('counts what passed before a pause against the whole', () => {
    const { clock, deadline, expired } = start();
    clock.advance(50_000);
    deadline.pause();
    deadline.restart();
    clock.advance(10_000);
    deadline.resume();
    clock.advance(49_999);
    expect(expired).toEqual([]);
    clock.advance(1);
    expect(expired).toEqual([100_000]);
  });

  it('leaves no timer behind its end', () => {
    const { clock, deadline, expired } = start();
    deadline.end();
    deadline.restart();
    deadline.pause();
    deadline.resume();
    expect(clock.pending).toBe(0);
    clock.advance(1_000_000);
    expect(expired).toEqual([]);
  });
});
