import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Era } from '../../src/core/mcp.ts';
import { gateway } from '../delivered.ts';
import { Client } from '../load/client.ts';
import { Script } from '../load/script.ts';
import { residentOf } from '../machine.ts';
import { entry, httpUpstream, type Target } from '../stage.ts';
import { plainRow, type Row } from '../verdict.ts';
import { planOf } from './calls.ts';
import type { BenchSet, Context } from './set.ts';

const EVENT = 65_536;
/** In all a little more than 100 MB. */
const EVENTS = 1_600;
/** How long the reader does not read, and how often the gateway is looked at meanwhile. Milliseconds. */
const STALL = { time: 5_000, look: 100 } as const;
/** How long the rest may take. Milliseconds. */
const READ = 60_000;
const MIB = 1024 * 1024;

/**
 * What the gateway holds for a client that asks for a long stream of log messages and then does not read it, beside one that read
 * it to the end. It is cut off after a while (protocol.md section 2, "Answers"); a session's call then goes on without it. Progress
 * would show nothing, since what of it comes too fast is dropped.
 */
export const stalledReader: BenchSet = async (context) => {
  const { run, options } = context;
  await using upstream = await httpUpstream(run);
  const upstreams = [entry.modernHttp(upstream), entry.legacyHttp(upstream)];
  await using tested = await gateway(run, options, { upstreams });
  const targets = { modern: tested.at('mod'), legacy: tested.at('leg') };
  const rows: Row[] = [];
  for (const era of options.eras) rows.push(await stalledOf(context, era, targets[era]));
  return rows;
};

async function stalledOf({ options, tell }: Context, era: Era, target: Target): Promise<Row> {
  const streamed = async (stall: () => Promise<void>) => {
    const client = await Client.open(new Script(planOf(target, era, options, { events: EVENTS, speech: 'log', eventSize: EVENT, size: 10 })));
    try {
      return await exchange(target, client.nextRequest(), stall);
    } finally {
      client.close();
    }
  };
  // The same stream, read as it comes: what the process grows by anyway, most of it buffers that wait for the collector.
  const read = await streamed(async () => {});
  const before = residentOf(target.pid);
  let most = before;
  const stalled = await streamed(async () => {
    for (const end = performance.now() + STALL.time; performance.now() < end; await pause(STALL.look)) most = Math.max(most, residentOf(target.pid));
  });
  const value = (most - before) / MIB;
  tell(`${era}: ${value.toFixed(1)} MiB more while the reader stalled; ${(stalled.bytes / 1e6).toFixed(1)} MB were left for him`);
  const failure =
    read.isWhole && read.bytes > EVENTS * EVENT
      ? stalled.bytes > 0
        ? undefined
        : 'the stream that nobody read did not begin'
      : `the stream that was read ended after ${read.bytes} bytes`;
  return plainRow('stalled', 'MiB', [value], { variant: era, failure });
}

/** Sends the request, waits without reading, and then reads to the end. */
async function exchange({ url }: Target, { id, text }: { readonly id: string; readonly text: string }, stall: () => Promise<void>) {
  const { port, hostname } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname });
  socket.pause();
  await once(socket, 'connect');
  socket.write(text);
  await stall();
  let bytes = 0;
  let tail = '';
  const timer = setTimeout(() => socket.destroy(), READ);
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    tail = (tail + chunk.toString('latin1')).slice(-1_000);
    if (tail.endsWith('0\r\n\r\n')) socket.destroy();
  });
  socket.resume();
  await once(socket, 'close');
  clearTimeout(timer);
  return { bytes, isWhole: tail.includes(`"id":${id}`) && tail.includes('"result":') };
}
