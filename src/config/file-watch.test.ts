import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { changedFiles, FileReads, type ReadMark, signatureOf } from './file-reads.ts';
import { FileWatch } from './file-watch.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnpike-watch-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A watch of one made-up file; `advance` lets time pass and every look under way end. */
class Bench {
  readonly clock = new ManualClock();
  signature = 'a';
  read: ReadonlyMap<string, ReadMark> = new Map([['f', { signature: 'a', digest: '' }]]);
  changes = 0;
  readonly watch = new FileWatch({
    clock: this.clock,
    files: () => this.read,
    onChange: () => this.changes++,
    signature: async () => this.signature,
  });

  async advance(ms: number): Promise<number> {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(50);
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    }
    return this.changes;
  }
}

describe('FileWatch', () => {
  it('says nothing while everything is as it was read', async () => {
    expect(await new Bench().advance(10_000)).toBe(0);
  });

  it('says one change within 1.3 s, and again until it was read', async () => {
    const bench = new Bench();
    bench.signature = 'b';
    expect(await bench.advance(1_300)).toBe(1);
    expect(await bench.advance(2_000)).toBe(2);
    bench.read = new Map([['f', { signature: 'b', digest: '' }]]);
    expect(await bench.advance(5_000)).toBe(2);
  });

  it('a burst of changes is one, said when nobody writes any more', async () => {
    const bench = new Bench();
    await bench.advance(900);
    for (let change = 0; change < 10; change++) {
      bench.signature = `b${change}`;
      expect(await bench.advance(200)).toBe(0);
    }
    expect(await bench.advance(600)).toBe(1);
  });

  it('who writes without end is heard after five seconds', async () => {
    const bench = new Bench();
    for (let change = 0; change < 70; change++) {
      bench.signature = `b${change}`;
      await bench.advance(100);
    }
    expect(bench.changes).toBe(1);
  });

  it('what was changed back, and what somebody read meanwhile, is no change', async () => {
    const bench = new Bench();
    bench.signature = 'b';
    await bench.advance(1_000);
    bench.signature = 'a';
    expect(await bench.advance(3_000)).toBe(0);
    bench.signature = 'c';
    await bench.advance(400);
    bench.read = new Map([['f', { signature: 'c', digest: '' }]]);
    expect(await bench.advance(3_000)).toBe(0);
  });

  it('disposed, it looks no more and leaves no timer', async () => {
    const bench = new Bench();
    bench.signature = 'b';
    await bench.advance(1_000);
    bench.watch[Symbol.dispose]();
    expect(await bench.advance(5_000)).toBe(0);
    expect(bench.clock.pending).toBe(0);
  });
});

describe('FileReads', () => {
  /** Kubernetes: `turnpike.yaml` → `..data/turnpike.yaml`, `..data` → a folder by time, replaced by a rename. */
  async function publish(mount: string, version: string, text: string): Promise<void> {
    await mkdir(join(mount, `..${version}`), { recursive: true });
    await writeFile(join(mount, `..${version}`, 'turnpike.yaml'), text);
    await symlink(`..${version}`, join(mount, '..data_tmp'));
    await rename(join(mount, '..data_tmp'), join(mount, '..data'));
  }

  it('sees a ConfigMap that was swapped, also when the content kept its size', async () => {
    const mount = join(folder, 'mount');
    await publish(mount, '1', 'a: 1');
    const file = join(mount, 'turnpike.yaml');
    await symlink('..data/turnpike.yaml', file);
    const first = new FileReads();
    expect(Buffer.from(await first.read(file)).toString()).toBe('a: 1');
    expect(await signatureOf(file)).toBe(first.marks.get(file)?.signature);
    await publish(mount, '2', 'a: 2');
    await rm(join(mount, '..1'), { recursive: true });
    expect(await signatureOf(file)).not.toBe(first.marks.get(file)?.signature);
    const second = new FileReads();
    await second.read(file);
    expect(changedFiles(first.marks, second.marks)).toEqual([file]);
  });

  it('a file that was only touched, or replaced by the same, did not change', async () => {
    const file = join(folder, 'same');
    await writeFile(file, 'x');
    const first = new FileReads();
    await first.read(file);
    await rm(file);
    await writeFile(file, 'x');
    const second = new FileReads();
    await second.read(file);
    expect(second.marks.get(file)?.signature).not.toBe(first.marks.get(file)?.signature);
    expect(changedFiles(first.marks, second.marks)).toEqual([]);
  });

  it('remembers what was not there, so that it is seen when it comes', async () => {
    const file = join(folder, 'later');
    const reads = new FileReads();
    await expect(reads.read(file)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await signatureOf(file)).toBe(reads.marks.get(file)?.signature);
    await writeFile(file, 'x');
    expect(await signatureOf(file)).not.toBe(reads.marks.get(file)?.signature);
  });

  it('what changes while it is read is seen as changed', async () => {
    const file = join(folder, 'racing');
    await writeFile(file, 'one');
    const reads = new FileReads(async (path) => {
      await writeFile(path, 'another');
      return Buffer.from('one');
    });
    await reads.read(file);
    expect(await signatureOf(file)).not.toBe(reads.marks.get(file)?.signature);
  });
});
