import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ManualClock } from '../core/manual-clock.ts';
import { MemoryStore } from '../store/memory.ts';
import { SqliteStore } from '../store/sqlite.ts';
import { storeContract } from './store-contract.ts';

async function memory(clock: ManualClock) {
  const store = new MemoryStore(clock);
  return { store, close: () => store.close() };
}

describe('stores of ours keep the contract', () => {
  describe('memory', () => {
    for (const { name, run } of storeContract(memory)) it(name, run);
  });
  describe('sqlite', () => {
    const make = async (clock: ManualClock) => {
      const dir = mkdtempSync(join(tmpdir(), 'turnpike-contract-'));
      const store = await SqliteStore.open(join(dir, 'test.db'), clock);
      return {
        store,
        close: () => {
          store.close();
          rmSync(dir, { recursive: true });
        },
      };
    };
    for (const { name, run } of storeContract(make)) it(name, run);
  });
});

describe('a store that breaks a rule is found by that rule', () => {
  /** Each breaks one thing; the name of the rule that must say so. */
  const broken: readonly [string, (store: MemoryStore, clock: ManualClock) => Partial<MemoryStore>][] = [
    ['gives back what was set, and nothing else', (store) => ({ get: (_space, id, signal) => store.get('a/b', id, signal) })],
    ['keeps its own copy of a value', () => sharing()],
    [
      'hides expired rows from every method',
      (store) => ({ set: (space, id, value, { ttl: _, ...more } = {}, signal) => store.set(space, id, value, more, signal) }),
    ],
    [
      'ifAbsent lets one of many win',
      (store) => ({ set: async (space, id, value, { ifAbsent: _, ...more } = {}, signal) => store.set(space, id, value, more, signal) }),
    ],
    ['take gives a row to one of many', (store) => ({ take: (space, id, signal) => store.get(space, id, signal) })],
    ['delete says whether there was a row', (store) => ({ delete: (...args) => store.delete(...args).then(() => true) })],
    ['scans a space and those below it, page by page, and removes what it found', (store) => ({ scan: (prefix) => store.scan(prefix) })],
    [
      'takes any text as an id, and keeps different ids apart',
      (store) => ({ set: (space, id, ...rest) => store.set(space, id.normalize(), ...rest) }),
    ],
    ['does nothing when the signal has aborted', (store) => ({ delete: (space, id) => store.delete(space, id) })],
  ];
  it.each(broken)('%s', async (rule, breaking) => {
    const make = async (clock: ManualClock) => {
      const store = new MemoryStore(clock);
      const over = breaking(store, clock);
      const methods = ['get', 'set', 'take', 'delete', 'scan'] as const;
      const whole = Object.fromEntries(methods.map((name) => [name, over[name] ?? store[name].bind(store)])) as never;
      return { store: whole, close: () => store.close() };
    };
    const found: string[] = [];
    for (const { name, run } of storeContract(make)) await run().catch(() => found.push(name));
    expect(found).toContain(rule);
  });

  it('a timer that is left', async () => {
    const make = async (clock: ManualClock) => {
      clock.after(1e9, () => {});
      return memory(clock);
    };
    const [first] = storeContract(make);
    await expect(first?.run()).rejects.toThrow('a timer is left');
  });
});

/** Hands out the buffers that it keeps. */
function sharing(): Partial<MemoryStore> {
  const rows = new Map<string, Buffer>();
  return {
    set: async (space, id, value) => {
      rows.set(`${space} ${id}`, value);
      return true;
    },
    get: async (space, id) => rows.get(`${space} ${id}`),
  };
}
