// The load, in a process of its own. Its parent opens plans by name, measures them in turn and closes them; see plan.ts.
import { setTimeout as pause } from 'node:timers/promises';
import { type CpuTime, cpuAloneOf, cpuOf } from '../machine.ts';
import { openIdle } from './idle.ts';
import { type Clients, closedLoop, openClient, openLoop } from './loops.ts';
import type { CpuPerCall, LoadAnswer, LoadPlan, LoadQuestion, LoadReport, Measure } from './plan.ts';
import { Recorder } from './recorder.ts';
import { Script } from './script.ts';

interface Load {
  readonly script: Script;
  readonly clients: Clients;
}

/** How long the last calls may take to be answered. Milliseconds. */
const LAST_ANSWERS = 10_000;

const loads = new Map<string, Load>();
const recorder = new Recorder();

process.on('message', async (question: LoadQuestion) => {
  let answer: LoadAnswer;
  try {
    answer = await answerTo(question);
  } catch (error) {
    answer = { failure: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(answer);
});
process.once('disconnect', () => process.exit(0));

async function answerTo(question: LoadQuestion): Promise<LoadAnswer> {
  if (question.do === 'open') {
    loads.set(question.name, await open(question.plan));
    return { done: true };
  }
  if (question.do === 'idle') {
    await openIdle(new Script(question.plan), question.sessions, question.calls);
    return { done: true };
  }
  const load = loads.get(question.name);
  if (load === undefined) throw new Error(`no load ${question.name} is open`);
  if (question.do === 'measure') return { report: await measured(load, question.measure) };
  for (const client of load.clients) client.close();
  loads.delete(question.name);
  return { done: true };
}

async function open(plan: LoadPlan): Promise<Load> {
  const script = new Script(plan);
  const clients: Clients = [];
  for (let count = 0; count < plan.clients; count++) clients.push(await openClient(script));
  return { script, clients };
}

async function measured({ script, clients }: Load, { leadIn, duration, isFlatOut = false }: Measure): Promise<LoadReport> {
  const { rate, watch } = script.plan;
  const over = new AbortController();
  await reopen(clients, script);
  recorder.reset();
  const loop =
    rate === undefined || isFlatOut ? closedLoop(clients, script, recorder, over.signal) : openLoop(clients, script, recorder, over.signal, rate);
  await pause(leadIn);
  const times = () => [cpuOf(process.pid), ...(watch === undefined ? [] : [cpuOf(watch), cpuAloneOf(watch)])];
  const before = times();
  const began = performance.now();
  recorder.start();
  await pause(duration);
  recorder.stop();
  const seconds = (performance.now() - began) / 1000;
  const after = times();
  over.abort();
  const isOver = await Promise.race([loop.then(() => true), pause(LAST_ANSWERS, false)]);
  if (!isOver) recorder.failed(new Error(`calls were not answered within ${LAST_ANSWERS / 1000} s`));
  const [ownCpu, cpu, cpuAlone] = after.map((time, index) => perCall(before[index], time, recorder.calls));
  return { ...recorder.figures(seconds), cpu, cpuAlone, ownCpu: ownCpu as CpuPerCall };
}

/** What was closed while others were measured is opened again: some servers let a connection idle for 5 s only. */
async function reopen(clients: Clients, script: Script): Promise<void> {
  for (const [place, client] of clients.entries()) {
    if (!client.over) continue;
    client.close();
    clients[place] = await openClient(script);
  }
}

function perCall(before: CpuTime | undefined, after: CpuTime, calls: number): CpuPerCall {
  const each = (milliseconds: number) => (milliseconds * 1000) / Math.max(calls, 1);
  const user = each(after.user - (before?.user ?? 0));
  const system = each(after.system - (before?.system ?? 0));
  return { user, system, total: user + system };
}
