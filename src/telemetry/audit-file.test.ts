import * as nodeFs from 'node:fs/promises';
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { type AuditLog, type AuditSettings, createAuditLog } from './audit.ts';
import type { AuditFs, AuditHandle } from './audit-file.ts';
import type { AuditRecord } from './audit-lines.ts';
import { createLogger } from './log.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'audit-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const call: AuditRecord = {
  requestId: 7,
  tenant: 'platform',
  principal: { fingerprint: 'fp', issuer: 'static', subject: 'ci' },
  session: 'sfp',
  era: 'modern',
  method: 'tools/call',
  tool: 'x_files_read',
  original: 'read',
  upstream: 'files',
  decision: 'allowed',
  outcome: 'ok',
  durationMs: 12.3456,
  bytesIn: 100,
  bytesOut: 300,
  credentialMode: 'none',
};

function fail(code: string): never {
  throw Object.assign(new Error(`${code}: no`), { code });
}

/** A file system in which what is named in `faults` fails, and `room` is what the disk still takes. */
function faultyFs() {
  const faults = new Set<'open' | 'write' | 'rename' | 'mkdir'>();
  const state = { code: 'EIO', room: Number.POSITIVE_INFINITY, opened: 0, closed: 0, dead: 0 };
  const check = (what: 'open' | 'write' | 'rename' | 'mkdir') => faults.has(what) && fail(state.code);
  const fs: AuditFs = {
    stat: nodeFs.stat,
    unlink: nodeFs.unlink,
    async mkdir(path, options) {
      check('mkdir');
      return nodeFs.mkdir(path, options);
    },
    async rename(from, to) {
      check('rename');
      return nodeFs.rename(from, to);
    },
    async open(path, flags, mode) {
      check('open');
      const handle = await nodeFs.open(path, flags, mode);
      const number = ++state.opened;
      const wrapped: AuditHandle = {
        read: (buffer, offset, length, position) => handle.read(buffer, offset, length, position),
        stat: () => handle.stat(),
        chmod: (bits) => handle.chmod(bits),
        datasync: () => handle.datasync(),
        async write(bytes, offset) {
          check('write');
          if (number <= state.dead) fail('EBADF');
          if (state.room <= 0) fail('ENOSPC');
          const length = Math.min(bytes.length - offset, state.room);
          state.room -= length;
          return handle.write(bytes, offset, length);
        },
        async close() {
          state.closed++;
          await handle.close();
        },
      };
      return wrapped;
    },
  };
  return { fs, faults, state };
}

function start(settings: Partial<AuditSettings> = {}) {
  const clock = new ManualClock();
  const log: { level: string; message: string; lost?: number }[] = [];
  const counts = { failures: 0, lost: 0 };
  const audit = createAuditLog({
    file: 'audit.jsonl',
    dir,
    stream: process.stderr,
    clock,
    logger: createLogger({ sink: { write: (line) => log.push(JSON.parse(line)) } }),
    onError: 'continue',
    failures: {
      add(amount = 1) {
        counts.failures += amount;
      },
    },
    lost: {
      add(amount = 1) {
        counts.lost += amount;
      },
    },
    ...settings,
  });
  return { audit, clock, log, counts };
}

async function lines(name = 'audit.jsonl'): Promise<{ requestId: number }[]> {
  const text = await readFile(join(dir, name), 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

async function ids(name?: string): Promise<number[]> {
  return (await lines(name)).map((line) => line.requestId);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets what was recorded be written: records that follow each other are gathered for 10 ms. */
async function written(audit: AuditLog, clock: ManualClock): Promise<void> {
  clock.advance(10);
  await until(() => !audit.busy);
}

describe('the audit file', () => {
  it('is 0600 in a 0700 directory, although it was there with other rights', async () => {
    await writeFile(join(dir, 'audit.jsonl'), '', { mode: 0o644 });
    const { audit } = start();
    audit.record(call);
    await audit.close();
    expect((await stat(join(dir, 'audit.jsonl'))).mode & 0o777).toBe(0o600);
    const fresh = start({ dir: join(dir, 'new', 'place') });
    fresh.audit.record(call);
    await fresh.audit.close();
    expect((await stat(join(dir, 'new', 'place'))).mode & 0o777).toBe(0o700);
  });

  it('holds every record in order, in any pattern of arrival', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 }), async (turns) => {
        await rm(join(dir, 'audit.jsonl'), { force: true });
        const { audit, counts } = start();
        let id = 0;
        for (const count of turns) {
          audit.record({ ...call, requestId: id++ });
          for (let turn = 0; turn < count * 3; turn++) await Promise.resolve();
          if (count === 3) await new Promise((resolve) => setImmediate(resolve));
        }
        await audit.close();
        expect(await ids()).toEqual(Array.from({ length: id }, (_, index) => index));
        expect(counts).toEqual({ failures: 0, lost: 0 });
      }),
      { numRuns: 25 },
    );
  });

  it('rotates by size and keeps five files, without losing or cutting a line', async () => {
    const { audit, clock } = start({ maxBytes: 2000, files: 5 });
    for (let id = 0; id < 100; id++) {
      audit.record({ ...call, requestId: id });
      await written(audit, clock);
    }
    await audit.close();
    expect((await readdir(dir)).toSorted()).toEqual(['audit.jsonl', 'audit.jsonl.1', 'audit.jsonl.2', 'audit.jsonl.3', 'audit.jsonl.4']);
    const kept: number[] = [];
    for (const name of ['audit.jsonl.4', 'audit.jsonl.3', 'audit.jsonl.2', 'audit.jsonl.1', 'audit.jsonl']) {
      expect((await stat(join(dir, name))).size).toBeLessThanOrEqual(2000);
      expect((await stat(join(dir, name))).mode & 0o777).toBe(0o600);
      kept.push(...(await ids(name)));
    }
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => 100 - kept.length + index));
  });

  it('grows on when it cannot be rotated, and says so once a minute', async () => {
    const { fs, faults, state } = faultyFs();
    const { audit, log, clock, counts } = start({ maxBytes: 2000, fs });
    faults.add('rename');
    state.code = 'EACCES';
    for (let id = 0; id < 20; id++) {
      audit.record({ ...call, requestId: id });
      await written(audit, clock);
    }
    expect(await ids()).toHaveLength(20);
    expect(log.filter((line) => line.message.includes('cannot be rotated'))).toHaveLength(1);
    expect(counts).toEqual({ failures: 0, lost: 0 });
    faults.clear();
    clock.advance(60_000);
    audit.record({ ...call, requestId: 20 });
    await audit.close();
    expect(await ids()).toEqual([20]);
    expect(await ids('audit.jsonl.1')).toHaveLength(20);
  });

  it('goes on in a new file when the directory was deleted or the file moved', async () => {
    const { audit, clock, counts } = start();
    audit.record({ ...call, requestId: 1 });
    await until(() => !audit.busy);
    await rm(dir, { recursive: true });
    clock.advance(1000);
    audit.record({ ...call, requestId: 2 });
    await until(() => !audit.busy);
    expect(await ids()).toEqual([2]);
    await rename(join(dir, 'audit.jsonl'), join(dir, 'moved'));
    clock.advance(1000);
    audit.record({ ...call, requestId: 3 });
    await audit.close();
    expect(await ids()).toEqual([3]);
    expect(await ids('moved')).toEqual([2]);
    expect(counts.lost).toBe(0);
  });

  it('ends the torn line of a gateway that died before it writes its own', async () => {
    await writeFile(join(dir, 'audit.jsonl'), '{"requestId":1}\n{"reque');
    const { audit } = start();
    audit.record({ ...call, requestId: 2 });
    await audit.close();
    const text = await readFile(join(dir, 'audit.jsonl'), 'utf8');
    expect(text.split('\n').map((line) => line.slice(0, 16))).toEqual(['{"requestId":1}', '{"reque', '{"time":"2026-01', '']);
  });
});

describe('an audit file that cannot be written', () => {
  it('loses nothing on a full disk, not even half a line, and says it once a minute', async () => {
    const { fs, state } = faultyFs();
    const { audit, clock, log, counts } = start({ fs });
    state.room = 500;
    for (let id = 0; id < 10; id++) audit.record({ ...call, requestId: id });
    await written(audit, clock);
    clock.advance(10);
    await until(() => audit.failing);
    for (let second = 0; second < 90; second++) {
      clock.advance(1000);
      await until(() => !audit.busy);
    }
    expect(counts.failures).toBe(91);
    expect(log.filter((line) => line.level === 'error')).toHaveLength(2);
    state.room = Number.POSITIVE_INFINITY;
    clock.advance(1000);
    await until(() => !audit.failing && !audit.busy);
    expect(log.at(-1)).toMatchObject({ level: 'info', message: 'audit records are written again', lost: 0 });
    audit.record({ ...call, requestId: 10 });
    await audit.close();
    expect(await ids()).toEqual(Array.from({ length: 11 }, (_, index) => index));
    expect(counts.lost).toBe(0);
    expect(clock.pending).toBe(0);
    expect(state.closed).toBe(state.opened);
  });

  it.each(['open', 'write', 'mkdir'] as const)('keeps the records while %s fails, and closes every handle', async (what) => {
    const { fs, faults, state } = faultyFs();
    state.code = 'EACCES';
    faults.add(what);
    const { audit, clock, counts } = start({ fs });
    for (let id = 0; id < 5; id++) audit.record({ ...call, requestId: id });
    await until(() => audit.failing);
    faults.clear();
    clock.advance(1000);
    await until(() => !audit.failing);
    await audit.close();
    expect(await ids()).toEqual([0, 1, 2, 3, 4]);
    expect(counts).toEqual({ failures: 1, lost: 0 });
    expect(state.closed).toBe(state.opened);
  });

  it('opens the file anew when its handle is dead', async () => {
    const { fs, state } = faultyFs();
    const { audit, clock, counts } = start({ fs });
    await audit.open();
    state.dead = 1;
    audit.record(call);
    await until(() => audit.failing);
    clock.advance(1000);
    await until(() => !audit.busy);
    expect(audit.failing).toBe(false);
    await audit.close();
    expect(await ids()).toEqual([7]);
    expect(counts).toEqual({ failures: 1, lost: 0 });
    expect([state.opened, state.closed]).toEqual([2, 2]);
  });

  it('under continue lets calls go on', async () => {
    const { fs, faults } = faultyFs();
    faults.add('open');
    const { audit } = start({ fs });
    await audit.open();
    expect(audit.failing).toBe(true);
    expect(() => audit.ensureWritable()).not.toThrow();
    await audit.close();
  });

  it('under refuse stops calls before they are made, from the start, until it can be written again', async () => {
    const { fs, faults } = faultyFs();
    faults.add('open');
    const { audit, clock } = start({ fs, onError: 'refuse' });
    await audit.open();
    expect(() => audit.ensureWritable()).toThrow(expect.objectContaining({ code: 'audit/unwritable' }));
    clock.advance(1000);
    await until(() => !audit.busy);
    expect(() => audit.ensureWritable()).toThrow();
    faults.clear();
    clock.advance(1000);
    await until(() => !audit.failing);
    expect(() => audit.ensureWritable()).not.toThrow();
    faults.add('write');
    audit.record(call);
    clock.advance(10);
    await until(() => audit.failing);
    expect(() => audit.ensureWritable()).toThrow(expect.objectContaining({ code: 'audit/unwritable' }));
    faults.clear();
    await audit.close();
    expect(await lines()).toHaveLength(1);
    expect(() => audit.ensureWritable()).toThrow();
  });

  it('keeps a bounded queue, counts what does not fit, and refuses calls at half of it', async () => {
    const { fs, faults } = faultyFs();
    faults.add('write');
    const { audit, counts } = start({ fs, queueBytes: 2000 });
    for (let id = 0; id < 100; id++) audit.record({ ...call, requestId: id });
    await until(() => audit.failing);
    expect(counts.lost).toBeGreaterThan(90);
    const waiting = 100 - counts.lost;
    faults.clear();
    await audit.close();
    expect(await ids()).toEqual(Array.from({ length: waiting }, (_, index) => index));
    const stalled = start({ file: '-', stream: new Writable({ write() {} }), onError: 'refuse', queueBytes: 2000 });
    stalled.audit.record(call);
    expect(() => stalled.audit.ensureWritable()).not.toThrow();
    for (let id = 0; id < 3; id++) stalled.audit.record(call);
    expect(() => stalled.audit.ensureWritable()).toThrow();
  });

  it('says at the end what was lost after all', async () => {
    const { fs, faults } = faultyFs();
    faults.add('write');
    const { audit, counts, log, clock } = start({ fs });
    for (let id = 0; id < 5; id++) audit.record({ ...call, requestId: id });
    await audit.close();
    expect(counts.lost).toBe(5);
    expect(log.at(-1)).toMatchObject({ level: 'error', message: 'audit records cannot be written', lost: 5 });
    audit.record(call);
    expect(counts.lost).toBe(6);
    expect(clock.pending).toBe(0);
  });
});
