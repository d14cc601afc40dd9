import { getEventListeners } from 'node:events';
import { Dispatcher } from 'undici';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { ManualClock } from '../../../core/manual-clock.ts';
import { Rig } from './client-fixture.ts';
import { attempt } from './http-attempt.ts';

describe('one attempt', () => {
  it('leaves nothing with a signal that outlives it, answered or not', async () => {
    await using rig = await Rig.start((request, response) => (request.url === '/lost' ? response.destroy() : response.end('x')));
    const lease = await rig.pool.getOrCreate(rig.url);
    const { signal } = new AbortController();
    const options = { dispatcher: lease.value.dispatcher, clock: systemClock, headersMs: 1000, signal };
    const head = await attempt({ method: 'GET', url: new URL(rig.url), headers: {} }, options);
    head.body.resume();
    await expect.poll(() => getEventListeners(signal, 'abort')).toEqual([]);
    await expect(attempt({ method: 'GET', url: new URL(`${rig.url}/lost`), headers: {} }, options)).rejects.toMatchObject({
      kind: 'lost',
      sent: true,
    });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    lease.release('ok');
  });

  it('is never sent a second time by the connections below', async () => {
    let written = 0;
    class Stubborn extends Dispatcher {
      override dispatch(_options: unknown, handler: Dispatcher.DispatchHandler): boolean {
        const controller = { aborted: false, paused: false, reason: null, abort: () => undefined, pause: () => undefined, resume: () => undefined };
        try {
          for (;;) {
            handler.onRequestStart?.(controller, {});
            written++;
          }
        } catch (error) {
          handler.onResponseError?.(controller, error as Error);
        }
        return true;
      }
    }
    const clock = new ManualClock();
    const options = { dispatcher: new Stubborn(), clock, headersMs: 1000, signal: new AbortController().signal };
    const failure = { kind: 'lost', sent: true };
    await expect(attempt({ method: 'POST', url: new URL('http://git.test'), headers: {} }, options)).rejects.toMatchObject(failure);
    expect([written, clock.pending]).toEqual([1, 0]);
  });
});
