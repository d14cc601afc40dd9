// A gateway of its own process, as it is delivered: policy, metrics, audit and log are on. The parent sends its configuration, then
// asks `cpu` (microseconds so far), `heap` (bytes after a collection; needs --expose-gc) or `parked`.
import { setTimeout as pause } from 'node:timers/promises';
import { loadConfig } from '../src/config/load.ts';
import { createGateway, type Gateway } from '../src/gateway.ts';

let gateway: Gateway | undefined;

process.on('message', async (message: { readonly start?: string; readonly cwd?: string; readonly ask?: string }) => {
  if (message.start !== undefined) process.send?.(await start(Buffer.from(message.start), message.cwd ?? '.'));
  else if (message.ask === 'cpu') {
    const { user, system } = process.cpuUsage();
    process.send?.({ user, system });
  } else process.send?.(await heap());
});
process.once('disconnect', async () => {
  await gateway?.[Symbol.asyncDispose]();
  process.exit(0);
});

async function start(document: Buffer, cwd: string): Promise<object> {
  const { config } = await loadConfig({ file: 'bench.json', cwd, env: {}, readFile: async () => document });
  gateway = await createGateway(config, { environment: { PATH: process.env.PATH } });
  await gateway.start(AbortSignal.timeout(30_000));
  await gateway.settled(AbortSignal.timeout(30_000));
  return { endpoint: gateway.endpoint };
}

/** The collector needs a few turns: finalizers and weak references keep things for one each. */
async function heap(): Promise<object> {
  for (let turn = 0; turn < 5; turn++) {
    globalThis.gc?.();
    await pause(50);
  }
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  return { heapUsed, external, arrayBuffers, rss, collected: globalThis.gc !== undefined };
}
