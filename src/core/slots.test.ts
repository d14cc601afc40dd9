import fc from 'fast-check';
import { expect, it } from 'vitest';
import { IdTable, Slots } from './slots.ts';

it('slots hold what was added and not removed, and use places again', () => {
  const step = fc.record({ add: fc.boolean(), pick: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const slots = new Slots<{ n: number }>();
      const expected = new Map<number, { n: number }>();
      let most = 0;
      for (const [n, { add, pick }] of steps.entries()) {
        const held = [...expected.keys()];
        const slot = held[pick % held.length];
        if (add || slot === undefined) {
          const item = { n };
          expected.set(slots.add(item), item);
        } else {
          slots.remove(slot);
          expected.delete(slot);
        }
        most = Math.max(most, expected.size);
        expect(new Set(slots)).toEqual(new Set(expected.values()));
        expect(slots.size).toBe(expected.size);
      }
      for (const slot of expected.keys()) expect(slot).toBeLessThan(most);
    }),
    { numRuns: 60 },
  );
});

it('a place that is given back twice is given out once', () => {
  const slots = new Slots<string>();
  const place = slots.add('a');
  slots.remove(place);
  slots.remove(place);
  expect(slots.add('b')).not.toBe(slots.add('c'));
  expect([...slots]).toEqual(['b', 'c']);
});

it('who is removed while the others are looked at is not met', () => {
  const slots = new Slots<string>();
  const places = ['a', 'b', 'c'].map((item) => slots.add(item));
  const met: string[] = [];
  for (const item of slots) {
    met.push(item);
    if (item === 'a') slots.remove(places[1] as number);
  }
  expect(met).toEqual(['a', 'c']);
});

it('an id table is a map of whole numbers, in their order', () => {
  const id = fc.oneof(
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 0, max: 5 }).map((n) => 1 + 64 * n),
    fc.constantFrom(2 ** 31, 2 ** 40 + 1, 2 ** 53 - 1),
  );
  const step = fc.record({ op: fc.constantFrom('set', 'set', 'delete', 'get'), id });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const table = new IdTable<{ n: number }>();
      const expected = new Map<number, { n: number }>();
      for (const [n, { op, id: key }] of steps.entries()) {
        if (op === 'set') {
          const value = { n };
          table.set(key, value);
          expected.set(key, value);
        } else if (op === 'delete') expect(table.delete(key)).toBe(expected.delete(key));
        else expect(table.get(key)).toBe(expected.get(key));
        expect(table.size).toBe(expected.size);
      }
      for (const [key, value] of expected) expect(table.get(key)).toBe(value);
      expect(table.values()).toEqual([...expected].sort(([a], [b]) => a - b).map(([, value]) => value));
    }),
    { numRuns: 100 },
  );
});

it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60])('%d is in no table', (id) => {
  const table = new IdTable<string>();
  for (let known = 1; known <= 100; known++) table.set(known, 'x');
  expect(table.get(id)).toBeUndefined();
  expect(table.delete(id)).toBe(false);
});
