import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FileReads } from '../config/file-reads.ts';
import { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { NextConfig, ReloadReport } from '../reload.ts';
import { judgedConfig } from './configuration.ts';
import { Reloading } from './reloading.ts';
import { sampleSurroundings } from './sample-surroundings.ts';

const REPORT: ReloadReport = { changed: [], needsRestart: [], upstreams: { added: [], removed: [], restarted: [], updated: [] } };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnpike-reloading-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A gateway that only takes note of what it was given. */
async function bench(text: string, options: { readonly named?: boolean } = {}) {
  const file = join(folder, 'turnpike.yaml');
  await writeFile(file, text);
  const clock = new ManualClock();
  const around = { ...sampleSurroundings(), cwd: folder, env: { HOME: folder } };
  const state = { said: '', refuses: false, taken: [] as NextConfig[], beforeLoad: async () => {}, loads: 0 };
  const load = async (reads: FileReads) => {
    state.loads++;
    try {
      return await judgedConfig({ ...(options.named === false ? {} : { file }), stdio: false, flags: {}, readFile: reads.read }, around);
    } finally {
      await state.beforeLoad();
    }
  };
  const reads = new FileReads();
  const initial = { judged: await load(reads), reads };
  const life = new AbortController();
  let turn: Promise<unknown> = Promise.resolve();
  const gateway = {
    reload: (make: () => Promise<NextConfig>) => {
      const result = make().then((next) => {
        if (state.refuses) throw new TurnpikeError('config/invalid', 'refused');
        state.taken.push(next);
        return REPORT;
      });
      turn = result.catch(() => {});
      return result;
    },
  };
  const say = (said: string) => {
    state.said += said;
  };
  const reloading = new Reloading({ gateway, clock, initial, load, signal: life.signal, say });
  const request = async () => {
    reloading.request();
    await turn;
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { file, clock, state, reloading, request, life };
}

it('takes a configuration that is in order, and says which files hold something else', async () => {
  const secret = join(folder, 'secret');
  await writeFile(secret, 'one');
  const { file, state, request, reloading } = await bench(`telemetry: {metrics: {tokenFile: ${secret}}}\n`);
  await request();
  await writeFile(secret, 'two');
  await request();
  await writeFile(file, 'listen: {shutdownTimeout: 3s}\n');
  await request();
  expect(state.taken.map(({ touched }) => touched)).toEqual([[], [secret], [file, secret]]);
  expect(reloading.config.listen.shutdownTimeout).toBe(3_000);
  expect(state.said).toBe('');
  reloading[Symbol.dispose]();
});

it('says what is wrong, with its place, and takes nothing', async () => {
  const { file, state, request, reloading } = await bench('limits: {ip: 1}\n');
  await writeFile(file, 'limits: {ip: no}\n');
  await request();
  expect(state.said).toBe(
    `turnpike: the configuration was not reloaded; the running one stays\n${file}:1:14 limits.ip: is a string (expected a number above 0)\n`,
  );
  expect(state.taken).toEqual([]);
  reloading[Symbol.dispose]();
});

it('a file that is half written is read again, without a word', async () => {
  const { file, state, clock, request, reloading } = await bench('limits: {ip: 1}\n');
  await writeFile(file, 'limits: {ip: ');
  state.beforeLoad = async () => {
    state.beforeLoad = async () => {};
    await writeFile(file, 'limits: {ip: 2}\n');
  };
  const done = request();
  while (clock.pending < 2) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(300);
  await done;
  expect(state.taken.map(({ config }) => config.limits.ip)).toEqual([2]);
  expect([state.said, state.loads]).toEqual(['', 3]);
  reloading[Symbol.dispose]();
});

it('a file by its usual name that is gone is no wish for a gateway without upstreams', async () => {
  const { file, state, request, reloading } = await bench('limits: {ip: 1}\n', { named: false });
  await rm(file);
  await request();
  expect(state.said).toContain('turnpike.yaml: the configuration file does not exist');
  expect(state.taken).toEqual([]);
  reloading[Symbol.dispose]();
});

it('requests that come while one is under way are one', async () => {
  const { state, request, reloading } = await bench('limits: {ip: 1}\n');
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const loaded = Promise.withResolvers<void>();
  state.beforeLoad = async () => {
    if (state.taken.length === 1) loaded.resolve();
    await held;
  };
  const done = request();
  for (let more = 0; more < 10; more++) reloading.request();
  letGo();
  await done;
  await loaded.promise;
  while (reloading.busy) await new Promise((resolve) => setImmediate(resolve));
  expect(state.taken).toHaveLength(2);
  reloading[Symbol.dispose]();
});

it('what the gateway refuses is not in force: the next reading is compared with what is', async () => {
  const { file, state, request, reloading } = await bench('limits: {ip: 1}\n');
  await writeFile(file, 'listen: {shutdownTimeout: 3s}\n');
  state.refuses = true;
  await request();
  expect(state.said).toContain('the running one stays\nrefused\n');
  expect(reloading.config.listen.shutdownTimeout).toBe(30_000);
  state.refuses = false;
  await request();
  expect(state.taken.map(({ touched }) => touched)).toEqual([[file]]);
  expect(reloading.config.listen.shutdownTimeout).toBe(3_000);
  reloading[Symbol.dispose]();
});
