import { expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { MemoryStore } from '../store/memory.ts';
import { EraMemory } from './era-memory.ts';
import { Registry } from './registry.ts';

it('an upstream that nobody configured is said by its name', () => {
  const clock = new ManualClock();
  const ports = {
    clock,
    reaper: { start: async () => {}, add: () => {}, remove: () => {} },
    environment: {},
    memory: new EraMemory(new MemoryStore(clock), () => {}),
    clientInfo: {},
    onStderr: () => {},
    onDropped: () => {},
  };
  const registry = new Registry([], { ports, clock, profile: '-', onState: () => {}, onEvent: () => {} });
  expect(() => registry.connector('nowhere')).toThrow(
    expect.objectContaining({ code: 'upstream/down', message: "server 'nowhere' not found in config" }),
  );
});
