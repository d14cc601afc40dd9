import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { Account, type Call, MAX_ERRORS, must, type Op } from './model-account.ts';
import type { PoolKey } from './pool-key.ts';

const pickOf = <T>(items: readonly T[], pick: number): T | undefined => items[pick % Math.max(1, items.length)];

async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

function run(account: Account, op: Op): void {
  const { pool, clock, calls } = account;
  const out = calls.filter(({ lease, released }) => lease !== undefined && !released);
  switch (op.op) {
    case 'acquire': {
      const key = account.keys[op.key] as PoolKey;
      const call: Call = { key, step: account.step, controller: new AbortController(), settled: false, released: false, renews: false };
      const held = account.current(key.id);
      if (held !== undefined && held.expiresAt <= clock.now()) account.retire(held);
      const expected = account.current(key.id);
      call.renews = expected !== undefined && expected.expiresAt - clock.now() <= account.world.renewBefore;
      calls.push(call);
      pool
        .acquire(key, (signal) => account.noting(() => account.open(call, op.heedsAbort, op.lifetime, signal)), call.controller.signal)
        .then(
          (lease) => {
            call.settled = true;
            call.lease = lease;
            const thing = lease.value;
            thing.leases++;
            account.noting(() => {
              expect(thing.key.id).toBe(key.id);
              expect(thing.closing, 'a closed value was handed out').toBeUndefined();
              if (thing.retired !== undefined) expect(thing.retired.step, 'a retired value was handed out').toBeGreaterThan(call.step);
              if (expected !== undefined) expect(thing === expected, 'a value was there').toBe(true);
            });
          },
          (error: unknown) => {
            call.settled = true;
            call.error = error;
            if (!call.controller.signal.aborted) account.noting(() => mustBeFair(error));
          },
        )
        .catch(() => {}); // Noted already.
      return;
    }
    case 'opened':
    case 'openFailed': {
      const flight = pickOf(
        account.flights.filter(({ done }) => !done),
        op.pick,
      );
      if (flight !== undefined) account[op.op](flight);
      return;
    }
    case 'closed':
    case 'closeFailed':
      pickOf(
        account.things.filter(({ closing, closed }) => closing !== undefined && !closed),
        op.pick,
      )?.closing?.();
      return;
    case 'abort': {
      const call = pickOf(
        calls.filter(({ settled }) => !settled),
        op.pick,
      );
      call?.controller.abort(new Error('caller left'));
      return;
    }
    case 'release':
    case 'error':
    case 'fail': {
      const call = pickOf(out, op.pick);
      if (call?.lease === undefined) return;
      const thing = call.lease.value;
      call.released = true;
      thing.leases--;
      if (thing.leases === 0) thing.idleSince = clock.monotonic();
      thing.errors = op.op === 'release' ? 0 : thing.errors + 1;
      if (op.op === 'fail' || thing.errors >= MAX_ERRORS) account.retire(thing);
      if (op.op === 'fail') call.lease.fail();
      else call.lease.release(op.op === 'release' ? 'ok' : 'transport-error');
      call.lease.release('transport-error');
      return;
    }
    case 'exit': {
      const thing = pickOf(account.things, op.pick);
      if (thing === undefined) return;
      account.retire(thing);
      pool.fail(thing, 'exit');
      return;
    }
    case 'advance':
      clock.advance(op.ms);
      return;
    case 'jump':
      clock.jump(op.ms);
      return;
    case 'retire': {
      const { id } = account.keys[op.key] as PoolKey;
      const mark = { step: account.step, at: clock.monotonic() };
      for (const call of calls) if (call.key.id === id) call.retired ??= mark;
      for (const target of [...account.things, ...account.flights]) {
        if (target.key.id !== id) continue;
        target.retired ??= mark;
        if (op.now) target.forced = true;
      }
      void pool.retire(id, 'told to', { now: op.now });
    }
  }
}

/** Why a caller who did not leave may be turned away. */
function mustBeFair(error: unknown): void {
  const known = error instanceof TurnpikeError ? ['pool/exhausted', 'pool/closed'].includes(error.code) : (error as Error).message === 'open failed';
  must(known, `a caller was turned away with ${String(error)}`);
}

const picks = fc.nat({ max: 5 });
const one = (op: 'opened' | 'openFailed' | 'closed' | 'closeFailed' | 'abort' | 'release' | 'error' | 'fail' | 'exit') =>
  picks.map((pick): Op => ({ op, pick }));
const operations = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('acquire' as const),
      key: picks,
      heedsAbort: fc.boolean(),
      lifetime: fc.constantFrom(15, 60, 1e9),
    }),
  },
  { weight: 7, arbitrary: one('opened') },
  { weight: 1, arbitrary: one('openFailed') },
  { weight: 4, arbitrary: one('closed') },
  { weight: 2, arbitrary: one('abort') },
  { weight: 6, arbitrary: one('release') },
  { weight: 2, arbitrary: one('error') },
  { weight: 1, arbitrary: one('fail') },
  { weight: 1, arbitrary: one('exit') },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: fc.constantFrom(1, 10, 35, 120) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('jump' as const), ms: fc.constantFrom(-1000, -20, 20, 1000) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('retire' as const), key: picks, now: fc.boolean() }) },
);

const worlds = fc.record({
  total: fc.integer({ min: 1, max: 4 }),
  narrow: fc.integer({ min: 1, max: 2 }),
  queueTimeout: fc.constantFrom(0, 25),
  renewBefore: fc.constantFrom(0, 20),
});

describe('the keyed pool against its account', () => {
  it('keeps every rule in random histories', async () => {
    const property = fc.asyncProperty(worlds, fc.boolean(), fc.array(operations, { maxLength: 80, size: 'max' }), async (world, slowClose, ops) => {
      const account = new Account(world, slowClose);
      for (const op of ops) {
        account.step++;
        run(account, op);
        await settle();
        account.check();
      }
      account.step++;
      for (const target of [...account.things, ...account.flights]) target.forced = true;
      const end = account.pool[Symbol.asyncDispose]();
      for (let round = 0; round < 3; round++) {
        await settle();
        for (const flight of account.flights) account.opened(flight);
        await settle();
        for (const thing of account.things) if (!thing.closed) thing.closing?.();
      }
      await end;
      await settle();
      expect(account.violations).toEqual([]);
      expect(account.calls.filter(({ settled }) => !settled)).toEqual([]);
      expect(account.things.filter(({ closed }) => !closed).length).toBe(0);
      expect(account.pool.snapshot()).toEqual([]);
      expect(account.clock.pending).toBe(0);
    });
    await fc.assert(property, { numRuns: 600 });
  });
});
