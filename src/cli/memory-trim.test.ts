import { expect, it } from 'vitest';
import { trimMemory } from './memory-trim.ts';

it('collects what nobody holds, and leaves no collector for others', async () => {
  let gone = 0;
  const registry = new FinalizationRegistry(() => gone++);
  const before = Object.hasOwn(globalThis, 'gc');
  (() => registry.register({ large: new Array(1_000).fill(0) }, 'it'))();
  // Finalizers run in a turn of their own.
  await new Promise((resolve) => setImmediate(resolve));
  trimMemory();
  for (let turn = 0; turn < 10 && gone === 0; turn++) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(gone).toBe(1);
  expect(Object.hasOwn(globalThis, 'gc')).toBe(before);
});
