import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../core/manual-clock.ts';
import { AuthRateLimiter } from './auth-rate-limiter.ts';

describe('AuthRateLimiter', () => {
  it('blocks at the tenth failure within a sliding minute, and one address alone', async () => {
    const clock = new ManualClock();
    const limiter = new AuthRateLimiter(10, 60_000, clock);
    for (let n = 0; n < 9; n++) {
      limiter.recordFailure('192.0.2.1');
      clock.advance(1_000);
    }
    expect(limiter.isBlocked('192.0.2.1')).toBe(false);
    limiter.recordFailure('192.0.2.1');
    expect([limiter.isBlocked('192.0.2.1'), limiter.blockedFor('192.0.2.1'), limiter.isBlocked('192.0.2.2')]).toEqual([true, 51, false]);
    clock.advance(50_999);
    expect(limiter.isBlocked('192.0.2.1')).toBe(true);
    clock.advance(1);
    expect([limiter.isBlocked('192.0.2.1'), limiter.blockedFor('192.0.2.1')]).toEqual([false, undefined]);
    limiter.recordFailure('192.0.2.1');
    expect(limiter.isBlocked('192.0.2.1')).toBe(true);
  });

  it('takes an IPv6 /64 for one address, and IPv4 in IPv6 for what it is', () => {
    const limiter = new AuthRateLimiter(2, 60_000, new ManualClock());
    limiter.recordFailure('2001:db8::1');
    limiter.recordFailure('2001:db8:0:0:ffff::2');
    limiter.recordFailure('::ffff:192.0.2.1');
    limiter.recordFailure('192.0.2.1');
    expect(['2001:db8::3', '2001:db8:0:1::1', '192.0.2.1', '192.0.2.2'].map((ip) => limiter.isBlocked(ip))).toEqual([true, false, true, false]);
    expect(limiter.size).toBe(2);
  });

  it('remembers 10,000 addresses, and forgets the oldest first', () => {
    const limiter = new AuthRateLimiter(1, 60_000, new ManualClock());
    for (let n = 0; n < 10_001; n++) limiter.recordFailure(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    expect([limiter.size, limiter.isBlocked('10.0.0.0'), limiter.isBlocked('10.0.0.1')]).toEqual([10_000, false, true]);
  });

  it('asking costs nothing, and cleanup forgets what is over', async () => {
    const clock = new ManualClock();
    const limiter = new AuthRateLimiter(10, 60_000, clock);
    limiter.isBlocked('192.0.2.1');
    expect(limiter.size).toBe(0);
    limiter.recordFailure('192.0.2.1');
    clock.advance(30_000);
    limiter.recordFailure('192.0.2.2');
    clock.advance(30_000);
    limiter.cleanup();
    expect(limiter.size).toBe(1);
    const stop = new AbortController();
    const kept = limiter.keepClean(stop.signal);
    await clock.advanceAsync(60_000);
    expect(limiter.size).toBe(0);
    stop.abort();
    await kept;
    expect(clock.pending).toBe(0);
  });

  it.each([
    [0, 60_000],
    [10, 0],
    [Number.NaN, 60_000],
  ])('no such limit: %d in %d', (max, window) => {
    expect(() => new AuthRateLimiter(max, window)).toThrow(RangeError);
  });
});
