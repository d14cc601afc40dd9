import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
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
});
