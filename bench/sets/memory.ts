import { setTimeout as pause } from 'node:timers/promises';
import { gateway, PROBED } from '../delivered.ts';
import { residentOf } from '../machine.ts';
import type { HeapUse } from '../probe.ts';
import { entry, httpUpstream } from '../stage.ts';
import { plainRow, type Row } from '../verdict.ts';
import { planOf } from './calls.ts';
import type { BenchSet, Context } from './set.ts';

const KIB = 1024;
const MEGA = 1_000_000;

/** How long the gateway is left alone before it is looked at. Milliseconds. */
const REST = 5_000;

/** A gateway with an upstream over HTTP and one over stdio, whose process is not counted, when nobody calls. */
export const idleGateway: BenchSet = async ({ run, options, tell }) => {
  await using upstream = await httpUpstream(run);
  const upstreams = [entry.modernHttp(upstream), entry.modernStdio()];
  await using tested = await gateway(run, options, { upstreams });
  await pause(REST);
  const value = residentOf(tested.pid) / MEGA;
  tell(`${value.toFixed(1)} MB resident`);
  return [plainRow('idle', 'MB', [value])];
};

const SESSIONS = 10_000;
/** Before anything is counted: code is compiled, and what is bounded has come near its bound. */
const FIRST_SESSIONS = 2_000;
const SOCKETS = 16;

/** What a session takes that nobody uses, after its handshake alone, and after it was used once. */
export const idleSessions: BenchSet = async (context) => {
  const rows: Row[] = [];
  for (const [variant, calls] of [
    ['after the handshake', false],
    ['after a call', true],
  ] as const) {
    rows.push(...(await sessionsOf(context, variant, calls)));
  }
  return rows;
};

async function sessionsOf({ run, options, generator, tell }: Context, variant: string, calls: boolean): Promise<readonly Row[]> {
  await using upstream = await httpUpstream(run);
  await using tested = await gateway(run, options, {
    upstreams: [entry.legacyHttp(upstream)],
    execArgv: PROBED,
    // All sessions are of one principal, who may have half of them. The pool as it is by default: sessions that rest give their connections up to others.
    settings: { limits: { sessions: 2 * (SESSIONS + FIRST_SESSIONS) }, pool: { limits: {} } },
  });
  const plan = planOf(tested.at('leg'), 'legacy', options, { clients: SOCKETS });
  await generator.idle(plan, FIRST_SESSIONS, calls);
  const before = await tested.child.ask<HeapUse>({ ask: 'heap' });
  await generator.idle(plan, SESSIONS, calls);
  const after = await tested.child.ask<HeapUse>({ ask: 'heap' });
  const each = (of: (use: HeapUse) => number) => (of(after) - of(before)) / SESSIONS / KIB;
  const held = each(({ heapUsed, external }) => heapUsed + external);
  const resident = each(({ rss }) => rss);
  tell(
    `${variant}: heap ${each(({ heapUsed }) => heapUsed).toFixed(2)}, outside ${each(({ external }) => external).toFixed(2)}, resident ${resident.toFixed(2)} KiB`,
  );
  return [plainRow('session', 'KiB', [held], { variant }), plainRow('sessionResident', 'KiB', [resident], { variant })];
}
