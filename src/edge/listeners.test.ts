import { expect, it } from 'vitest';
import type { Caller } from '../core/caller.ts';
import { Listeners } from './listeners.ts';

const caller = (subject: string): Caller => ({ principal: { issuer: 'static', subject }, tenant: 'default', scopes: new Set() });

/** A stream that is open until it is told otherwise. */
function held(listeners: Listeners, subject: string) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { over: listeners.run(caller(subject), () => promise), end: () => resolve('ended'), fail: () => reject(new Error('broken')) };
}

it('each principal has 32; the next is refused, and one that ended makes room, however it ended', async () => {
  const listeners = new Listeners();
  const streams = Array.from({ length: 32 }, () => held(listeners, 'alice'));
  await expect(held(listeners, 'alice').over).rejects.toMatchObject({ code: 'upstream/capacity', details: { retryable: true } });
  const other = held(listeners, 'bob');

  streams[0]?.end();
  await expect(streams[0]?.over).resolves.toBe('ended');
  streams[1]?.fail();
  await expect(streams[1]?.over).rejects.toThrow('broken');
  streams.push(held(listeners, 'alice'), held(listeners, 'alice'));
  await expect(held(listeners, 'alice').over).rejects.toMatchObject({ code: 'upstream/capacity' });

  for (const { end } of [...streams, other]) end();
  await Promise.allSettled(streams.map(({ over }) => over));
  const again = Array.from({ length: 32 }, () => held(listeners, 'alice'));
  for (const { end } of again) end();
  await Promise.all(again.map(({ over }) => over));
});

it('streams of callers who may not come in any more end; those of others go on', async () => {
  const listeners = new Listeners();
  const untilOver = (over: AbortSignal) => new Promise<string>((resolve) => over.addEventListener('abort', () => resolve('over'), { once: true }));
  const gone = listeners.run(caller('alice'), untilOver);
  let bobs = 'open';
  void listeners.run(caller('bob'), untilOver).then((how) => {
    bobs = how;
  });
  listeners.endOf(({ principal }) => principal.subject === 'alice');
  expect(await gone).toBe('over');
  expect(bobs).toBe('open');
});
