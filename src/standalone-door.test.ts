import { expect, it } from 'vitest';
import { ManualClock } from './core/manual-clock.ts';
import type { FrontParts } from './front.ts';
import { StandaloneDoor } from './standalone-door.ts';

it('tells how long it runs, in seconds with their fraction, and what it was told', async () => {
  const clock = new ManualClock();
  await clock.advanceAsync(10_000);
  const parts = {
    clock,
    config: () => ({ limits: { sessions: 7, sessionIdle: 90_000 } }),
    sessions: { size: 2, totals: { opened: 5, expired: 1 }, authenticated: 2 },
  } as unknown as FrontParts;
  const door = new StandaloneDoor({ maxRequestsPerMinute: 30, remote: true, dynamic: false }, parts);
  await clock.advanceAsync(1_500);
  expect(door.summary()).toMatchObject({
    uptime: 1.5,
    activeSessions: 2,
    totalSessions: 5,
    expiredSessions: 1,
    authenticatedSessions: 2,
    config: { maxSessions: 7, maxRequestsPerMinute: 30, sessionTimeoutSeconds: 90, remoteAuthEnabled: true },
  });
});
