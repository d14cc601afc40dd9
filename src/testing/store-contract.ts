import { deepEqual, equal, rejects } from 'node:assert/strict';
import { ManualClock } from '../core/manual-clock.ts';
import { MAX_ID_BYTES, MAX_VALUE_BYTES, type Row, type Store } from '../store/store.ts';

/** A store under test, empty, whose time is `clock`. */
export type MakeStore = (clock: ManualClock) => Promise<{ readonly store: Store; close(): void | Promise<void> }>;

export interface ContractRule {
  readonly name: string;
  /** Rejects with an `AssertionError` when the store breaks the rule. */
  run(): Promise<void>;
}

type Check = (store: Store, clock: ManualClock) => Promise<void>;

const bytes = (text: string) => Buffer.from(text);
const texts = (rows: readonly Row[]) => rows.map(({ value }) => value.toString()).toSorted();
const text = async (got: Promise<Buffer | undefined>) => (await got)?.toString();
const failed = { code: 'store/failed' };
const internal = { code: 'internal' };

const RULES: Readonly<Record<string, Check>> = {
  'gives back what was set, and nothing else': async (store) => {
    equal(await store.get('a/b', 'x'), undefined);
    equal(await store.set('a/b', 'x', bytes('one')), true);
    equal(await text(store.get('a/b', 'x')), 'one');
    equal(await store.get('a/b', 'X'), undefined);
    equal(await store.get('a', 'x'), undefined);
    equal(await store.set('a/b', 'x', bytes('two')), true);
    equal(await text(store.get('a/b', 'x')), 'two');
    await store.set('a/b', 'empty', Buffer.alloc(0));
    deepEqual(await store.get('a/b', 'empty'), Buffer.alloc(0));
  },
  'keeps its own copy of a value': async (store) => {
    const mine = bytes('mine');
    await store.set('a', 'x', mine);
    mine.fill(0);
    const got = await store.get('a', 'x');
    equal(got?.toString(), 'mine');
    got?.fill(0);
    equal(await text(store.get('a', 'x')), 'mine');
  },
  'hides expired rows from every method': async (store, clock) => {
    for (const id of ['get', 'take', 'delete', 'absent']) await store.set('a', id, bytes(id), { ttl: 1_000 });
    clock.advance(999);
    equal((await store.scan('a')).length, 4);
    clock.advance(1);
    equal(await store.get('a', 'get'), undefined);
    equal(await store.take('a', 'take'), undefined);
    equal(await store.delete('a', 'delete'), false);
    deepEqual(await store.scan('a'), []);
    equal(await store.set('a', 'absent', bytes('new'), { ifAbsent: true }), true);
    clock.advance(1_000_000);
    equal(await text(store.get('a', 'absent')), 'new');
  },
  'a set without ttl ends an earlier ttl': async (store, clock) => {
    await store.set('a', 'x', bytes('1'), { ttl: 10 });
    await store.set('a', 'x', bytes('2'));
    clock.advance(100_000);
    equal(await text(store.get('a', 'x')), '2');
  },
  'ifAbsent lets one of many win': async (store) => {
    const won = await Promise.all([0, 1, 2].map((n) => store.set('locks', 'x', bytes(String(n)), { ifAbsent: true, ttl: 1_000 })));
    deepEqual(won.filter(Boolean), [true]);
    equal(await text(store.get('locks', 'x')), String(won.indexOf(true)));
  },
  'take gives a row to one of many': async (store) => {
    await store.set('codes', 'x', bytes('once'));
    const taken = await Promise.all([1, 2, 3].map(() => text(store.take('codes', 'x'))));
    deepEqual(
      taken.filter((got) => got !== undefined),
      ['once'],
    );
    equal(await store.get('codes', 'x'), undefined);
  },
  'delete says whether there was a row': async (store) => {
    await store.set('a', 'x', bytes('1'));
    deepEqual([await store.delete('a', 'x'), await store.delete('a', 'x')], [true, false]);
  },
  'scans a space and those below it, page by page, and removes what it found': async (store, clock) => {
    const at = clock.now();
    for (const space of ['caps', 'caps/t1', 'caps/t1/p', 'caps2', 'cap'])
      for (const n of [0, 1, 2]) await store.set(space, `id${n}`, bytes(`${space}#${n}`), n === 0 ? { ttl: 5_000 } : {});
    deepEqual(texts(await store.scan('caps/t1')), ['caps/t1#0', 'caps/t1#1', 'caps/t1#2', 'caps/t1/p#0', 'caps/t1/p#1', 'caps/t1/p#2']);
    const paged: Row[] = [];
    for (;;) {
      const last = paged.at(-1);
      const page = await store.scan('caps', { limit: 2, ...(last && { after: last }) });
      if (page.length === 0) break;
      equal(page.length <= 2, true);
      paged.push(...page);
    }
    deepEqual(texts(paged), texts(await store.scan('caps')));
    equal(paged.length, 9);
    equal(paged.find(({ value }) => value.toString() === 'caps#0')?.expiresAt, at + 5_000);
    equal(paged.find(({ value }) => value.toString() === 'caps#1')?.expiresAt, undefined);
    deepEqual(await Promise.all((await store.scan('caps/t1')).map((row) => row.remove())), [true, true, true, true, true, true]);
    equal(await store.get('caps/t1', 'id1'), undefined);
    equal((await store.scan('caps')).length, 3);
    equal((await store.scan('caps', { limit: 0 })).length, 0);
  },
  'takes any text as an id, and keeps different ids apart': async (store) => {
    const ids = ['', '../x', '/etc/passwd', 'a\u0000b', 'a', 'a\u0000', 'é', 'e\u0301', '%2e', 'x'.repeat(MAX_ID_BYTES), "';--", '\u{1f600}'];
    for (const id of ids) await store.set('ids', id, bytes(`v${id}`));
    for (const id of ids) equal(await text(store.get('ids', id)), `v${id}`);
    equal((await store.scan('ids')).length, ids.length);
  },
  'never finds an id that cannot be stored, and refuses to store it': async (store) => {
    for (const id of ['\ud800', 'x'.repeat(MAX_ID_BYTES + 1)]) {
      await rejects(store.set('ids', id, bytes('v')), failed);
      deepEqual([await store.get('ids', id), await store.take('ids', id), await store.delete('ids', id)], [undefined, undefined, false]);
    }
  },
  'refuses bad spaces, times and sizes': async (store) => {
    for (const space of ['', '/', 'a//b', '../a b', 'a/']) await rejects(store.get(space, 'x'), internal);
    await rejects(store.scan('a%'), internal);
    for (const ttl of [0, -1, Number.NaN]) await rejects(store.set('a', 'x', bytes('v'), { ttl }), failed);
    await rejects(store.set('a', 'x', Buffer.alloc(MAX_VALUE_BYTES + 1)), failed);
  },
  'does nothing when the signal has aborted': async (store) => {
    const gone = AbortSignal.abort(new Error('gone'));
    await store.set('a', 'x', bytes('v'));
    const calls = [
      () => store.set('a', 'x', bytes('w'), {}, gone),
      () => store.take('a', 'x', gone),
      () => store.get('a', 'x', gone),
      () => store.delete('a', 'x', gone),
      () => store.scan('a', {}, gone),
    ];
    for (const call of calls) await rejects(call(), /gone/);
    equal(await text(store.get('a', 'x')), 'v');
  },
};

/**
 * What every `Store` keeps, as rules for any test runner: `for (const rule of storeContract(make)) test(rule.name, rule.run)`.
 * Each rule gets a store of its own, closes it, and rejects when a timer is left.
 */
export function storeContract(make: MakeStore): readonly ContractRule[] {
  return Object.entries(RULES).map(([name, check]) => ({
    name,
    async run() {
      const clock = new ManualClock();
      const { store, close } = await make(clock);
      try {
        await check(store, clock);
      } finally {
        await close();
      }
      equal(clock.pending, 0, 'a timer is left');
    },
  }));
}
