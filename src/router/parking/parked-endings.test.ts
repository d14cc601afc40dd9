import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/mcp.ts';
import { accept, askedOf, asksFor, INVALID, NOTHING_LEFT, REPLAY_MS, said, sessionUpstream, TTL_MS, turn, wordsOf } from '../sample-bridge.ts';
import { NEVER } from '../sample-services.ts';

describe('nobody comes back', () => {
  it('at the end of its time the upstream hears its answers and the cancel; nothing is left', async () => {
    const bridge = sessionUpstream(async (side) => {
      await Promise.all([side.form(), side.ask('sampling/createMessage', { messages: [] }), side.ask('roots/list', {})]);
      return NEVER(side.call);
    });
    const { state } = await bridge.parked();
    bridge.clock.advance(TTL_MS - 1);
    await turn();
    expect(bridge.sides[0]?.heard).toEqual([]);
    expect(bridge.left()).toMatchObject({ parked: 1, leases: 1 });
    bridge.clock.advance(1);
    await turn();
    expect(bridge.sides[0]?.heard).toEqual([{ action: 'cancel' }, { error: expect.objectContaining({ code: -1 }) }, { roots: [] }]);
    expect(bridge.sides[0]?.call.signal.aborted).toBe(true);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
    expect((await bridge.now(bridge.retry(state, { 'r1-1': accept('late') }))).error).toEqual(INVALID);
    expect(bridge.sides).toHaveLength(1);
  });

  it('every round has its time anew', async () => {
    const bridge = sessionUpstream(asksFor(2));
    const first = await bridge.parked();
    bridge.clock.advance(TTL_MS - 100);
    const visit = bridge.retry(first.state, { 'r1-1': accept('a') });
    await bridge.gather();
    const second = askedOf(await bridge.now(visit));
    bridge.clock.advance(TTL_MS - 100);
    expect((await bridge.now(bridge.retry(second.state, { 'r2-1': accept('b') }))).result).toMatchObject({ resultType: 'complete' });
  });

  it('no time of the call is spent while it is parked, and what was spent before counts after', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      return NEVER(side.call);
    });
    const visit = bridge.visit();
    await turn();
    bridge.clock.advance(25);
    const { state } = askedOf(await bridge.now(visit));
    bridge.clock.advance(TTL_MS - 1_000);
    const retry = bridge.retry(state, { 'r1-1': accept('a') });
    await turn();
    bridge.clock.advance(59_000);
    await turn();
    expect(retry.done()).toBeUndefined();
    bridge.clock.advance(1_000);
    expect(await bridge.now(retry)).toMatchObject({ code: 'upstream/timeout', error: { message: "tool 'x_a_write' timed out after 60s" } });
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('the client hangs up before it was asked: cancelled, nothing is left', async () => {
    for (const asks of [true, false]) {
      const bridge = sessionUpstream(async (side) => {
        if (asks) await side.form();
        return NEVER(side.call);
      });
      const visit = bridge.visit();
      await turn();
      visit.gone.abort(new TurnpikeError('request/cancelled'));
      await turn();
      bridge.clock.advance(0);
      await turn();
      expect(visit.done()).toMatchObject({ code: 'request/cancelled' });
      expect(bridge.sides[0]?.call.signal.aborted).toBe(true);
      expect(bridge.left()).toEqual(NOTHING_LEFT);
    }
  });

  it('the client hangs up during its retry: cancelled; after it was answered: nothing happens', async () => {
    const bridge = sessionUpstream(asksFor(3));
    const first = await bridge.parked();
    first.visit.gone.abort(new TurnpikeError('request/cancelled'));
    await turn();
    expect(bridge.sides[0]?.call.signal.aborted).toBe(false);
    const visit = bridge.retry(first.state, { 'r1-1': accept('a') });
    await bridge.gather();
    const second = askedOf(await bridge.now(visit));
    visit.gone.abort(new TurnpikeError('request/cancelled'));
    await turn();
    expect(bridge.left()).toMatchObject({ parked: 1, leases: 1 });
    const last = bridge.retry(second.state, { 'r2-1': accept('b') });
    await turn();
    last.gone.abort(new TurnpikeError('request/cancelled'));
    await turn();
    bridge.clock.advance(0);
    expect(await bridge.now(last)).toMatchObject({ code: 'request/cancelled' });
    expect(bridge.sides[0]?.heard.at(-1)).toEqual({ action: 'cancel' });
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('a retry whose client is gone before it is looked at is as if it had not come', async () => {
    const bridge = sessionUpstream();
    const { state } = await bridge.parked();
    const gone = bridge.retry(state, { 'r1-1': accept('a') }, { signal: AbortSignal.abort(new TurnpikeError('request/cancelled')) });
    expect(await bridge.now(gone)).toMatchObject({ code: 'request/cancelled' });
    expect(wordsOf((await bridge.now(bridge.retry(state, { 'r1-1': accept('b') }))).result)).toEqual([accept('b')]);
  });

  it('the gateway ends: those that wait are answered and cancelled, a retry gets the one text', async () => {
    const bridge = sessionUpstream();
    const { state } = await bridge.parked();
    let ended = false;
    void bridge.parking.end(new TurnpikeError('gateway/draining')).then(() => {
      ended = true;
    });
    await turn();
    // The answer first, then the cancel; and the end of the gateway waits for both.
    expect(bridge.sides[0]?.heard).toEqual([{ action: 'cancel' }]);
    expect([bridge.sides[0]?.call.signal.aborted, ended]).toEqual([false, false]);
    bridge.clock.advance(0);
    await turn();
    expect([bridge.sides[0]?.call.signal.aborted, ended]).toEqual([true, true]);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
    expect((await bridge.now(bridge.retry(state, { 'r1-1': accept('a') }))).error).toEqual(INVALID);
  });

  it('the gateway ends during a retry: the outcome is unknown', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      return NEVER(side.call);
    });
    const { state } = await bridge.parked();
    const retry = bridge.retry(state, { 'r1-1': accept('a') });
    await turn();
    void bridge.parking.end(new TurnpikeError('gateway/draining'));
    bridge.clock.advance(0);
    expect(await bridge.now(retry)).toMatchObject({
      code: 'upstream/lost',
      error: { message: 'the gateway shut down before the answer came; the outcome is unknown' },
    });
  });
});

describe('the upstream ends while its call is parked', () => {
  it('with a result: it waits for the retry, whatever that answers, and its question is withdrawn', async () => {
    const bridge = sessionUpstream(async (side) => {
      void side.form();
      await new Promise<void>((resolve) => bridge.clock.after(1_000, resolve));
      return said('changed my mind');
    });
    const { state } = await bridge.parked();
    bridge.clock.advance(1_000);
    await turn();
    expect(bridge.left()).toMatchObject({ parked: 1, leases: 0 });
    const { result } = await bridge.now(bridge.retry(state, {}));
    expect(wordsOf(result)).toEqual(['changed my mind']);
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('with a failure: so does the failure, once for all who come', async () => {
    const crash = Promise.withResolvers<never>();
    const bridge = sessionUpstream(async (side) => {
      void side.form();
      return crash.promise;
    });
    const { state } = await bridge.parked({ name: 'x_a_read' });
    crash.reject(new TurnpikeError('upstream/lost', 'it crashed', { upstream: 'a' }));
    await turn();
    expect(bridge.left()).toMatchObject({ leases: 0 });
    const [one, two] = [bridge.retry(state, {}, { name: 'x_a_read' }), bridge.retry(state, {}, { name: 'x_a_read' })];
    expect(await bridge.now(one)).toMatchObject({ code: 'upstream/lost', error: { message: 'it crashed' } });
    expect(await bridge.now(two)).toMatchObject({ code: 'upstream/lost', error: { message: 'it crashed' } });
    // Nothing of a call that asked is sent again, be it a trusted read.
    expect(bridge.sides).toHaveLength(1);
    bridge.clock.advance(REPLAY_MS);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('and nobody comes for it: it is forgotten at the end of its time', async () => {
    const bridge = sessionUpstream(async (side) => {
      void side.form();
      await new Promise<void>((resolve) => bridge.clock.after(1_000, resolve));
      return said('done');
    });
    await bridge.parked();
    bridge.clock.advance(TTL_MS);
    await turn();
    bridge.clock.advance(0);
    expect(bridge.left()).toEqual(NOTHING_LEFT);
  });

  it('and the replay of an older round ends meanwhile: what waits stays', async () => {
    const finished = Promise.withResolvers<JsonObject>();
    const bridge = sessionUpstream(async (side) => {
      await side.form();
      void side.form();
      return finished.promise;
    });
    const first = await bridge.parked();
    const visit = bridge.retry(first.state, { 'r1-1': accept('a') });
    await bridge.gather();
    const second = askedOf(await bridge.now(visit));
    finished.resolve(said('done'));
    await turn();
    bridge.clock.advance(REPLAY_MS);
    expect(wordsOf((await bridge.now(bridge.retry(second.state, {}))).result)).toEqual(['done']);
  });
});
