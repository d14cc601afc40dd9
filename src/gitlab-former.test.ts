import { expect, it } from 'vitest';
import { ManualClock } from './core/manual-clock.ts';
import { type EndingParts, FormerParts } from './gitlab-former.ts';

function parts(closeDelay = 60_000, hits?: number) {
  const made = {
    closed: 0,
    clients: {
      close: async () => {
        made.closed++;
      },
    },
    closeDelay,
    ...(hits === undefined
      ? {}
      : { pool: { stats: () => ({ hits, misses: 1, evictions: 2, size: 1 - made.closed, maxSize: 9, idleClosed: 0, active: 0 }) } }),
  };
  return made satisfies EndingParts & { closed: number };
}

it('close when nobody uses them any more, and no timer is left', async () => {
  const clock = new ManualClock();
  const former = new FormerParts(clock);
  const [one, two] = [parts(), parts()];
  const over = Promise.withResolvers<void>();
  former.add(one, over.promise);
  former.add(two, new Promise(() => {}));
  await clock.advanceAsync(59_000);
  expect([one.closed, two.closed]).toEqual([0, 0]);
  over.resolve();
  await clock.advanceAsync(0);
  expect([one.closed, two.closed]).toEqual([1, 0]);
  await clock.advanceAsync(2_000);
  expect([one.closed, two.closed, clock.pending]).toEqual([1, 1, 0]);
});

it('all close with the gateway', async () => {
  const clock = new ManualClock();
  const former = new FormerParts(clock);
  const one = parts();
  former.add(one, new Promise(() => {}));
  await former.close();
  await former.close();
  expect([one.closed, clock.pending]).toEqual([1, 0]);
});

it('what they counted stays', async () => {
  const former = new FormerParts(new ManualClock());
  former.add(parts(), new Promise(() => {}));
  expect(former.stats()).toBeUndefined();
  former.add(parts(1, 5), new Promise(() => {}));
  former.add(parts(1, 7), new Promise(() => {}));
  expect(former.stats()).toEqual({ hits: 12, misses: 2, evictions: 4, size: 2 });
  await former.close();
  expect(former.stats()).toEqual({ hits: 12, misses: 2, evictions: 4, size: 0 });
});
