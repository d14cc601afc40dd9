import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { TokenBuckets } from './rate.ts';

function passing(limiter: TokenBuckets, key: string, tries: number): number {
  let passed = 0;
  for (let index = 0; index < tries; index++) if (limiter.take(key).allowed) passed++;
  return passed;
}

describe('token buckets', () => {
  it('let the burst pass at once and then the rate', () => {
    const clock = new ManualClock();
    const limiter = new TokenBuckets({ clock, rate: 10, burst: 20 });
    expect(passing(limiter, 'a', 50)).toBe(20);
    clock.advance(1000);
    expect(passing(limiter, 'a', 50)).toBe(10);
    clock.advance(60_000);
    expect(passing(limiter, 'a', 50)).toBe(20);
  });

  it('keep keys apart', () => {
    const limiter = new TokenBuckets({ clock: new ManualClock(), rate: 10, burst: 20 });
    passing(limiter, 'a', 50);
    expect(passing(limiter, 'b', 50)).toBe(20);
  });

  it('say how long to wait, and mean it', () => {
    const clock = new ManualClock();
    const limiter = new TokenBuckets({ clock, rate: 10, burst: 1 });
    limiter.take('a');
    expect(limiter.take('a')).toEqual({ allowed: false, retryAfter: 0.1 });
    clock.advance(99);
    expect(limiter.take('a').allowed).toBe(false);
    clock.advance(1);
    expect(limiter.take('a').allowed).toBe(true);
  });

  it('do not mind a wall clock that jumps', () => {
    const clock = new ManualClock();
    const limiter = new TokenBuckets({ clock, rate: 10, burst: 20 });
    passing(limiter, 'a', 50);
    clock.jump(3_600_000);
    expect(passing(limiter, 'a', 50)).toBe(0);
    clock.jump(-7_200_000);
    clock.advance(1000);
    expect(passing(limiter, 'a', 50)).toBe(10);
  });

  it('forget what was idle for 30 minutes', () => {
    const clock = new ManualClock();
    const limiter = new TokenBuckets({ clock, rate: 10, burst: 20 });
    limiter.take('a');
    clock.advance(30 * 60_000 - 1);
    limiter.take('b');
    expect(limiter.size).toBe(2);
    clock.advance(1);
    limiter.take('b');
    expect(limiter.size).toBe(1);
  });

  it('do not forget who is there all the time, alone or not', () => {
    const clock = new ManualClock();
    const limiter = new TokenBuckets({ clock, rate: 1 / 86_400, burst: 1 });
    limiter.take('a');
    for (let minutes = 0; minutes < 120; minutes += 20) {
      expect(limiter.take('a').allowed).toBe(false);
      clock.advance(20 * 60_000);
    }
  });

  it('forget the least recently used beyond the cap, never the one that is being refused now', () => {
    const limiter = new TokenBuckets({ clock: new ManualClock(), rate: 1, burst: 1, maxKeys: 3 });
    for (const key of ['a', 'b', 'c']) limiter.take(key);
    expect(limiter.take('a').allowed).toBe(false);
    limiter.take('d');
    expect(limiter.take('a').allowed).toBe(false);
    expect(limiter.take('b').allowed).toBe(true);
  });

  it('refuse a limit that is none', () => {
    const clock = new ManualClock();
    expect(() => new TokenBuckets({ clock, rate: 0, burst: 1 })).toThrow(RangeError);
    expect(() => new TokenBuckets({ clock, rate: 1, burst: 0 })).toThrow(RangeError);
    expect(() => new TokenBuckets({ clock, rate: Number.NaN, burst: 1 })).toThrow(RangeError);
  });

  it('in any history pass at most burst + rate × time, remember at most the cap, and honour their own retryAfter', () => {
    const step = fc.record({ key: fc.integer({ min: 0, max: 12 }), wait: fc.integer({ min: 0, max: 900 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 9 }), (steps, rate, burst) => {
        const clock = new ManualClock();
        const wide = new TokenBuckets({ clock, rate, burst });
        const narrow = new TokenBuckets({ clock, rate, burst, maxKeys: 4 });
        const passed = new Map<string, number[]>();
        for (const { key, wait } of steps) {
          clock.advance(wait);
          const name = `k${key}`;
          narrow.take(name);
          expect(narrow.size).toBeLessThanOrEqual(4);
          const verdict = wide.take(name);
          if (verdict.allowed) passed.set(name, [...(passed.get(name) ?? []), clock.monotonic()]);
          else expect(verdict.retryAfter).toBeGreaterThan(0);
        }
        for (const times of passed.values()) {
          for (const [first, start] of times.entries()) {
            for (let last = first; last < times.length; last++) {
              const span = ((times[last] ?? 0) - start) / 1000;
              expect(last - first + 1).toBeLessThanOrEqual(burst + rate * span + 1e-6);
            }
          }
        }
        const final = wide.take('k0');
        if (!final.allowed) {
          clock.advance(final.retryAfter * 1000);
          expect(wide.take('k0').allowed).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });
});
