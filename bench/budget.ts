/** What a figure is. */
export type Unit = 'ratio' | 'ms' | 'KiB' | 'MiB' | 'MB';

export interface Bound {
  readonly title: string;
  /** What the figure is a ratio to, or where it comes from. */
  readonly against: string;
  readonly unit: Unit;
  /** The figure must not be above `most`, or not below `least`; with neither it is told, not judged. */
  readonly most?: number;
  readonly least?: number;
  /** The most that `--smoke` tolerates, which runs everywhere: generous, and on ratios alone. Without it: not part of the smoke run. */
  readonly smoke?: number;
}

/**
 * CPU of the HTTP floor per call where the budget was measured (performance.md, "The ladder"), in microseconds: tells how fast a machine is beside
 * that one. Nothing is judged by it.
 */
export const FLOOR_OF_BUDGET = 30.2;

/** The budget of the hot path, and what a smoke run of it tolerates: the one place of both. */
export const BUDGET = {
  modern: { title: 'modern call → HTTP upstream', against: 'HTTP floor', unit: 'ratio', most: 1.6, smoke: 6 },
  stdio: { title: 'call → stdio upstream', against: 'stdio floor', unit: 'ratio', most: 1.6, smoke: 5 },
  legacy: { title: 'legacy session call → HTTP upstream', against: 'modern call', unit: 'ratio', most: 1.15, smoke: 3 },
  stream: { title: 'event stream, five events and a result', against: 'HTTP floor', unit: 'ratio', most: 1.3, smoke: 7 },
  medium: { title: '20 kB answer', against: 'HTTP floor', unit: 'ratio', most: 1.4, smoke: 6 },
  large: { title: '500 kB answer', against: 'HTTP floor', unit: 'ratio' },
  list: { title: 'tools/list from cache, 2,000 tools', against: 'bare server, same bytes', unit: 'ratio', most: 2 },
  latency: { title: 'added latency at 1,000 calls/s, p50', against: 'upstream alone', unit: 'ms', most: 0.3 },
  latencyScaled: { title: 'the same as it would be where the floor takes 30.2 µs', against: 'upstream alone', unit: 'ms' },
  latencyFloor: { title: 'the same through the HTTP floor', against: 'upstream alone', unit: 'ms' },
  loop: { title: 'event-loop delay under load, p99', against: '–', unit: 'ms', most: 10 },
  session: { title: 'idle legacy session, heap and buffers', against: '–', unit: 'KiB', most: 8 },
  sessionResident: { title: 'idle legacy session, resident', against: '–', unit: 'KiB' },
  stalled: { title: 'stalled reader of a 100 MB stream', against: 'before', unit: 'MiB', most: 16 },
  peer: { title: 'CPU of a peer per call, as a multiple of ours', against: 'peer', unit: 'ratio', least: 5 },
  peerAlone: { title: 'the same without the children, which are the upstream', against: 'peer', unit: 'ratio' },
  peerOwn: { title: 'the same with ours on the only road that the peer has', against: 'peer', unit: 'ratio' },
  peerFloor: { title: 'the same with the floor of that road instead of ours', against: 'peer', unit: 'ratio' },
  idle: { title: 'idle gateway process', against: '–', unit: 'MB', most: 100 },
} as const satisfies Record<string, Bound>;

export type BoundName = keyof typeof BUDGET;
