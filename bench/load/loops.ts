import { setTimeout as pause } from 'node:timers/promises';
import { Client, type LoadClient } from './client.ts';
import type { Recorder } from './recorder.ts';
import type { Script } from './script.ts';
import { SseClient } from './sse-client.ts';

/** How long to wait before a client that failed connects anew. Milliseconds. */
const RETRY = 50;

/** Clients that are open, each at its own place; one that fails is replaced. */
export type Clients = LoadClient[];

export function openClient(script: Script): Promise<LoadClient> {
  return script.plan.transport === 'sse' ? SseClient.open(script) : Client.open(script);
}

/** Each client calls as soon as it has its answer. */
export async function closedLoop(clients: Clients, script: Script, recorder: Recorder, over: AbortSignal): Promise<void> {
  await Promise.all(
    clients.map(async (_, place) => {
      while (!over.aborted) await one(clients, place, script, recorder, performance.now());
    }),
  );
}

/**
 * Calls begin by the clock. What finds no idle client waits with the time at which it should have begun, so that a stall is
 * charged to every call that it delayed; the grain of our own timer is not.
 */
export async function openLoop(clients: Clients, script: Script, recorder: Recorder, over: AbortSignal, rate: number): Promise<void> {
  const idle = clients.map((_, place) => place);
  const late: number[] = [];
  const running = new Set<Promise<void>>();
  const serve = async (place: number, first: number) => {
    for (let from: number | undefined = first; from !== undefined; from = late.shift()) await one(clients, place, script, recorder, from);
    idle.push(place);
  };
  const began = performance.now();
  let begun = 0;
  while (!over.aborted) {
    const now = performance.now();
    for (const due = Math.floor(((now - began) * rate) / 1000); begun < due; begun++) {
      const place = idle.pop();
      if (place === undefined) late.push(now);
      else {
        const work = serve(place, now).finally(() => running.delete(work));
        running.add(work);
      }
    }
    await pause(1);
  }
  late.length = 0;
  await Promise.all(running);
}

async function one(clients: Clients, place: number, script: Script, recorder: Recorder, from: number): Promise<void> {
  try {
    await (clients[place] as LoadClient).call();
    recorder.answered(from);
  } catch (error) {
    recorder.failed(error);
    clients[place]?.close();
    await pause(RETRY);
    try {
      clients[place] = await openClient(script);
    } catch (again) {
      recorder.failed(again);
    }
  }
}
