import { expect, it } from 'vitest';
import { Turn } from './turn.ts';

const turnOver = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A turn that is used to a crowd. */
async function crowded<T>(take: (item: T) => void, filler: T): Promise<Turn<T>> {
  let isFilling = true;
  const turn = new Turn<T>((item) => isFilling || take(item));
  for (let turns = 0; turns < 32; turns++) {
    for (let item = 0; item < 8; item++) turn.add(filler);
    await turnOver();
  }
  isFilling = false;
  return turn;
}

it('takes what came in during a crowded turn at its end, in order', async () => {
  const taken: number[] = [];
  const turn = await crowded<number>((item) => taken.push(item), 0);
  turn.add(1);
  turn.add(2);
  await Promise.resolve();
  process.nextTick(() => turn.add(3));
  await new Promise<void>((resolve) => process.nextTick(resolve));
  expect(taken).toEqual([]);
  await turnOver();
  expect(taken).toEqual([1, 2, 3]);
});

it('takes what comes alone once the callback that brought it is over, and what came in it along', async () => {
  const taken: number[] = [];
  const turn = new Turn<number>((item) => taken.push(item));
  for (let item = 0; item < 6; item += 2) {
    turn.add(item);
    turn.add(item + 1);
    expect(taken).toHaveLength(item);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    expect(taken).toHaveLength(item + 2);
    await turnOver();
  }
  expect(taken).toEqual([0, 1, 2, 3, 4, 5]);
});

it('gathers once a crowd has come for some time, and no more once it has gone', async () => {
  let taken = 0;
  const turn = await crowded<number>(() => taken++, 0);
  const isTakenAtOnce = async () => {
    const before = taken;
    turn.add(0);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const atOnce = taken > before;
    await turnOver();
    return atOnce;
  };
  expect(await isTakenAtOnce()).toBe(false);
  for (let turns = 0; turns < 64; turns++) await isTakenAtOnce();
  expect(await isTakenAtOnce()).toBe(true);
});

it('takes what is added while it takes in the next turn, so that others come in between', async () => {
  const taken: string[] = [];
  const turn = await crowded<string>((item) => {
    taken.push(item);
    if (item === 'first') turn.add('second');
  }, '');
  turn.add('first');
  await turnOver();
  expect(taken).toEqual(['first']);
  await turnOver();
  expect(taken).toEqual(['first', 'second']);
});

it('takes the others also when one of them throws', async () => {
  const taken: number[] = [];
  const turn = await crowded<number>((item) => {
    if (item === 1) throw new Error('no');
    taken.push(item);
  }, 0);
  const thrown = new Promise<unknown>((resolve) => process.setUncaughtExceptionCaptureCallback(resolve));
  turn.add(1);
  turn.add(2);
  turn.add(3);
  expect(await thrown).toEqual(new Error('no'));
  process.setUncaughtExceptionCaptureCallback(null);
  await turnOver();
  expect(taken).toEqual([2, 3]);
});
