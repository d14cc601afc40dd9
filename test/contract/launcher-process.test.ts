import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { liveProcesses, MARK, newMark, processesWithMark, until } from '../fixtures/processes.ts';
import { DEAF } from './launcher-rig.ts';

/** A program that uses the launcher, as a process of its own: how it ends, and what is left. */
const LAUNCHER = new URL('../../src/launcher/index.ts', import.meta.url).href;
const SERVER = fileURLToPath(new URL('../fixtures/legacy/server.ts', import.meta.url));

let folder: string;
let mark: string;
let program: ChildProcess | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnpike-launcher-'));
  mark = newMark();
});
afterEach(async () => {
  program?.kill('SIGKILL');
  await until(
    () => processesWithMark(mark),
    (left) => left.length === 0,
    15_000,
  );
  await rm(folder, { recursive: true });
});

/** Runs a program that has launched a server; its last lines are `rest`. */
async function run(args: readonly string[], rest: string): Promise<{ said: () => string; code: Promise<unknown> }> {
  const source = `
    import { configFrom, getOrLaunch, Launcher } from ${JSON.stringify(LAUNCHER)};
    const upstream = { name: 'up', type: 'stdio', command: process.execPath, args: ${JSON.stringify(args)}, protocol: '2025-11-25', env: ${JSON.stringify({ [MARK]: mark })} };
    const launcher = new Launcher({ config: await configFrom({ upstreams: [upstream] }, { cwd: ${JSON.stringify(folder)} }), environment: process.env });
    const up = await getOrLaunch(launcher, 'up');
    console.log(JSON.stringify(await up.callTool('counter')));
    ${rest}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'], cwd: folder });
  program = child;
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const code = once(child, 'close').then(([status, signal]) => status ?? signal);
  await until(
    () => said,
    (text) => text.includes('"connection":1'),
    20_000,
  );
  return { said: () => said, code };
}

it('exits by itself once the launcher is closed, and nothing is left', async () => {
  const { code, said } = await run([SERVER, '--stdio'], "await launcher.close(); console.log('closed');");
  expect([await code, said()]).toEqual([0, expect.stringContaining('closed')]);
  expect(await processesWithMark(mark)).toEqual([]);
});

it('a program that goes on has no process left after close', async () => {
  const { said } = await run([SERVER, '--stdio'], "await launcher.close(); console.log('closed'); setInterval(() => {}, 1000);");
  await until(said, (text) => text.includes('closed'), 20_000);
  expect((await liveProcesses()).filter(({ parent }) => parent === program?.pid)).toEqual([]);
});

it('kill -9 of it ends its servers, helpers that ignore TERM included', async () => {
  const { code } = await run(DEAF.args, 'setInterval(() => {}, 1000);');
  expect(await processesWithMark(mark)).toHaveLength(2);
  program?.kill('SIGKILL');
  expect(await code).toBe('SIGKILL');
  await until(
    () => processesWithMark(mark),
    (left) => left.length === 0,
    10_000,
  );
});
