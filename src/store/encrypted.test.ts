import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { EncryptedStore } from './encrypted.ts';
import { Keyring, randomKey } from './keys.ts';
import { MemoryStore } from './memory.ts';
import type { Row, Store } from './store.ts';

const clock = new ManualClock();
const key = randomKey();
let inner: MemoryStore;
let store: Store;

beforeEach(() => {
  inner = new MemoryStore(clock);
  store = new EncryptedStore(inner, new Keyring([key]), clock);
});
afterEach(() => {
  inner.close();
  expect(clock.pending).toBe(0);
});

/** The name under which the medium holds a row. */
const nameOf = (row: Row) => row.position.slice(row.space.length + 1);
const failed = expect.objectContaining({ code: 'store/failed' });

describe('an encrypted store against whoever writes to its medium', () => {
  it('refuses every changed byte', async () => {
    await store.set('a', 'x', Buffer.from('value'));
    const [row] = await inner.scan('a');
    if (row === undefined) throw new Error('no row');
    for (let at = 0; at < row.value.length; at++) {
      const bad = Buffer.from(row.value);
      bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
      await inner.set('a', nameOf(row), bad);
      await expect(store.get('a', 'x'), `byte ${at}`).rejects.toEqual(failed);
    }
    await inner.set('a', nameOf(row), Buffer.alloc(0));
    await expect(store.get('a', 'x')).rejects.toEqual(failed);
  });

  it('refuses a row in the place of another, in its space or the next', async () => {
    await store.set('a', 'x', Buffer.from('mine'));
    await store.set('a', 'y', Buffer.from('yours'));
    await store.set('b', 'x', Buffer.from('elsewhere'));
    const [x, y] = (await inner.scan('a')) as [Row, Row];
    await inner.set('a', nameOf(x), y.value);
    await inner.set('a', nameOf(y), x.value);
    await expect(store.get('a', 'x')).rejects.toEqual(failed);
    await expect(store.take('a', 'y')).rejects.toEqual(failed);
    const [b] = (await inner.scan('b')) as [Row];
    await inner.set('b', nameOf(b), x.value);
    await expect(store.get('b', 'x')).rejects.toEqual(failed);
    await expect(store.scan('b')).rejects.toEqual(failed);
  });

  it('ends a row at its time even if the medium says otherwise', async () => {
    await store.set('a', 'x', Buffer.from('v'), { ttl: 1_000 });
    const [row] = (await inner.scan('a')) as [Row];
    await inner.set('a', nameOf(row), row.value);
    clock.advance(1_000);
    expect(await store.get('a', 'x')).toBeUndefined();
    expect(await store.scan('a')).toEqual([]);
    expect(await store.take('a', 'x')).toBeUndefined();
  });

  it('names the same id differently in every space and under every key', async () => {
    const other = new EncryptedStore(inner, new Keyring([randomKey()]), clock);
    await store.set('a', 'x', Buffer.from('v'));
    await store.set('b', 'x', Buffer.from('v'));
    await other.set('a', 'x', Buffer.from('v'));
    const rows = [...(await inner.scan('a')), ...(await inner.scan('b'))];
    expect(new Set(rows.map(nameOf)).size).toBe(3);
    expect(new Set(rows.map((row) => row.value.toString('hex'))).size).toBe(3);
  });
});

describe('rotation', () => {
  it('does not bring back a row that is deleted while it moves', async () => {
    const both = new EncryptedStore(inner, new Keyring([randomKey(), key]), clock);
    for (let turn = 0; turn < 20; turn++) {
      await store.set('a', 'x', Buffer.from('v'));
      const [row] = (await inner.scan('a')) as [Row];
      const reading = both.get('a', 'x');
      for (let wait = 0; wait < turn; wait++) await Promise.resolve();
      const removed = await (turn % 2 === 0 ? both.delete('a', 'x') : row.remove());
      await reading;
      // A scan's row that had moved before is not there to be removed; one that was removed stays away.
      if (removed) expect(await inner.scan('a'), `${turn} turns`).toEqual([]);
      else expect(turn % 2).toBe(1);
      await both.delete('a', 'x');
      expect(await both.get('a', 'x')).toBeUndefined();
    }
  });
});
