import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { FixedWindows } from './fixed-window.ts';

describe('fixed windows', () => {
  it('begin with the first unit of their key, and end 60 s later whatever comes meanwhile', () => {
    const clock = new ManualClock();
    const windows = new FixedWindows({ clock, max: 3 });
    clock.advance(12_345);
    expect(windows.take('a', 1)).toEqual({ allowed: true, limit: 3, remaining: 2, reset: 60 });
    clock.advance(59_000);
    expect(windows.take('a', 2)).toEqual({ allowed: true, limit: 3, remaining: 0, reset: 1 });
    expect(windows.take('a', 1)).toEqual({ allowed: false, limit: 3, remaining: 0, reset: 1 });
    expect(windows.take('b', 1).allowed).toBe(true);
    clock.advance(1_000);
    expect(windows.take('a', 3)).toEqual({ allowed: true, limit: 3, remaining: 0, reset: 60 });
  });

  it('take all units or none', () => {
    const windows = new FixedWindows({ clock: new ManualClock(), max: 3 });
    expect(windows.take('a', 4)).toMatchObject({ allowed: false, remaining: 3 });
    expect(windows.take('a', 3)).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('forget windows that are over, and remember no more keys than the cap', () => {
    const clock = new ManualClock();
    const windows = new FixedWindows({ clock, max: 1, maxKeys: 2 });
    for (const key of ['a', 'b', 'c']) windows.take(key, 1);
    expect(windows.size).toBe(2);
    expect(windows.take('c', 1).allowed).toBe(false);
    clock.advance(60_000);
    windows.take('d', 1);
    expect(windows.size).toBe(1);
  });
});
