import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { MemoryStore } from './memory.ts';
import { SqliteStore } from './sqlite.ts';

const value = Buffer.from('v');

it('memory gives expired rows back, and has a timer only while something can expire', async () => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  await store.set('a', 'stays', value);
  expect(clock.pending).toBe(0);
  await store.set('a', 'short', value, { ttl: 1_000 });
  await store.set('b', 'long', value, { ttl: 90_000 });
  clock.advance(60_000);
  expect([store.size, clock.pending]).toEqual([2, 1]);
  clock.advance(60_000);
  expect([store.size, clock.pending]).toEqual([1, 0]);
  await store.set('a', 'again', value, { ttl: 1_000 });
  store.close();
  expect(clock.pending).toBe(0);
});

it.each([false, true])('SQLite deletes expired rows, a few at a time (second part: %s)', async (split) => {
  const clock = new ManualClock();
  const dir = mkdtempSync(join(tmpdir(), 'turnpike-sweep-'));
  const path = join(dir, 'test.db');
  const rows = () => {
    const db = new DatabaseSync(path, { readOnly: true });
    const count = db.prepare('SELECT count(*) AS n FROM rows').get()?.n;
    db.close();
    return count;
  };
  try {
    const store = await SqliteStore.open(path, clock);
    for (let n = 0; n < 700; n++) await store.set('a', `${n}`, value, n < 600 ? { ttl: 1_000 } : {});
    clock.advance(60_000);
    // What is left of a full sweep follows soon, not a minute later.
    if (split) clock.advance(100);
    store.close();
    expect([rows(), clock.pending]).toEqual([split ? 100 : 200, 0]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
