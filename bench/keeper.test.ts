import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { liveProcesses } from '../test/fixtures/processes.ts';
import { Child } from './children.ts';
import { CORE } from './machine.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keeper-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const start = (...args: string[]) =>
  Child.start({ script: join(import.meta.dirname, 'keeper.ts'), args, log: join(folder, 'log'), core: CORE.subject });

const areLive = async (pids: readonly number[]) => {
  const live = new Set((await liveProcesses()).map(({ pid }) => pid));
  return pids.map((pid) => live.has(pid));
};

describe('keeper of a foreign program', () => {
  it('ends the program and what that started, deaf as they are, when its parent lets go', { timeout: 30_000 }, async () => {
    const told = join(folder, 'pid');
    const program = join(folder, 'program.mjs');
    // Neither hears SIGTERM, and the grandchild would outlive its parent.
    const deaf = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);`;
    const grandchild = `import { writeFileSync } from 'node:fs'; ${deaf} writeFileSync(process.argv[2], String(process.pid));`;
    await writeFile(join(folder, 'grandchild.mjs'), grandchild);
    await writeFile(
      program,
      `import { spawn } from 'node:child_process'; ${deaf} spawn(process.execPath, process.argv.slice(2), { stdio: 'ignore' });`,
    );
    let pids: number[];
    {
      await using keeper = start(process.execPath, program, join(folder, 'grandchild.mjs'), told);
      const { pid } = await keeper.hears<{ pid: number }>();
      const below = await vi.waitFor(
        async () => {
          const number = Number(await readFile(told, 'utf8'));
          expect(number).toBeGreaterThan(0);
          return number;
        },
        { timeout: 10_000 },
      );
      pids = [pid, below];
      expect(await areLive(pids)).toEqual([true, true]);
    }
    // A process that is killed takes a moment to be gone.
    await vi.waitFor(async () => expect(await areLive(pids)).toEqual([false, false]));
  });

  it('ends when the program does, and says how', async () => {
    await using keeper = start(process.execPath, '-e', 'process.exit(3)');
    await keeper.hears();
    await expect(keeper.hears()).rejects.toThrow(/keeper\.ts ended with 1: .* ended with 3/);
  });
});
