import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import {
  type ConnectionKey,
  connectionKeyToString,
  DEFAULT_CLEANUP_INTERVAL,
  DEFAULT_CONNECTION_POOL_MAX_AGE,
  DEFAULT_IDLE_TIMEOUT,
  DEFAULT_MAX_ERROR_COUNT,
} from './connection-key.ts';
import { SessionConnectionPool, type SessionConnectionPoolOptions } from './session-connection-pool.ts';

/** A client that only knows how often it was closed. */
class Client {
  closed = 0;
  async close(): Promise<void> {
    this.closed++;
  }
}

const MINUTE = 60_000;
const key = (backendId: string, sessionId: string): ConnectionKey => ({ backendId, sessionId });
const A1 = key('a', '1');
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

let clock: ManualClock;
let pool: SessionConnectionPool<Client>;
function make(options: SessionConnectionPoolOptions = {}): SessionConnectionPool<Client> {
  pool = new SessionConnectionPool<Client>({ clock, ...options });
  return pool;
}
beforeEach(() => {
  clock = new ManualClock();
  make();
});
afterEach(async () => {
  await pool[Symbol.asyncDispose]();
  expect(clock.pending).toBe(0);
});

describe('put, get and evict', () => {
  it('keeps connections by backend and session', async () => {
    const [one, two] = [new Client(), new Client()];
    expect(pool.get(A1)).toBeUndefined();
    pool.put(A1, one);
    pool.put(key('a', '2'), two);
    expect([pool.get(A1), pool.get(key('a', '2')), pool.get(key('b', '1')), pool.size()]).toEqual([one, two, undefined, 2]);
    expect(pool.list().map(connectionKeyToString)).toEqual(['a/1', 'a/2']);
    await pool.evict(A1);
    expect([pool.get(A1), one.closed, two.closed, pool.size()]).toEqual([undefined, 1, 0, 1]);
    await pool.evict(A1);
    expect(one.closed).toBe(1);
  });

  it('names that look alike are not the same key', () => {
    pool.put(key('a/b', 'c'), new Client());
    expect(pool.get(key('a', 'b/c'))).toBeUndefined();
    expect(() => pool.put(key('', 'c'), new Client())).toThrow(/backendId/);
  });

  it('closes what is replaced, once, and not what is stored again', async () => {
    const [one, two] = [new Client(), new Client()];
    pool.put(A1, one);
    pool.put(A1, one);
    await settle();
    expect([one.closed, pool.get(A1)]).toEqual([0, one]);
    pool.put(A1, two);
    await settle();
    expect([one.closed, two.closed, pool.get(A1)]).toEqual([1, 0, two]);
  });

  it('a deferred close leaves the replaced one open for so long', async () => {
    const [one, two] = [new Client(), new Client()];
    pool.put(A1, one);
    pool.putWithDeferredClose(A1, two, undefined, 5_000);
    await clock.advanceAsync(4_999);
    expect([one.closed, pool.get(A1)]).toEqual([0, two]);
    await clock.advanceAsync(1);
    await settle();
    expect([one.closed, two.closed]).toEqual([1, 0]);
  });

  it('evicts by server and by session, leased or not', async () => {
    const clients = new Map(['a1', 'a2', 'b1'].map((name) => [name, new Client()] as const));
    for (const [name, client] of clients) pool.put(key(name.slice(0, 1), name.slice(1)), client);
    const lease = pool.lease(A1);
    await pool.evictSession('1');
    expect([...clients.values()].map(({ closed }) => closed)).toEqual([1, 0, 1]);
    expect(lease?.signal.aborted).toBe(true);
    const other = pool.lease(key('a', '2'));
    await pool.evictServer('a');
    expect(other?.signal.aborted).toBe(true);
    expect([[...clients.values()].map(({ closed }) => closed), pool.size()]).toEqual([[1, 1, 1], 0]);
  });

  it('tells its callbacks of every connection that is stored, by server; one that throws loses nothing', async () => {
    const errors: unknown[] = [];
    make({ onError: (error) => void errors.push(error) });
    const told: string[] = [];
    const client = new Client();
    pool.setNotificationCallback('a', (session, stored) => void told.push(`${session}${stored === client}`));
    pool.put(A1, client);
    pool.putWithExpiry(key('a', '2'), client, new Date(clock.now() + MINUTE));
    pool.putWithDeferredClose(key('a', '3'), client, undefined);
    pool.put(key('b', '4'), client);
    (await pool.lease(key('a', '5'), async () => ({ connection: client }))).release('ok');
    expect(told).toEqual(['1true', '2true', '3true', '5true']);
    pool.setNotificationCallback('a', undefined);
    pool.put(A1, new Client());
    expect(told).toHaveLength(4);
    pool.setNotificationCallback('b', () => {
      throw new Error('mine');
    });
    pool.put(key('b', '6'), client);
    expect([pool.get(key('b', '6')), errors.map(String)]).toEqual([client, ['Error: mine']]);
  });
});

describe('idle connections', () => {
  it('has the defaults that are documented', () => {
    expect([DEFAULT_IDLE_TIMEOUT, DEFAULT_CLEANUP_INTERVAL, DEFAULT_MAX_ERROR_COUNT, DEFAULT_CONNECTION_POOL_MAX_AGE]).toEqual([
      30 * MINUTE,
      5 * MINUTE,
      10,
      60 * MINUTE,
    ]);
  });

  it('are closed after half an hour without use, at most five minutes late; each get puts that off', async () => {
    const [used, unused] = [new Client(), new Client()];
    pool.put(A1, used);
    pool.put(key('a', '2'), unused);
    await clock.advanceAsync(29 * MINUTE, MINUTE);
    pool.get(A1);
    await clock.advanceAsync(6 * MINUTE, MINUTE);
    await settle();
    expect([used.closed, unused.closed]).toEqual([0, 1]);
  });

  it('fromMaxAge closes after its age, looking at every half', async () => {
    await pool[Symbol.asyncDispose]();
    pool = SessionConnectionPool.fromMaxAge<Client>(10_000, { clock });
    const client = new Client();
    pool.put(A1, client);
    await clock.advanceAsync(4_000, 1_000);
    pool.get(A1);
    await clock.advanceAsync(9_000, 1_000);
    expect(client.closed).toBe(0);
    await clock.advanceAsync(2_000, 1_000);
    await settle();
    expect(client.closed).toBe(1);
  });

  it('are none while leased: idle counts from the end of the last lease', async () => {
    const client = new Client();
    pool.put(A1, client);
    const lease = pool.lease(A1);
    await clock.advanceAsync(90 * MINUTE, MINUTE);
    expect([client.closed, pool.getMetadata(A1)?.state]).toEqual([0, 'active']);
    lease?.release('ok');
    await clock.advanceAsync(29 * MINUTE, MINUTE);
    expect([client.closed, pool.getMetadata(A1)?.state]).toEqual([0, 'idle']);
    await clock.advanceAsync(6 * MINUTE, MINUTE);
    await settle();
    expect(client.closed).toBe(1);
  });
});

describe('leases', () => {
  it('one open for all who come at once; a failed one is kept for nobody', async () => {
    let opens = 0;
    const open = async () => {
      opens++;
      await settle();
      return { connection: new Client() };
    };
    const leases = await Promise.all(Array.from({ length: 20 }, () => pool.lease(A1, open)));
    expect([opens, new Set(leases.map(({ connection }) => connection)).size, pool.getMetadata(A1)?.requestCount]).toEqual([1, 1, 20]);
    await expect(pool.lease(key('b', '1'), async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(pool.getMetadata(key('b', '1'))).toBeUndefined();
    for (const lease of leases) lease.release('ok');
  });

  it('an abort ends the wait, and the open that nobody waits for any more', async () => {
    const stop = new AbortController();
    let until: AbortSignal | undefined;
    const lease = pool.lease(
      A1,
      (signal) => {
        until = signal;
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
      { signal: stop.signal },
    );
    await settle();
    expect(pool.getMetadata(A1)).toMatchObject({ state: 'starting', requestCount: 0 });
    stop.abort(new Error('enough'));
    await expect(lease).rejects.toThrow('enough');
    expect(until?.aborted).toBe(true);
  });

  it('are given back by `using`', () => {
    pool.put(A1, new Client());
    {
      using lease = pool.lease(A1);
      expect([lease?.connection, pool.getMetadata(A1)?.state]).toEqual([pool.get(A1), 'active']);
    }
    expect(pool.getMetadata(A1)?.state).toBe('idle');
    expect(pool.lease(key('b', '1'))).toBeUndefined();
  });

  it('a replaced connection finishes what runs on it, for `closeDelay` at most', async () => {
    make({ closeDelay: 1_000 });
    const [one, two] = [new Client(), new Client()];
    pool.put(A1, one);
    const lease = pool.lease(A1);
    pool.put(A1, two);
    await clock.advanceAsync(999);
    expect([one.closed, lease?.signal.aborted]).toEqual([0, false]);
    await clock.advanceAsync(1);
    await settle();
    expect([one.closed, lease?.signal.aborted, pool.get(A1)]).toEqual([1, true, two]);
  });
});

describe('the error budget', () => {
  it('three failures in a row retire a connection, a success between starts over, and a new one starts at 0', async () => {
    make({ maxErrorCount: 3 });
    const client = new Client();
    pool.put(A1, client);
    pool.recordError(A1);
    pool.recordError(A1);
    pool.recordSuccess(A1);
    pool.recordError(A1);
    pool.lease(A1)?.release('transport-error');
    expect([pool.get(A1), pool.getMetadata(A1)?.errorCount]).toEqual([client, 2]);
    pool.recordError(A1);
    await settle();
    expect([pool.get(A1), client.closed]).toEqual([undefined, 1]);
    pool.recordError(A1);
    pool.put(A1, new Client());
    expect(pool.getMetadata(A1)?.errorCount).toBe(0);
  });
});

describe('tokens', () => {
  it('their expiry is known, without an entry or an expiry there is none', () => {
    expect([pool.isTokenExpired(A1), pool.isTokenExpiringSoon(A1, MINUTE)]).toEqual([false, false]);
    pool.put(A1, new Client());
    expect([pool.isTokenExpired(A1), pool.isTokenExpiringSoon(A1, Number.MAX_SAFE_INTEGER)]).toEqual([false, false]);
    pool.putWithExpiry(A1, new Client(), new Date(clock.now() + 4 * MINUTE));
    expect([pool.isTokenExpiringSoon(A1, 3 * MINUTE), pool.isTokenExpiringSoon(A1, 4 * MINUTE), pool.isTokenExpired(A1)]).toEqual([
      false,
      true,
      false,
    ]);
    clock.advance(4 * MINUTE);
    expect([pool.isTokenExpired(A1), pool.isTokenExpiringSoon(A1, 0), pool.get(A1)]).toEqual([true, true, expect.any(Client)]);
    clock.advance(MINUTE);
    expect([pool.isTokenExpired(A1), pool.get(A1)]).toEqual([false, undefined]);
  });

  it('near the expiry leases get the current connection and one successor is opened; expired, it is not leased', async () => {
    let opens = 0;
    const lifetime = 10 * MINUTE;
    const open = async () => ({ connection: Object.assign(new Client(), { number: ++opens }), tokenExpiry: new Date(clock.now() + lifetime) });
    const first = await pool.lease(A1, open);
    first.release('ok');
    clock.advance(5 * MINUTE + 1);
    const [second, third] = await Promise.all([pool.lease(A1, open), pool.lease(A1, open)]);
    expect([second.connection, third.connection]).toEqual([first.connection, first.connection]);
    await settle();
    expect(opens).toBe(2);
    expect(pool.get(A1)).not.toBe(first.connection);
    for (const lease of [second, third]) lease.release('ok');
    await settle();
    expect((first.connection as Client).closed).toBe(1);
    clock.advance(lifetime);
    expect(pool.lease(A1)).toBeUndefined();
    (await pool.lease(A1, open)).release('ok');
    expect(opens).toBe(3);
  });

  it('an exchanged token is shown as a fingerprint and never kept', async () => {
    const token = 'eyJ-very-secret-token';
    pool.setExchangedToken(A1, token);
    expect(pool.snapshot('1')).toEqual([]);
    const tokenExpiry = new Date(clock.now() + MINUTE);
    pool.putWithExpiry(A1, new Client(), tokenExpiry);
    pool.put(key('b', '1'), new Client());
    pool.put(key('b', '2'), new Client());
    pool.setExchangedToken(A1, token);
    pool.setExchangedToken(key('b', '1'), token);
    const [first, second, ...others] = pool.snapshot('1');
    const at = new Date(clock.now());
    expect(first).toEqual({
      serverName: 'a',
      createdAt: at,
      lastUsedAt: at,
      tokenExpiry,
      exchangedTokenFingerprint: expect.stringMatching(/^.{22}$/),
    });
    expect([second?.serverName, second?.exchangedTokenFingerprint, others]).toEqual(['b', first?.exchangedTokenFingerprint, []]);
    expect(inspect(pool, { depth: 10, showHidden: true }) + JSON.stringify(pool.snapshot('1'))).not.toContain(token);
  });
});

describe('caps', () => {
  it('room is made by closing the least recently used one without a lease, the same session’s first', async () => {
    make({ maxConnections: 2 });
    const clients = Array.from({ length: 4 }, () => new Client());
    const [first, second, third, fourth] = clients as [Client, Client, Client, Client];
    pool.put(A1, first);
    pool.put(key('a', '2'), second);
    pool.put(key('b', '2'), third);
    await settle();
    expect(clients.map(({ closed }) => closed)).toEqual([0, 1, 0, 0]);
    const leases = [pool.lease(A1), pool.lease(key('b', '2'))];
    expect(() => pool.put(key('c', '3'), fourth)).toThrow("connection limit reached for upstream 'c' (limit 2); retry later");
    expect(fourth.closed).toBe(0);
    for (const lease of leases) lease?.release('ok');
  });

  it('who opens waits 10 s for a place of its backend', async () => {
    make({ maxPerBackend: 1 });
    pool.put(A1, new Client());
    pool.put(key('b', '1'), new Client());
    expect(pool.size()).toBe(2);
    const lease = pool.lease(A1);
    const waiting = pool.lease(key('a', '2'), async () => ({ connection: new Client() }));
    const refused = expect(waiting).rejects.toMatchObject({
      code: 'pool/exhausted',
      message: "connection limit reached for upstream 'a' (limit 1); retry later",
    });
    await clock.advanceAsync(10_000);
    await refused;
    lease?.release('ok');
    const next = await pool.lease(key('a', '2'), async () => ({ connection: new Client() }));
    next.release('ok');
  });
});

describe('the end', () => {
  it('drainAll closes everything, after its leases, and the pool goes on', async () => {
    const [one, two] = [new Client(), new Client()];
    pool.put(A1, one);
    pool.put(key('a', '2'), two);
    const lease = pool.lease(A1);
    const drained = pool.drainAll();
    await settle();
    expect([one.closed, two.closed, pool.size()]).toEqual([0, 1, 0]);
    lease?.release('ok');
    await drained;
    expect(one.closed).toBe(1);
    pool.put(A1, new Client());
    expect(pool.size()).toBe(1);
  });

  it('stop closes everything once, is idempotent, and nothing is stored any more; then drainAll has nothing to do', async () => {
    const client = new Client();
    pool.put(A1, client);
    await Promise.all([pool.stop(), pool.stop()]);
    await pool.drainAll();
    expect([client.closed, pool.size()]).toEqual([1, 0]);
    expect(() => pool.put(A1, client)).toThrow(/is closed/);
    await expect(pool.lease(A1, async () => ({ connection: client }))).rejects.toMatchObject({ code: 'pool/closed' });
  });

  it('stop waits for leases until its signal aborts', async () => {
    const client = new Client();
    pool.put(A1, client);
    const lease = pool.lease(A1);
    const stop = new AbortController();
    const stopped = pool.stop({ signal: stop.signal });
    await settle();
    expect(client.closed).toBe(0);
    stop.abort();
    await stopped;
    expect([client.closed, lease?.signal.aborted]).toEqual([1, true]);
  });

  it('a client that cannot be closed is told, and gone', async () => {
    const errors: unknown[] = [];
    const failing = new SessionConnectionPool({ clock, onError: (error) => void errors.push(error) });
    failing.put(A1, { close: () => Promise.reject(new Error('stuck')) } as never);
    await failing.evict(A1);
    expect([errors.map(String), failing.size()]).toEqual([['Error: stuck'], 0]);
  });
});

it('metadata is a copy', () => {
  const client = new Client();
  pool.put(A1, client);
  const before = pool.getMetadata(A1);
  clock.advance(1_000);
  pool.lease(A1)?.release('ok');
  const at = clock.now();
  expect(before).toEqual({
    connection: client,
    createdAt: new Date(at - 1_000),
    lastUsedAt: new Date(at - 1_000),
    requestCount: 0,
    errorCount: 0,
    state: 'idle',
  });
  expect(pool.getMetadata(A1)).toMatchObject({ lastUsedAt: new Date(at), requestCount: 1 });
  clock.advance(500);
  pool.getMetadata(A1);
  expect(pool.getMetadata(A1)).toMatchObject({ lastUsedAt: new Date(at) });
  pool.get(A1);
  expect(pool.getMetadata(A1)).toMatchObject({ lastUsedAt: new Date(at + 500), requestCount: 1 });
});
