import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { Reaper } from '../../src/upstream/process/reaper.ts';
import { isAlive, MARK, newMark, processesWithMark, until } from '../fixtures/processes.ts';

const CHILDREN = join(import.meta.dirname, '../fixtures/children');
let mark: string;
const started: ChildProcess[] = [];

beforeEach(() => {
  mark = newMark();
});

afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  for (const { pid } of await processesWithMark(mark)) process.kill(pid, 'SIGKILL');
});

/** Starts a small gateway and reads the lines it writes. */
async function gateway(mode: string, script: string, ...args: string[]) {
  const child = spawn('node', [join(CHILDREN, 'gateway.ts'), mode, 'node', join(CHILDREN, script), ...args], {
    env: { ...process.env, [MARK]: mark },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  started.push(child);
  const exited = once(child, 'exit');
  const lines: Record<string, unknown>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
  const said = async (key: string, ms = 15_000) =>
    (
      await until(
        () => lines.find((line) => key in line),
        (line) => line !== undefined,
        ms,
      )
    )?.[key];
  return { child, exited, said };
}

async function allGone(reaper: unknown) {
  await until(
    () => processesWithMark(mark),
    (left) => left.length === 0,
    10_000,
  );
  await until(
    () => isAlive(reaper as number),
    (alive) => !alive,
    10_000,
  );
}

test('kill -9 of the gateway: child and grandchild that ignore TERM, and the reaper, are gone within 10 s', async () => {
  const { child, exited, said } = await gateway('hold', 'stubborn.mjs');
  await said('ready');
  const reaper = await said('reaper');
  // gateway, child, grandchild; the reaper's environment holds PATH only.
  expect((await processesWithMark(mark)).length).toBe(3);
  child.kill('SIGKILL');
  await exited;
  expect((await processesWithMark(mark)).length).toBe(2);
  expect(await isAlive(reaper as number)).toBe(true);
  await allGone(reaper);
});

test('the gateway calls process.exit without stopping anything: the same', async () => {
  const { exited, said } = await gateway('exit', 'stubborn.mjs');
  const reaper = await said('reaper');
  expect(await exited).toEqual([0, null]);
  await allGone(reaper);
});

test('ctrl-C and TERM to the whole group of the gateway do not reach the reaper', async () => {
  const { child, exited, said } = await gateway('hold', 'stubborn.mjs');
  await said('ready');
  const reaper = await said('reaper');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(reaper as number, signal);
  process.kill(-(child.pid as number), 'SIGINT');
  await exited;
  expect(await isAlive(reaper as number)).toBe(true);
  await allGone(reaper);
});

test('a line of 100 MB closes the connection with bounded memory, and nothing keeps the process alive', async () => {
  const { exited, said } = await gateway('flood', 'flood.mjs');
  expect(await said('reason')).toBe("upstream 'child' sent a line of more than 16 MiB");
  // About 60 with all that is loaded meanwhile; the line kept whole would be another 95 at least.
  expect(await said('grownMiB')).toBeLessThan(80);
  expect(await exited).toEqual([0, null]);
  await allGone(await said('reaper'));
});

test('without groups the reaper does not keep the gateway alive', async () => {
  const { exited, said } = await gateway('leave', 'stubborn.mjs', 'leave');
  expect(await said('reason')).toBe("upstream 'child' exited with code 7");
  expect(await exited).toEqual([0, null]);
  await allGone(await said('reaper'));
});

const reaperOptions = { clock: systemClock, environment: { PATH: process.env.PATH } };

async function sleeper(): Promise<ChildProcess> {
  const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore', env: { ...process.env, [MARK]: mark } });
  started.push(child);
  await once(child, 'spawn');
  return child;
}

test('stop ends the groups that are listed and not those taken off the list', async () => {
  const reaper = new Reaper(reaperOptions);
  await reaper.start();
  const [kept, first, last] = [await sleeper(), await sleeper(), await sleeper()];
  for (const child of [first, kept, last]) reaper.add(child.pid as number);
  reaper.remove(kept.pid as number);
  const ended = Promise.all([once(first, 'exit'), once(last, 'exit')]);
  const { pid } = reaper;
  await reaper.stop();
  expect(await ended).toEqual([
    [null, 'SIGTERM'],
    [null, 'SIGTERM'],
  ]);
  expect(await isAlive(pid as number)).toBe(false);
  expect(await isAlive(kept.pid as number)).toBe(true);
  await expect(reaper.start()).rejects.toMatchObject({ code: 'upstream/down' });
});

test('a reaper without groups ends at once, is small, and one shell serves all who start it', async () => {
  const reaper = new Reaper(reaperOptions);
  await Promise.all([reaper.start(), reaper.start()]);
  const { pid } = reaper;
  await reaper.start();
  expect(reaper.pid).toBe(pid);
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  expect(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(4_096);
  const start = performance.now();
  await Promise.all([reaper.stop(), reaper.stop()]);
  expect(performance.now() - start).toBeLessThan(1_000);
  expect(await isAlive(pid as number)).toBe(false);
});

test('a reaper that was killed is replaced and told the whole list', async () => {
  const failures: string[] = [];
  const reaper = new Reaper({ ...reaperOptions, onFailure: (error) => failures.push(error.message) });
  await reaper.start();
  const child = await sleeper();
  reaper.add(child.pid as number);
  const first = reaper.pid as number;
  process.kill(first, 'SIGKILL');
  await until(
    () => reaper.pid,
    (pid) => pid !== undefined && pid !== first,
    5_000,
  );
  expect(failures).toEqual(['the process reaper ended with SIGKILL']);
  const ended = once(child, 'exit');
  await reaper.stop();
  expect(await ended).toEqual([null, 'SIGTERM']);
});

test('hundreds of groups come and go and the list stays right', async () => {
  const reaper = new Reaper(reaperOptions);
  await reaper.start();
  const child = await sleeper();
  // Ids above the kernel's largest: no group has them.
  const others = Array.from({ length: 300 }, (_item, index) => 2 ** 30 + index);
  for (const group of others.slice(0, 150)) reaper.add(group);
  reaper.add(child.pid as number);
  for (const group of others.slice(150)) reaper.add(group);
  for (const group of others) reaper.remove(group);
  expect(reaper.groups.size).toBe(1);
  const ended = once(child, 'exit');
  await reaper.stop();
  expect(await ended).toEqual([null, 'SIGTERM']);
});
