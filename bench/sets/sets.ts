import { httpCalls, legacyCalls, stdioCalls } from './calls.ts';
import type { SetName } from './names.ts';
import type { BenchSet } from './set.ts';

export const BENCH_SETS: Readonly<Record<SetName, BenchSet>> = {
  http: httpCalls('modern', {}, () => ['modern']),
  stdio: stdioCalls,
  legacy: legacyCalls,
  streams: httpCalls('stream', { events: 5 }, ({ eras }) => eras),
  '20k': httpCalls('medium', { size: 20_000 }, ({ eras }) => eras),
  '500k': httpCalls('large', { size: 500_000, clients: 8 }, () => ['modern']),
};
