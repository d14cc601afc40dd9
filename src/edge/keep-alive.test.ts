import { expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { KeepAlive } from './keep-alive.ts';

it('one timer serves all streams, and there is none without a stream', () => {
  const clock = new ManualClock();
  const keepAlive = new KeepAlive(clock);
  const heard: string[] = [];
  const a = { comment: () => heard.push('a') };
  const b = { comment: () => heard.push('b') };
  expect(clock.pending).toBe(0);
  const placeOfA = keepAlive.add(a);
  clock.advance(10_000);
  const placeOfB = keepAlive.add(b);
  expect(clock.pending).toBe(1);
  clock.advance(5_000);
  expect(heard).toEqual(['a', 'b']);
  keepAlive.remove(placeOfA);
  clock.advance(15_000);
  expect(heard).toEqual(['a', 'b', 'b']);
  keepAlive.remove(placeOfB);
  expect(clock.pending).toBe(0);
});

it('a stream that goes while comments are written hinders nobody', () => {
  const clock = new ManualClock();
  const keepAlive = new KeepAlive(clock);
  const heard: string[] = [];
  const last = { comment: () => heard.push('last') };
  const places: number[] = [];
  const first = {
    comment: () => {
      heard.push('first');
      for (const place of places) keepAlive.remove(place);
    },
  };
  places.push(keepAlive.add(first), keepAlive.add(last));
  clock.advance(15_000);
  expect(heard).toEqual(['first']);
  expect(clock.pending).toBe(0);
});
