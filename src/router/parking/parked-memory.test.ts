import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { accept, sessionUpstream, someone, turn, wordsOf } from '../sample-bridge.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

it('a parked call holds nothing of the request that began it, and goes on all the same', async () => {
  const bridge = sessionUpstream();
  const caller = someone('anna');
  // In a function of its own, so that nothing here keeps what it made.
  const begin = async () => {
    const { visit, state } = await bridge.parked({ caller });
    // The edge's closures hold the client's connection; the body holds what the client sent.
    return {
      state,
      held: [visit.exchange, visit.exchange.notify, visit.exchange.signal, visit.exchange.body].map((one) => new WeakRef(one as object)),
    };
  };
  const { state, held } = await begin();
  for (let time = 0; time < 10 && held.some((one) => one.deref() !== undefined); time++) {
    await turn();
    collect();
  }
  expect(held.map((one) => one.deref())).toEqual([undefined, undefined, undefined, undefined]);
  const retry = await bridge.now(bridge.retry(state, { 'r1-1': accept('yes') }, { caller }));
  expect(wordsOf(retry.result)).toEqual([accept('yes')]);
});
