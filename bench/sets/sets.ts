import { httpCalls, legacyCalls, stdioCalls } from './calls.ts';
import { latency, loopDelay } from './latency.ts';
import { lists } from './lists.ts';
import { idleGateway, idleSessions } from './memory.ts';
import type { SetName } from './names.ts';
import { peerCalls } from './peers.ts';
import type { BenchSet } from './set.ts';
import { stalledReader } from './stalled.ts';

export const BENCH_SETS: Readonly<Record<SetName, BenchSet>> = {
  http: httpCalls('modern', {}, () => ['modern']),
  stdio: stdioCalls,
  legacy: legacyCalls,
  streams: httpCalls('stream', { events: 5 }, ({ eras }) => eras),
  '20k': httpCalls('medium', { size: 20_000 }, ({ eras }) => eras),
  '500k': httpCalls('large', { size: 500_000, clients: 8 }, () => ['modern']),
  list: lists,
  latency,
  loop: loopDelay,
  sessions: idleSessions,
  stalled: stalledReader,
  idle: idleGateway,
  peers: peerCalls,
};
