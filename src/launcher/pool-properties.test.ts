import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import type { ConnectionKey } from './connection-key.ts';
import { type PoolLease, SessionConnectionPool } from './session-connection-pool.ts';

/** Whatever is done to it in whatever order: a client is closed once, never under an unforced lease, and nothing is left. */
class Client {
  closed = 0;
  async close(): Promise<void> {
    this.closed++;
  }
}

const CAP = 3;
const settle = async () => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
};

const key = fc.record<ConnectionKey>({ backendId: fc.constantFrom('a', 'b'), sessionId: fc.constantFrom('', '1', '2') });
const step = fc.oneof(
  fc.record({ do: fc.constantFrom('put' as const, 'deferred' as const, 'expiring' as const), key }),
  fc.record({ do: fc.constantFrom('get' as const, 'lease' as const, 'open' as const, 'error' as const, 'success' as const, 'evict' as const), key }),
  fc.record({ do: fc.constantFrom('evictServer' as const, 'evictSession' as const), key }),
  fc.record({ do: fc.constant('release' as const), at: fc.nat(5), failed: fc.boolean() }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 800 }) }),
  fc.record({ do: fc.constant('drain' as const) }),
);

it('keeps its promises in random histories', async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
    const clock = new ManualClock();
    const pool = new SessionConnectionPool<Client>({
      clock,
      idleTimeout: 1_000,
      cleanupInterval: 300,
      maxErrorCount: 2,
      closeDelay: 500,
      maxConnections: CAP,
      maxPerBackend: 2,
    });
    const clients: Client[] = [];
    const mine = new Set<Client>();
    const leases: PoolLease<Client>[] = [];
    let ending = false;
    const make = () => {
      const client = new Client();
      clients.push(client);
      return client;
    };
    const store = (put: (client: Client) => void) => {
      const client = make();
      try {
        put(client);
      } catch (error) {
        // Every place is leased: then it is still ours.
        expect(error).toMatchObject({ code: 'pool/exhausted' });
        mine.add(client);
      }
    };
    for (const one of steps) {
      if (one.do === 'put') store((client) => pool.put(one.key, client));
      else if (one.do === 'deferred') store((client) => pool.putWithDeferredClose(one.key, client, undefined, 400));
      else if (one.do === 'expiring') store((client) => pool.putWithExpiry(one.key, client, new Date(clock.now() + 600)));
      else if (one.do === 'get') expect(pool.get(one.key)?.closed ?? 0).toBe(0);
      else if (one.do === 'lease') leases.push(...[pool.lease(one.key) ?? []].flat());
      else if (one.do === 'open') {
        void pool
          .lease(one.key, async () => ({ connection: make() }))
          .then(
            (lease) => (ending ? lease.release('ok') : leases.push(lease)),
            (error: unknown) => expect(error).toMatchObject({ code: expect.stringMatching(/^pool\//) }),
          );
      } else if (one.do === 'error') pool.recordError(one.key);
      else if (one.do === 'success') pool.recordSuccess(one.key);
      else if (one.do === 'evict') void pool.evict(one.key);
      else if (one.do === 'evictServer') void pool.evictServer(one.key.backendId);
      else if (one.do === 'evictSession') void pool.evictSession(one.key.sessionId);
      else if (one.do === 'release') leases.splice(one.at, 1)[0]?.release(one.failed ? 'transport-error' : 'ok');
      else if (one.do === 'wait') await clock.advanceAsync(one.ms, 50);
      else void pool.drainAll();
      await settle();
      // A connection under a lease is open, or its lease says that it is not.
      for (const { connection, signal } of leases) expect(connection.closed > 0).toBe(signal.aborted);
      for (const stored of pool.list()) expect(pool.get(stored)?.closed ?? 0).toBe(0);
      expect(pool.size()).toBe(pool.list().length);
      expect(pool.list().filter((stored) => pool.getMetadata(stored)?.state !== 'starting').length).toBeLessThanOrEqual(CAP);
      expect(clients.filter((client) => !mine.has(client) && client.closed > 1)).toEqual([]);
    }
    // Who waits for a place gets it now, or is turned away.
    ending = true;
    for (const lease of leases) lease.release('ok');
    // Predecessors that were given time keep it.
    const stopped = pool.stop();
    await clock.advanceAsync(500, 100);
    await stopped;
    await settle();
    expect(clients.map(({ closed }) => closed)).toEqual(clients.map((client) => (mine.has(client) ? 0 : 1)));
    expect([clock.pending, pool.size()]).toEqual([0, 0]);
  });
  await fc.assert(property, { numRuns: 300, timeout: 2_000 });
});
