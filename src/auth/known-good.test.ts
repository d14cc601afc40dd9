import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Secret } from '../core/secret.ts';
import { Credential } from './credential.ts';
import { KnownGood } from './known-good.ts';

function bearer(token: string): Credential {
  return new Credential('bearer', new Secret(token));
}

describe('known good credentials', () => {
  it('are the proven ones, for five minutes after the last proof', () => {
    const clock = new ManualClock();
    const known = new KnownGood({ clock });
    expect(known.has(bearer('a'))).toBe(false);
    known.prove(bearer('a'));
    clock.advance(299_999);
    expect(known.has(bearer('a'))).toBe(true);
    expect(known.has(bearer('b'))).toBe(false);
    known.prove(bearer('a'));
    clock.advance(299_999);
    expect(known.has(bearer('a'))).toBe(true);
    clock.advance(1);
    expect(known.has(bearer('a'))).toBe(false);
  });

  it('are forgotten at once when refused', () => {
    const known = new KnownGood({ clock: new ManualClock() });
    known.prove(bearer('a'));
    known.forget(bearer('a'));
    expect(known.has(bearer('a'))).toBe(false);
  });

  it('beyond the cap give way in the order of their last proof', () => {
    const known = new KnownGood({ clock: new ManualClock(), max: 2 });
    for (const token of ['a', 'b', 'b', 'a', 'c']) known.prove(bearer(token));
    expect(['a', 'b', 'c'].map((token) => known.has(bearer(token)))).toEqual([true, false, true]);
  });

  it('are never more than the cap, and never one that was not proven', () => {
    const step = fc.record({ token: fc.integer({ min: 0, max: 9 }), wait: fc.integer({ min: 0, max: 60 }), good: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new ManualClock();
        const known = new KnownGood({ clock, ttlMs: 100, max: 4 });
        const proven = new Map<number, number>();
        for (const { token, wait, good } of steps) {
          clock.advance(wait);
          const credential = bearer(String(token));
          if (known.has(credential)) expect(proven.get(token) ?? -1000).toBeGreaterThan(clock.monotonic() - 100);
          if (good) {
            known.prove(credential);
            proven.set(token, clock.monotonic());
            expect(known.has(credential)).toBe(true);
          } else {
            known.forget(credential);
            proven.delete(token);
          }
          expect(known.size).toBeLessThanOrEqual(4);
        }
      }),
      { numRuns: 60 },
    );
  });
});
