import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { FailureWindow } from './failure-window.ts';

describe('failure window', () => {
  it('blocks after 10 failures in 60 s, until the oldest of them is 60 s old', () => {
    const clock = new ManualClock();
    const window = new FailureWindow({ clock });
    for (let index = 0; index < 10; index++) {
      expect(window.blockedFor('a')).toBeUndefined();
      window.record('a');
      clock.advance(1000);
    }
    expect(window.blockedFor('a')).toBe(50);
    clock.advance(49_999);
    expect(window.blockedFor('a')).toBeCloseTo(0.001);
    clock.advance(1);
    expect(window.blockedFor('a')).toBeUndefined();
    window.record('a');
    expect(window.blockedFor('a')).toBe(1);
  });

  it('slides: nine at the end of a minute and one more do block', () => {
    const clock = new ManualClock();
    const window = new FailureWindow({ clock });
    clock.advance(59_000);
    for (let index = 0; index < 9; index++) window.record('a');
    clock.advance(2000);
    window.record('a');
    expect(window.blockedFor('a')).toBe(58);
  });

  it('keeps keys apart, and asking remembers nothing', () => {
    const window = new FailureWindow({ clock: new ManualClock() });
    for (let index = 0; index < 10; index++) window.record('a');
    expect(window.blockedFor('b')).toBeUndefined();
    expect(window.size).toBe(1);
  });

  it('agrees with counting everything, and never remembers more keys than the cap', () => {
    const step = fc.record({ key: fc.constantFrom('a', 'b', 'c'), wait: fc.integer({ min: 0, max: 400 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), fc.integer({ min: 1, max: 5 }), (steps, max) => {
        const clock = new ManualClock();
        const window = new FailureWindow({ clock, max, windowMs: 1000 });
        const capped = new FailureWindow({ clock, max, windowMs: 1000, maxKeys: 2 });
        const all: { key: string; at: number }[] = [];
        for (const { key, wait } of steps) {
          clock.advance(wait);
          const recent = all.filter((one) => one.key === key && one.at + 1000 > clock.monotonic()).length;
          expect(window.blockedFor(key) !== undefined).toBe(recent >= max);
          window.record(key);
          capped.record(key);
          expect(capped.size).toBeLessThanOrEqual(2);
          all.push({ key, at: clock.monotonic() });
        }
      }),
      { numRuns: 60 },
    );
  });

  it('forgets keys whose failures are all old', () => {
    const clock = new ManualClock();
    const window = new FailureWindow({ clock });
    for (let index = 0; index < 100; index++) window.record(`k${index}`);
    clock.advance(60_000);
    window.record('z');
    expect(window.size).toBe(1);
  });
});
