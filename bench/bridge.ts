// What the bridge between the eras costs, in a gateway process of its own with load and upstream in processes beside it:
//   node bench/bridge.ts                       all of it
//   --part parked | calls                      only this
//   --parked N (5000), --calls N (1000 a round), --rounds N (10), --gateway FILE (the script that is started as turnpike)
// Exit code 1 when a parked call takes 10 KB or more, when one of them is answered wrongly, or when calls between the eras cost
// 20 % more than those within one.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import type { Era } from '../src/core/mcp.ts';
import { each, LoadClient, textOf } from './bridge/clients.ts';
import type { Child } from './children.ts';
import { gateway as delivered, PROBED } from './delivered.ts';
import { CORE, machineText } from './machine.ts';
import type { CpuUse, HeapUse } from './probe.ts';
import { Run } from './run.ts';

const { values } = parseArgs({
  options: {
    part: { type: 'string' },
    parked: { type: 'string', default: '5000' },
    calls: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '10' },
    gateway: { type: 'string' },
  },
});

const MAX_PARKED_BYTES = 10_000;
const MAX_RATIO = 1.2;
const PRINCIPALS = 50;
const WIDTH = 16;

const tokens = Array.from({ length: PRINCIPALS }, (_, index) => `principal-${index}-${'x'.repeat(32)}`);
await using run = await Run.open();
const failures: string[] = [];

/** A gateway in front of the upstream of this run, and clients of it. */
async function stage(work: (gateway: Child, open: (era: Era, user?: number) => Promise<LoadClient>) => Promise<void>): Promise<void> {
  await using upstream = run.start({ script: join(import.meta.dirname, 'bridge/upstream.ts'), core: CORE.rest });
  const { port } = await upstream.hears<{ port: number }>();
  const url = `http://127.0.0.1:${port}`;
  await using gateway = await delivered(
    run,
    { gateway: values.gateway, profile: undefined },
    {
      execArgv: PROBED,
      upstreams: [
        { name: 'modern', type: 'streamable-http', url: `${url}/modern` },
        { name: 'legacy', type: 'streamable-http', url: `${url}/legacy` },
      ],
      settings: {
        auth: { static: tokens.map((token, index) => ({ name: `user-${index}`, token, tenant: `tenant-${index % 5}` })) },
        bridge: { park: { perPrincipal: 100_000, perUpstream: 100_000, total: 100_000 }, replayWindow: '100ms' },
      },
    },
  );
  const { origin, pathname } = new URL(gateway.url);
  const pool = new Pool(origin, { connections: 64 });
  try {
    await work(gateway.child, (era, user = 0) => LoadClient.open(pool, pathname, era, tokens[user] as string));
  } finally {
    await pool.destroy();
  }
}

/** Calls that wait for their clients: what each takes, and whether each is continued by the right answer. */
async function parked(count: number): Promise<void> {
  await stage(async (gateway, open) => {
    const clients = await Promise.all(tokens.map((_, user) => open('modern', user)));
    const heap = () => gateway.ask<HeapUse>({ ask: 'heap' });
    const items = Array.from({ length: count }, (_, at) => ({ user: at % PRINCIPALS, at }));
    const states: string[] = [];
    const begin = async ({ user, at }: (typeof items)[number]) => {
      const { result, error } = await (clients[user] as LoadClient).call('x_legacy_ask', { text: `call ${at}` });
      if (result?.resultType !== 'input_required') throw new Error(`call ${at} was not parked: ${JSON.stringify(error ?? result)}`);
      states[at] = String(result.requestState);
    };
    let right = 0;
    const resume = async ({ user, at }: (typeof items)[number]) => {
      const more = { requestState: states[at], inputResponses: { 'r1-1': { action: 'accept', content: { word: `word ${at} of ${user}` } } } };
      const text = textOf(await (clients[user] as LoadClient).call('x_legacy_ask', { text: `call ${at}` }, more));
      if (text === `call ${at}: word ${at} of ${user}`) right++;
      else failures.push(`call ${at} of principal ${user} was answered ${JSON.stringify(text)}`);
    };
    // Once through everything: connections, sockets and code are warm, and are not counted as the calls'.
    await each(items, WIDTH, begin);
    await each(shuffled(items), WIDTH, resume);
    right = 0;
    const before = await heap();
    await each(items, WIDTH, begin);
    const held = await heap();
    await each(shuffled(items), WIDTH, resume);
    const after = await heap();
    const per = (value: (heap: HeapUse) => number) => (value(held) - value(before)) / count;
    console.log(`\n${count} parked calls of ${PRINCIPALS} principals at one upstream`);
    console.log(`  heap per parked call            ${bytes(per(({ heapUsed }) => heapUsed))}`);
    console.log(`  and outside the heap (buffers)  ${bytes(per(({ external }) => external))}`);
    console.log(`  resident memory per parked call ${bytes(per(({ rss }) => rss))}`);
    console.log(`  left of each afterwards         ${bytes((after.heapUsed - before.heapUsed) / count)}`);
    console.log(`  continued with the right answer ${right} of ${count}`);
    if (per(({ heapUsed }) => heapUsed) >= MAX_PARKED_BYTES) failures.push('a parked call takes 10 KB or more');
    if (right !== count) failures.push(`${count - right} parked calls were not continued rightly`);
  });
}

const CELLS = [
  { name: 'session client → session upstream', client: 'legacy', upstream: 'legacy', crosses: false },
  { name: 'stateless client → stateless upstream', client: 'modern', upstream: 'modern', crosses: false },
  { name: 'session client → stateless upstream', client: 'legacy', upstream: 'modern', crosses: true },
  { name: 'stateless client → session upstream', client: 'modern', upstream: 'legacy', crosses: true },
] as const;

/** CPU of the gateway process per call that asks nobody anything; the best round counts, since others only add noise. */
async function calls(count: number, rounds: number): Promise<void> {
  await stage(async (gateway, open) => {
    const clients = { legacy: await open('legacy'), modern: await open('modern') };
    const items = Array.from({ length: count }, (_, at) => at);
    const text = 'a text of a hundred bytes, as the arguments of a call are: '.padEnd(100, '.');
    const play = ({ client, upstream }: (typeof CELLS)[number]) =>
      each(items, WIDTH, async (at) => {
        const sent = `${at} ${text}`;
        const got = textOf(await clients[client].call(`x_${upstream}_echo`, { text: sent }));
        if (got !== sent) failures.push(`${sent} was answered ${got}`);
      });
    const cpu = async () => {
      const { user, system } = await gateway.ask<CpuUse>({ ask: 'cpu' });
      return user + system;
    };
    for (let warm = 0; warm < 3; warm++) for (const cell of CELLS) await play(cell);
    const seen = new Map<string, number[]>(CELLS.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const cell of [...CELLS.slice(round % CELLS.length), ...CELLS.slice(0, round % CELLS.length)]) {
        await gateway.ask({ ask: 'heap' });
        const before = await cpu();
        await play(cell);
        seen.get(cell.name)?.push(((await cpu()) - before) / count);
      }
    }
    const best = (name: string) => Math.min(...(seen.get(name) ?? []));
    const same = CELLS.filter(({ crosses }) => !crosses).reduce((sum, { name }) => sum + best(name), 0) / 2;
    console.log(`\nCPU of the gateway per call in µs, ${rounds} rounds of ${count} calls, ${WIDTH} at a time`);
    console.log('  cell                                      best   median  worst   of same-era');
    for (const { name, crosses } of CELLS) {
      const sorted = (seen.get(name) ?? []).toSorted((a, b) => a - b);
      const [low = 0, middle = 0, high = 0] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)];
      const ratio = low / same;
      console.log(`  ${name.padEnd(40)}${[low, middle, high].map((value) => value.toFixed(1).padStart(7)).join(' ')}   ${ratio.toFixed(2)}`);
      if (crosses && ratio > MAX_RATIO) failures.push(`${name}: ${ratio.toFixed(2)} times the cost of calls within one era`);
    }
  });
}

function shuffled<T>(items: readonly T[]): T[] {
  const mixed = [...items];
  for (let at = mixed.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [mixed[at], mixed[other]] = [mixed[other] as T, mixed[at] as T];
  }
  return mixed;
}

function bytes(value: number): string {
  return `${Math.round(value).toLocaleString('en')} bytes`.padStart(14);
}

run.leaveOnSignals();
console.log(machineText());
if (values.part !== 'calls') await parked(Number(values.parked));
if (values.part !== 'parked') await calls(Number(values.calls), Number(values.rounds));
for (const failure of failures.slice(0, 20)) console.log(`FAILED: ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;
