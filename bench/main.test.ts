import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { liveProcesses } from '../test/fixtures/processes.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const SOURCE = join(import.meta.dirname, '../src/cli/main.ts');
const QUICK = ['--gateway', SOURCE, '--rounds', '1', '--duration', '0.2', '--warmup', '0.2', '--clients', '2'];

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bench-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** All that a run writes for itself goes to `folder`, and all its processes know that folder. */
function bench(...args: string[]): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  // A gateway refuses variables that it does not know: what is in our environment must not reach it.
  const env = { ...process.env, TMPDIR: folder, TURNPIKE_OF_SOMEBODY: 'else' };
  return spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Names of the processes of the run that live now. */
async function ours(): Promise<string[]> {
  const found: string[] = [];
  for (const { pid, name } of await liveProcesses()) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.split('\0').includes(`TMPDIR=${folder}`)) found.push(name);
  }
  return found;
}

async function finished(child: ReturnType<typeof bench>) {
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { out, err, code };
}

/** Resolves once a set measures: every process of it is there. */
async function measuring(child: ReturnType<typeof bench>): Promise<void> {
  let heard = '';
  for await (const chunk of child.stderr) {
    heard += chunk;
    if (heard.includes('round 1')) return;
  }
  throw new Error(`the run ended: ${heard}`);
}

describe('npm run bench', () => {
  it('measures, prints the table, writes the figures, and leaves nothing behind', { timeout: 60_000 }, async () => {
    const json = join(import.meta.dirname, `../node_modules/.${basename(folder)}.json`);
    try {
      const { out, err } = await finished(bench('--set', 'http', '--json', json, ...QUICK));
      expect(out, err).toMatch(/^\| modern call → HTTP upstream \| HTTP floor \| [\d.]+ µs \| [\d.]+ µs \| \d+\.\d\d \|/m);
      const { rows } = JSON.parse(await readFile(json, 'utf8'));
      expect(rows).toMatchObject([{ bound: { name: 'modern', most: 1.6 }, unit: 'µs', value: rows[0].subject.best / rows[0].reference.best }]);
    } finally {
      await rm(json, { force: true });
    }
    expect(await readdir(folder)).toEqual([]);
    expect(await ours()).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('leaves nothing behind when it is told to stop by %s', { timeout: 60_000 }, async (signal) => {
    const child = bench('--set', 'stdio', ...QUICK, '--rounds', '100');
    await measuring(child);
    expect((await ours()).length).toBeGreaterThan(3);
    child.kill(signal);
    const [code] = await once(child, 'exit');
    expect(code).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(await ours()).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('leaves no process behind when it is killed', { timeout: 60_000 }, async () => {
    const child = bench('--set', 'stdio', ...QUICK, '--rounds', '100');
    await measuring(child);
    child.kill('SIGKILL');
    await vi.waitFor(async () => expect(await ours()).toEqual([]), { timeout: 20_000, interval: 100 });
  });

  it('says what the gateway said when it does not start', { timeout: 60_000 }, async () => {
    const { err, code } = await finished(bench('--set', 'http', '--gateway', join(import.meta.dirname, 'no-such-file.ts')));
    expect(code).toBe(1);
    expect(err).toMatch(/http: no-such-file\.ts ended with 1: [\s\S]*Cannot find module/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses a wrong command line with 2 and says where to look', async () => {
    const { err, code, out } = await finished(bench('--set', 'nothing'));
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^bench: --set: there is no set "nothing"; there are http, .*\nbench: --help tells what there is\n$/);
  });
});
