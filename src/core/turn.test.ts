import { expect, it } from 'vitest';
import { Turn } from './turn.ts';

const turnOver = () => new Promise<void>((resolve) => setImmediate(resolve));

it('takes what came in during a turn at its end, in order', async () => {
  const taken: number[] = [];
  const turn = new Turn<number>((item) => taken.push(item));
  turn.add(1);
  turn.add(2);
  await Promise.resolve();
  process.nextTick(() => turn.add(3));
  expect(taken).toEqual([]);
  await turnOver();
  expect(taken).toEqual([1, 2, 3]);
});

it('takes what is added while it takes in the next turn, so that others come in between', async () => {
  const taken: string[] = [];
  const turn = new Turn<string>((item) => {
    taken.push(item);
    if (item === 'first') turn.add('second');
  });
  turn.add('first');
  await turnOver();
  expect(taken).toEqual(['first']);
  await turnOver();
  expect(taken).toEqual(['first', 'second']);
});

it('takes the others also when one of them throws', async () => {
  const taken: number[] = [];
  const turn = new Turn<number>((item) => {
    if (item === 1) throw new Error('no');
    taken.push(item);
  });
  const thrown = new Promise<unknown>((resolve) => process.setUncaughtExceptionCaptureCallback(resolve));
  turn.add(1);
  turn.add(2);
  turn.add(3);
  expect(await thrown).toEqual(new Error('no'));
  process.setUncaughtExceptionCaptureCallback(null);
  await turnOver();
  expect(taken).toEqual([2, 3]);
});
