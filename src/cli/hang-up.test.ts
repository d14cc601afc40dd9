import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { HangUp } from './hang-up.ts';

function hung(hadTerminal: boolean) {
  const events = new EventEmitter();
  const state = { terminal: hadTerminal, reloads: 0 };
  const hangUp = new HangUp({ events, onReload: () => state.reloads++, hasTerminal: () => state.terminal });
  return { events, state, hangUp };
}

it.each([true, false])('asks for a reload, with a terminal (%s) and without', (terminal) => {
  const { events, state } = hung(terminal);
  events.emit('SIGHUP');
  events.emit('SIGHUP');
  expect(state.reloads).toBe(2);
});

it('ends the gateway when the terminal is gone', async () => {
  const { events, state, hangUp } = hung(true);
  state.terminal = false;
  events.emit('SIGHUP');
  await hangUp.gone;
  expect(state.reloads).toBe(0);
});

it('a disposed one listens no more', () => {
  const { events, hangUp } = hung(false);
  hangUp[Symbol.dispose]();
  expect(events.eventNames()).toEqual([]);
});
