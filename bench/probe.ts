// Loaded into the gateway with --import, where a set needs to know what cannot be seen from outside. Silent until it is asked over the
// channel of the parent: `cpu`, `heap` (needs --expose-gc), `watch` and then `delay`.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';

/** Milliseconds between samples of the event loop; each sample includes it. */
const RESOLUTION = 10;
/** The collector needs a few turns: finalizers and weak references keep things for one each. */
const TURNS = { count: 5, apart: 50 } as const;

let delays: ReturnType<typeof monitorEventLoopDelay> | undefined;

export interface CpuUse {
  /** Microseconds since the start. */
  readonly user: number;
  readonly system: number;
}

export interface HeapUse {
  /** Bytes. */
  readonly heapUsed: number;
  readonly external: number;
  readonly rss: number;
}

export interface LoopDelay {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

process.on('message', async ({ ask }: { readonly ask?: string }) => {
  switch (ask) {
    case 'cpu':
      return void process.send?.(process.cpuUsage());
    case 'heap':
      return void process.send?.(await heap());
    case 'watch':
      delays?.disable();
      delays = monitorEventLoopDelay({ resolution: RESOLUTION });
      delays.enable();
      return void process.send?.({});
    case 'delay':
      delays?.disable();
      return void process.send?.(delayOf(delays));
  }
});

async function heap(): Promise<HeapUse> {
  if (globalThis.gc === undefined) throw new Error('heap needs --expose-gc');
  for (let turn = 0; turn < TURNS.count; turn++) {
    globalThis.gc();
    await pause(TURNS.apart);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapUsed, external, rss };
}

function delayOf(histogram: typeof delays): LoopDelay {
  const beyond = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION);
  const at = (share: number) => beyond(histogram?.percentile(share) ?? Number.NaN);
  return { p50: at(50), p99: at(99), max: beyond(histogram?.max ?? Number.NaN) };
}
