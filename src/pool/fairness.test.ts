import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { KeyedPool } from './keyed-pool.ts';
import type { Lease } from './lease.ts';
import { settle } from './pool-fixture.ts';

describe('the queue of the keyed pool', () => {
  it('serves tenants in turn whatever comes and goes', async () => {
    const actions = fc.oneof(
      { weight: 3, arbitrary: fc.record({ wait: fc.constantFrom('x', 'y', 'z') }) },
      { weight: 1, arbitrary: fc.record({ leave: fc.nat({ max: 9 }) }) },
      { weight: 2, arbitrary: fc.constant({ serve: true }) },
    );
    const property = fc.asyncProperty(fc.array(actions, { maxLength: 60, size: 'max' }), async (history) => {
      const clock = new ManualClock();
      const options = { name: 'fair', clock, total: 1, idleTimeout: 1e6, sweepInterval: 1e6, maxErrorCount: 9, closeDelay: 9, queueTimeout: 1e6 };
      const pool = new KeyedPool<string>({ ...options, close: () => Promise.resolve() });
      const waiting: { id: string; tenant: string; controller: AbortController; passed: Map<string, number> }[] = [];
      const open = (id: string) => () => Promise.resolve({ value: id });
      let holder = await pool.acquire({ id: 'first', owner: '', tenant: 'w', groups: [] }, open('first'), new AbortController().signal);
      let served: { tenant: string; lease: Lease<string> } | undefined;
      let count = 0;
      const serve = async () => {
        holder.release('ok');
        await settle();
        if (waiting.length === 0) return;
        expect(served, 'somebody waits, nobody is served').toBeDefined();
        const { tenant, lease } = served as { tenant: string; lease: Lease<string> };
        const line = waiting.filter((other) => other.tenant === tenant);
        expect(lease.value, 'first come, first served within a tenant').toBe(line[0]?.id);
        waiting.splice(waiting.indexOf(line[0] as (typeof waiting)[number]), 1);
        for (const other of waiting) {
          if (other.tenant === tenant) other.passed.clear();
          else other.passed.set(tenant, (other.passed.get(tenant) ?? 0) + 1);
          expect(Math.max(0, ...other.passed.values()), `${other.id} was passed over`).toBeLessThanOrEqual(1);
        }
        holder = lease;
        served = undefined;
      };
      for (const action of history) {
        if ('wait' in action) {
          const id = `${action.wait}${count++}`;
          const controller = new AbortController();
          waiting.push({ id, tenant: action.wait, controller, passed: new Map() });
          pool.acquire({ id, owner: '', tenant: action.wait, groups: [] }, open(id), controller.signal).then(
            (lease) => {
              served = { tenant: action.wait, lease };
            },
            () => {},
          );
        } else if ('leave' in action) {
          const [gone] = waiting.splice(action.leave % Math.max(1, waiting.length), 1);
          gone?.controller.abort(new Error('left'));
        } else if (waiting.length > 0) {
          await serve();
        }
        await settle();
      }
      while (waiting.length > 0) await serve();
      await pool[Symbol.asyncDispose]();
      expect(clock.pending).toBe(0);
    });
    await fc.assert(property, { numRuns: 200 });
  });
});
