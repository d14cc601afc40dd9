import { expect, it } from 'vitest';
import { Work } from './work.ts';

/** Whether a promise has settled by now. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);
}

it('counts what runs; leaving twice counts once', () => {
  const work = new Work();
  const leave = work.enter();
  work.enter();
  expect(work.running).toBe(2);
  leave();
  leave();
  expect(work.running).toBe(1);
});

it('a drain ends with the last of what runs, and says at once that nothing new is taken', async () => {
  const work = new Work();
  const leave = [work.enter(), work.enter()];
  const drained = work.drain(new AbortController().signal);
  expect(work.draining.aborted).toBe(true);
  leave[0]?.();
  expect(await settled(drained)).toBe(false);
  leave[1]?.();
  expect(await settled(drained)).toBe(true);
});

it('a drain is cut short by its signal, ends at once without work, and may be asked for twice', async () => {
  const work = new Work();
  await work.drain(new AbortController().signal);
  work.enter();
  const late = new AbortController();
  const both = [work.drain(late.signal), work.drain(late.signal)];
  expect(await settled(Promise.race(both))).toBe(false);
  late.abort();
  await Promise.all(both);
  await work.drain(AbortSignal.abort());
});
