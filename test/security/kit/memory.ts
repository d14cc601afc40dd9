import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of live objects, after everything dead is collected: buffers outside the heap count, too. */
export async function liveBytes(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    // Closed sockets and settled promises let go of what they hold in later turns.
    await new Promise((resolve) => setTimeout(resolve, 30));
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** How many bytes more live after some work than before it. */
export async function grownBy(work: () => Promise<unknown>): Promise<number> {
  const before = await liveBytes();
  await work();
  return (await liveBytes()) - before;
}
