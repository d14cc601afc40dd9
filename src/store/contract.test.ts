import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { EncryptedStore } from './encrypted.ts';
import { Keyring, randomKey } from './keys.ts';
import { MemoryStore } from './memory.ts';
import { SqliteStore } from './sqlite.ts';
import type { Row, Store } from './store.ts';

interface Medium {
  readonly store: Store;
  close(): void;
}

const media: Record<string, (clock: ManualClock, dir: string) => Promise<Medium>> = {
  memory: async (clock) => {
    const store = new MemoryStore(clock);
    return { store, close: () => store.close() };
  },
  sqlite: async (clock, dir) => {
    const store = await SqliteStore.open(join(dir, 'test.db'), clock);
    return { store, close: () => store.close() };
  },
};
const makers: typeof media = { ...media };
for (const [name, make] of Object.entries(media)) {
  for (const [keys, count] of [
    ['', 1],
    [', with old keys', 3],
  ] as const) {
    makers[`encrypted ${name}${keys}`] = async (clock, dir) => {
      const { store, close } = await make(clock, dir);
      return { store: new EncryptedStore(store, new Keyring(Array.from({ length: count }, randomKey)), clock), close };
    };
  }
}

const value = (text: string) => Buffer.from(text);

describe.each(Object.entries(makers))('a store in %s', (_, make) => {
  let clock: ManualClock;
  let dir: string;
  let medium: Medium;
  let store: Store;

  beforeEach(async () => {
    clock = new ManualClock();
    dir = mkdtempSync(join(tmpdir(), 'turnpike-store-'));
    medium = await make(clock, dir);
    store = medium.store;
  });
  afterEach(() => {
    medium.close();
    expect(clock.pending).toBe(0);
    rmSync(dir, { recursive: true, force: true });
  });

  it('gives back what was set, and nothing else', async () => {
    expect(await store.get('a/b', 'x')).toBeUndefined();
    expect(await store.set('a/b', 'x', value('one'))).toBe(true);
    expect((await store.get('a/b', 'x'))?.toString()).toBe('one');
    expect(await store.get('a/b', 'X')).toBeUndefined();
    expect(await store.get('a', 'x')).toBeUndefined();
    expect(await store.set('a/b', 'x', value('two'))).toBe(true);
    expect((await store.get('a/b', 'x'))?.toString()).toBe('two');
    await store.set('a/b', 'empty', Buffer.alloc(0));
    expect(await store.get('a/b', 'empty')).toEqual(Buffer.alloc(0));
  });

  it('keeps its own copy of a value', async () => {
    const mine = value('mine');
    await store.set('a', 'x', mine);
    mine.fill(0);
    const got = await store.get('a', 'x');
    expect(got?.toString()).toBe('mine');
    got?.fill(0);
    expect((await store.get('a', 'x'))?.toString()).toBe('mine');
  });

  it('hides expired rows from every method', async () => {
    for (const id of ['get', 'take', 'delete', 'absent']) await store.set('a', id, value(id), { ttl: 1_000 });
    clock.advance(999);
    expect((await store.get('a', 'get'))?.toString()).toBe('get');
    expect((await store.scan('a')).length).toBe(4);
    clock.advance(1);
    expect(await store.get('a', 'get')).toBeUndefined();
    expect(await store.take('a', 'take')).toBeUndefined();
    expect(await store.delete('a', 'delete')).toBe(false);
    expect(await store.scan('a')).toEqual([]);
    expect(await store.set('a', 'absent', value('new'), { ifAbsent: true })).toBe(true);
    clock.advance(1_000_000);
    expect((await store.get('a', 'absent'))?.toString()).toBe('new');
  });

  it('a set without ttl ends an earlier ttl', async () => {
    await store.set('a', 'x', value('1'), { ttl: 10 });
    await store.set('a', 'x', value('2'));
    clock.advance(100_000);
    expect((await store.get('a', 'x'))?.toString()).toBe('2');
  });

  it('ifAbsent lets one of many win', async () => {
    const won = await Promise.all([1, 2, 3].map((n) => store.set('locks', 'x', value(String(n)), { ifAbsent: true, ttl: 1_000 })));
    expect(won.filter(Boolean)).toEqual([true]);
    expect((await store.get('locks', 'x'))?.toString()).toBe(String(won.indexOf(true) + 1));
  });

  it('take gives a row to one of many', async () => {
    await store.set('codes', 'x', value('once'));
    const taken = await Promise.all([1, 2, 3].map(() => store.take('codes', 'x')));
    expect(taken.filter((got) => got !== undefined).map(String)).toEqual(['once']);
    expect(await store.get('codes', 'x')).toBeUndefined();
  });

  it('delete says whether there was a row', async () => {
    await store.set('a', 'x', value('1'));
    expect([await store.delete('a', 'x'), await store.delete('a', 'x')]).toEqual([true, false]);
  });

  it('scans a space and those below it, page by page, and removes what it found', async () => {
    const at = clock.now();
    for (const [space, count] of [
      ['caps', 3],
      ['caps/t1', 4],
      ['caps/t1/p', 2],
      ['caps2', 1],
      ['caps0', 1],
      ['cap', 1],
    ] as const) {
      for (let n = 0; n < count; n++) await store.set(space, `id${n}`, value(`${space}#${n}`), n === 0 ? { ttl: 5_000 } : {});
    }
    const texts = (rows: readonly Row[]) => rows.map((row) => row.value.toString()).sort();
    expect(texts(await store.scan('caps/t1'))).toEqual(['caps/t1#0', 'caps/t1#1', 'caps/t1#2', 'caps/t1#3', 'caps/t1/p#0', 'caps/t1/p#1']);
    const paged: Row[] = [];
    for (;;) {
      const last = paged.at(-1);
      const page = await store.scan('caps', { limit: 2, ...(last && { after: last }) });
      if (page.length === 0) break;
      expect(page.length).toBeLessThanOrEqual(2);
      paged.push(...page);
    }
    expect(texts(paged)).toEqual(texts(await store.scan('caps')));
    expect(paged.length).toBe(9);
    expect(paged.find((row) => row.value.toString() === 'caps#0')?.expiresAt).toBe(at + 5_000);
    expect(paged.find((row) => row.value.toString() === 'caps#1')?.expiresAt).toBeUndefined();
    expect(await Promise.all((await store.scan('caps/t1')).map((row) => row.remove()))).not.toContain(false);
    expect(await store.get('caps/t1', 'id1')).toBeUndefined();
    expect((await store.scan('caps')).length).toBe(3);
    expect((await store.scan('caps', { limit: 0 })).length).toBe(0);
  });

  it('takes any text as an id, and keeps different ids apart', async () => {
    const ids = [
      '',
      '../x',
      '/etc/passwd',
      'a\u0000b',
      'a',
      'a\u0000',
      'é',
      'e\u0301',
      '%2e%2e',
      'x'.repeat(4096),
      "'; DROP TABLE rows; --",
      '\u{1f600}',
    ];
    for (const id of ids) await store.set('ids', id, value(`v${id}`));
    for (const id of ids) expect((await store.get('ids', id))?.toString()).toBe(`v${id}`);
    expect((await store.scan('ids')).length).toBe(ids.length);
    expect((await import('node:fs')).readdirSync(dir).every((name) => name.startsWith('test.db'))).toBe(true);
  });

  it('never finds an id that cannot be stored, and refuses to store it', async () => {
    for (const id of ['\ud800', 'x'.repeat(4097)]) {
      await expect(store.set('ids', id, value('v'))).rejects.toMatchObject({ code: 'store/failed' });
      expect(await store.get('ids', id)).toBeUndefined();
      expect(await store.take('ids', id)).toBeUndefined();
      expect(await store.delete('ids', id)).toBe(false);
    }
  });

  it('refuses bad spaces, times and sizes', async () => {
    for (const space of ['', '/', 'a//b', '../a b', 'a/']) await expect(store.get(space, 'x')).rejects.toMatchObject({ code: 'internal' });
    await expect(store.scan('a%')).rejects.toMatchObject({ code: 'internal' });
    for (const ttl of [0, -1, Number.NaN]) await expect(store.set('a', 'x', value('v'), { ttl })).rejects.toMatchObject({ code: 'store/failed' });
    await expect(store.set('a', 'x', Buffer.alloc(8 * 1024 * 1024 + 1))).rejects.toMatchObject({ code: 'store/failed' });
  });

  it('does nothing when the signal has aborted', async () => {
    const gone = AbortSignal.abort(new Error('gone'));
    await store.set('a', 'x', value('v'));
    await expect(store.set('a', 'x', value('w'), {}, gone)).rejects.toThrow('gone');
    await expect(store.take('a', 'x', gone)).rejects.toThrow('gone');
    await expect(store.get('a', 'x', gone)).rejects.toThrow('gone');
    await expect(store.delete('a', 'x', gone)).rejects.toThrow('gone');
    await expect(store.scan('a', {}, gone)).rejects.toThrow('gone');
    expect((await store.get('a', 'x'))?.toString()).toBe('v');
  });

  it('behaves like a map with times, in random histories', async () => {
    const id = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({
        op: fc.constant('set' as const),
        id,
        text: fc.string({ maxLength: 5 }),
        ttl: fc.option(fc.integer({ min: 1, max: 50 })),
        ifAbsent: fc.boolean(),
      }),
      fc.record({ op: fc.constantFrom('get' as const, 'take' as const, 'delete' as const), id }),
      fc.record({ op: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 40 }) }),
    );
    let run = 0;
    const property = fc.asyncProperty(fc.array(step, { maxLength: 25, size: 'max' }), async (steps) => {
      const space = `run-${run++}`;
      const model = new Map<string, { text: string; ends: number }>();
      const seen = (key: string) => {
        const row = model.get(key);
        return row !== undefined && row.ends > clock.now() ? row : undefined;
      };
      for (const action of steps) {
        if (action.op === 'wait') clock.advance(action.ms);
        else if (action.op === 'set') {
          const ends = clock.now() + (action.ttl ?? Number.POSITIVE_INFINITY);
          const expected = !action.ifAbsent || seen(action.id) === undefined;
          const options = { ifAbsent: action.ifAbsent, ...(action.ttl === null ? {} : { ttl: action.ttl }) };
          expect(await store.set(space, action.id, value(action.text), options)).toBe(expected);
          if (expected) model.set(action.id, { text: action.text, ends });
        } else {
          const expected = seen(action.id);
          const got = await store[action.op](space, action.id);
          if (action.op === 'delete') expect(got).toBe(expected !== undefined);
          else expect(got?.toString()).toBe(expected && value(expected.text).toString());
          if (action.op !== 'get') model.delete(action.id);
        }
        const rows = (await store.scan(space)).map((row) => row.value.toString()).sort();
        expect(rows).toEqual(
          ['a', 'b', 'c']
            .flatMap((key) => seen(key)?.text ?? [])
            .map((text) => value(text).toString())
            .sort(),
        );
      }
    });
    await fc.assert(property, { numRuns: 30 });
  });
});
