// What the built-in GitLab costs, beside a call that goes straight to GitLab:
//   node bench/gitlab.ts                       all of it
//   --part credentials | list | garbage | calls
//   --calls N (2000 a round), --rounds N (8), --gateway FILE (the script that is started as turnpike)
// Exit code 1 when a pooled credential takes more than 20 KB, tools/list more than 60 KB, or a garbage token evicts somebody.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { each, LoadClient } from './bridge/clients.ts';
import type { Child } from './children.ts';
import { gateway as delivered, PROBED } from './delivered.ts';
import { CORE, machineText } from './machine.ts';
import type { CpuUse } from './probe.ts';
import { Run } from './run.ts';

const { values } = parseArgs({
  options: {
    part: { type: 'string' },
    calls: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '8' },
    gateway: { type: 'string' },
  },
});

const MAX_CREDENTIAL_BYTES = 20_000;
const MAX_LIST_BYTES = 60_000;
const GARBAGE = 10_000;
const WIDTH = 16;

await using run = await Run.open();
const failures: string[] = [];

function tokenOf(person: number): string {
  return `bench-${String(person).padStart(8, '0')}-aaaaaa`;
}

/** A gateway whose only upstream is the GitLab of the bench, and that GitLab. */
async function stage(work: (parts: { gateway: Child; url: string; origin: string; pool: Pool }) => Promise<void>): Promise<void> {
  await using upstream = run.start({ script: join(import.meta.dirname, 'gitlab/upstream.ts'), core: CORE.rest });
  const { port } = await upstream.hears<{ port: number }>();
  const origin = `http://127.0.0.1:${port}`;
  await using gateway = await delivered(
    run,
    { gateway: values.gateway, profile: undefined },
    {
      execArgv: PROBED,
      upstreams: [{ name: 'lab', type: 'gitlab', gitlab: { url: origin } }],
      settings: { auth: { modes: ['gitlab'], static: [], failures: { max: 1_000_000, window: '60s' } } },
    },
  );
  const pool = new Pool(new URL(gateway.url).origin, { connections: 64 });
  try {
    await work({ gateway: gateway.child, url: gateway.url, origin, pool });
  } finally {
    await pool.destroy();
  }
}

function credentials(): void {
  const script = join(import.meta.dirname, 'gitlab/credentials.ts');
  const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', script], { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  const { held, heap, external } = JSON.parse(stdout) as { held: number; heap: number; external: number };
  console.log(
    `\n${held.toLocaleString('en')} credentials at 100 instances are held: ${Math.round(heap)} bytes of heap each, ${Math.round(external)} outside`,
  );
  if (held !== 100_000) failures.push(`${held} of 100,000 credentials are held`);
  if (heap + external > MAX_CREDENTIAL_BYTES) failures.push(`a pooled credential takes more than ${MAX_CREDENTIAL_BYTES} bytes`);
}

async function list(): Promise<void> {
  await stage(async ({ pool, url }) => {
    const client = await LoadClient.open(pool, new URL(url).pathname, 'modern', tokenOf(1));
    const { result } = await client.list();
    const size = Buffer.byteLength(JSON.stringify(result));
    console.log(`\ntools/list of the default toolset: ${size.toLocaleString('en')} bytes`);
    if (size > MAX_LIST_BYTES) failures.push(`tools/list is larger than ${MAX_LIST_BYTES} bytes`);
  });
}

/** Unknown tokens, each once, while one person works. */
async function garbage(): Promise<void> {
  await stage(async ({ pool, url }) => {
    const { pathname } = new URL(url);
    const person = await LoadClient.open(pool, pathname, 'modern', tokenOf(7));
    await person.call('x_lab_whoami', {});
    let refused = 0;
    await each(
      Array.from({ length: GARBAGE }, (_, at) => at),
      WIDTH,
      async (at) => {
        const headers = {
          authorization: `Bearer glpat-garbage${String(at).padStart(12, '0')}`,
          'content-type': 'application/json',
          accept: 'application/json',
        };
        const { statusCode, body } = await pool.request({
          method: 'POST',
          path: pathname,
          headers,
          body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
        });
        await body.text();
        if (statusCode === 401 || statusCode === 429) refused++;
      },
    );
    const before = refused;
    const { result } = await person.call('x_lab_whoami', {});
    const isServed = JSON.stringify(result).includes('person00000007');
    console.log(
      `\n${GARBAGE.toLocaleString('en')} garbage tokens: ${before.toLocaleString('en')} refused; the one who worked ${isServed ? 'works on' : 'is gone'}`,
    );
    if (refused !== GARBAGE) failures.push(`${GARBAGE - refused} garbage tokens were not refused`);
    if (!isServed) failures.push('a garbage token evicted somebody');
  });
}

/** CPU of the gateway for a call of whoami, beside that of a process that asks GitLab itself; the best round counts. */
async function calls(count: number, rounds: number): Promise<void> {
  await stage(async ({ gateway, url, origin, pool }) => {
    await using direct = run.start({
      script: join(import.meta.dirname, 'gitlab/direct.ts'),
      args: ['--url', origin],
      core: CORE.subject,
      execArgv: ['--expose-gc'],
    });
    await direct.hears<{ port: number }>();
    const token = tokenOf(1);
    const client = await LoadClient.open(pool, new URL(url).pathname, 'modern', token);
    const items = Array.from({ length: count }, (_, at) => at);
    const throughGateway = () =>
      each(items, WIDTH, async () => {
        const { result, error } = await client.call('x_lab_whoami', {});
        if (result === undefined || result.isError === true) failures.push(`whoami was answered ${JSON.stringify(error ?? result)}`);
      });
    const straight = () => direct.ask({ calls: count, width: WIDTH, token });
    const measured = async (child: Child, work: () => Promise<unknown>) => {
      const use = async () => {
        const { user, system } = await child.ask<CpuUse>({ ask: 'cpu' });
        return user + system;
      };
      const before = await use();
      await work();
      return ((await use()) - before) / count;
    };
    for (let warm = 0; warm < 3; warm++) {
      await throughGateway();
      await straight();
    }
    const seen = { gateway: [] as number[], direct: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      seen.direct.push(await measured(direct, straight));
      seen.gateway.push(await measured(gateway, throughGateway));
    }
    const [through, own] = [Math.min(...seen.gateway), Math.min(...seen.direct)];
    console.log(`\nCPU per call in µs, best of ${rounds} rounds of ${count} calls, ${WIDTH} at a time`);
    console.log(`  straight to GitLab, undici     ${own.toFixed(1).padStart(8)}`);
    console.log(`  whoami through the gateway     ${through.toFixed(1).padStart(8)}   ${(through - own).toFixed(1)} more`);
  });
}

const PARTS = { credentials, list, garbage, calls: () => calls(Number(values.calls), Number(values.rounds)) } as const;

run.leaveOnSignals();
console.log(machineText());
for (const [name, part] of Object.entries(PARTS)) if (values.part === undefined || values.part === name) await part();
for (const failure of failures.slice(0, 20)) console.log(`FAILED: ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;
