import { expect, it } from 'vitest';
import type { Timer } from '../../src/core/clock.ts';
import { ManualClock } from '../../src/core/manual-clock.ts';
import type { Fault } from '../fixtures/gitlab/server/faults.ts';
import { until } from '../fixtures/processes.ts';
import { LegacyClient, ModernClient } from '../security/kit/clients.ts';
import { get } from '../security/kit/http.ts';
import { GitLabRig } from './rig.ts';

/** What the question of every quarter of an hour does to people of a gateway (gitlab.md 1.3; acceptance 12, 13). */

/** The longest time until a credential is asked about again: 15 minutes and the jitter. */
const ROUND = 990_000;
const STEP = 1_000;

/** Knows how many questions began, so that time passes only when each has its answer. */
class QuestionsClock extends ManualClock {
  questions = 0;

  override after(ms: number, fn: () => void): Timer {
    // So long an answer of GitLab may take to begin.
    if (ms === 20_000) this.questions++;
    return super.after(ms, fn);
  }
}

it('an outage changes nothing but the numbers; a token that was revoked ends entry and sessions, without a call', async () => {
  const clock = new QuestionsClock();
  await using gitlab = await GitLabRig.start({}, {}, { clock });
  const [alice, bob] = [gitlab.com.person('alice'), gitlab.com.person('bob')];
  const sessions = [await LegacyClient.open(gitlab.url, alice.token.value), await LegacyClient.open(gitlab.url, bob.token.value)];
  const statuses = () => Promise.all(sessions.map(async (session) => (await session.send('ping')).status));
  const page = async () => (await get(gitlab.url.replace('/mcp', '/metrics'))).text;
  const outcomes = async () => {
    const text = await page();
    const [succeeded, failed, skipped] = ['succeeded', 'failed', 'skipped'].map((outcome) =>
      Number(new RegExp(`^turnpike_gitlab_revalidations_${outcome}_total (\\d+)$`, 'm').exec(text)?.[1]),
    ) as [number, number, number];
    return { succeeded, failed, skipped };
  };
  const before = clock.questions;
  const round = async () => {
    for (let passed = 0; passed < ROUND; passed += STEP) {
      const begun = clock.questions;
      clock.advance(STEP);
      await new Promise((resolve) => setImmediate(resolve));
      if (clock.questions === begun) continue;
      await until(
        async () => Object.values(await outcomes()).reduce((sum, count) => sum + count, 0),
        (answered) => answered === clock.questions - before,
        10_000,
      );
    }
    return outcomes();
  };

  let skipped = 0;
  for (const fault of [
    { kind: 'status', status: 502 },
    { kind: 'reset', where: 'before' },
    { kind: 'broken-json' },
  ] as const satisfies readonly Fault[]) {
    const spoilt = gitlab.com.faults.add({ path: '/user', times: Number.POSITIVE_INFINITY, fault });
    const seen = await round();
    expect([fault.kind, seen.succeeded, seen.failed, seen.skipped > skipped, await statuses()]).toEqual([fault.kind, 0, 0, true, [200, 200]]);
    expect(gitlab.rig.status('com')?.state).toBe('degraded');
    skipped = seen.skipped;
    spoilt();
  }

  expect(await round()).toMatchObject({ failed: 0, skipped });
  const { succeeded } = await outcomes();
  expect([succeeded >= 2, gitlab.rig.status('com')?.state]).toEqual([true, 'connected']);

  alice.token.revoked = true;
  const last = await round();
  expect([last.failed, last.skipped, last.succeeded > succeeded]).toEqual([1, skipped, true]);
  expect(await statuses()).toEqual([404, 200]);
  const reply = await new ModernClient(gitlab.url, alice.token.value).send('tools/list');
  expect([reply.status, reply.headers['www-authenticate']]).toEqual([401, expect.stringContaining('error="invalid_token"')]);
  expect(await page()).toMatch(/^turnpike_pool_size\{pool="gitlab_servers"\} 1$/m);
});
