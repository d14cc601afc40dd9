import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { KEY_FILE, randomKey } from './keys.ts';
import { DATABASE_FILE, openStore, type StoreConfig } from './open.ts';
import { SqliteStore } from './sqlite.ts';

let base: string;
let dir: string;
const clock = new ManualClock();
const open = (more: Partial<StoreConfig> = {}) => openStore({ type: 'sqlite', dir, ...more }, clock);

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'turnpike-open-'));
  dir = join(base, 'state', 'turnpike');
});
afterEach(() => {
  expect(clock.pending).toBe(0);
  rmSync(base, { recursive: true, force: true });
});

describe('opening a store', () => {
  it('keeps memory in memory', async () => {
    await using memory = await openStore({ type: 'memory' }, clock);
    await memory.store.set('a', 'x', Buffer.from('v'), { ttl: 1_000 });
    await memory.ping();
    expect(memory.keys.derive('x').length).toBe(1);
  });

  it('keeps SQLite in a private directory, in private files', async () => {
    await using sqlite = await open();
    await sqlite.store.set('a', 'x', Buffer.from('v'));
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(dir)) expect([name, statSync(join(dir, name)).mode & 0o777]).toEqual([name, 0o600]);
    expect(readdirSync(dir)).toContain(KEY_FILE);
  });

  it('is not reachable when its file was deleted or replaced, and says where', async () => {
    await using sqlite = await open();
    await sqlite.ping();
    const file = join(dir, DATABASE_FILE);
    renameSync(file, `${file}.gone`);
    await expect(sqlite.ping()).rejects.toMatchObject({ code: 'store/failed', details: { reason: expect.stringContaining(file) } });
    writeFileSync(file, '');
    await expect(sqlite.ping()).rejects.toMatchObject({ code: 'store/failed', details: { reason: expect.stringContaining('another file') } });
    renameSync(`${file}.gone`, file);
    await sqlite.ping();
  });

  it('finds rows and keys again after a restart', async () => {
    const first = await open();
    await first.store.set('a', 'x', Buffer.from('v'));
    const [key] = first.keys.derive('seal');
    await first.close();
    await first.close();
    await using second = await open();
    expect((await second.store.get('a', 'x'))?.toString()).toBe('v');
    expect(second.keys.derive('seal')[0]).toEqual(key);
  });

  it('writes neither ids nor values readable', async () => {
    const sqlite = await open();
    await sqlite.store.set('a', 'sentinel-id-5c1d', Buffer.from('sentinel-value-5c1d'));
    await sqlite.store.get('a', 'sentinel-id-5c1d');
    const files = () => Buffer.concat(readdirSync(dir).map((name) => readFileSync(join(dir, name)))).toString('latin1');
    expect(files()).not.toContain('sentinel');
    await sqlite.close();
    expect(files()).not.toContain('sentinel');
  });

  it('rotates: rows of the old key are read, move on touch, and survive its end', async () => {
    const [old, next] = [randomKey(), randomKey()];
    const first = await open({ encryptionKeys: [old] });
    for (const id of ['read', 'untouched', 'deleted']) await first.store.set('a', id, Buffer.from(id), { ttl: 1_000_000 });
    await first.close();
    const both = await open({ encryptionKeys: [next, old] });
    expect((await both.store.get('a', 'read'))?.toString()).toBe('read');
    expect(await both.store.set('a', 'untouched', Buffer.from('no'), { ifAbsent: true })).toBe(false);
    expect(await both.store.delete('a', 'deleted')).toBe(true);
    expect((await both.store.scan('a')).map((row) => row.value.toString()).sort()).toEqual(['read', 'untouched']);
    await both.close();
    await using last = await open({ encryptionKeys: [next] });
    expect((await last.store.get('a', 'read'))?.toString()).toBe('read');
    expect(await last.store.get('a', 'untouched')).toBeUndefined();
    expect((await last.store.scan('a')).map((row) => row.value.toString())).toEqual(['read']);
    clock.advance(1_000_000);
    expect(await last.store.get('a', 'read')).toBeUndefined();
  });

  it('goes on with a key file when keys are configured later', async () => {
    const first = await open();
    await first.store.set('a', 'x', Buffer.from('v'));
    await first.close();
    await using second = await open({ encryptionKeys: [randomKey()] });
    expect((await second.store.get('a', 'x'))?.toString()).toBe('v');
  });
});

describe('refusing to open', () => {
  const path = () => join(dir, DATABASE_FILE);

  it('a database whose key is lost or exchanged, without touching it', async () => {
    const first = await open();
    await first.store.set('a', 'x', Buffer.from('v'));
    await first.close();
    const kept = readFileSync(join(dir, KEY_FILE));
    rmSync(join(dir, KEY_FILE));
    await expect(open()).rejects.toThrow(`${path()} cannot be decrypted: none of the keys is one it was written with; restore the key`);
    writeFileSync(join(dir, KEY_FILE), kept, { mode: 0o600 });
    const again = await open();
    expect((await again.store.get('a', 'x'))?.toString()).toBe('v');
    await again.close();
  });

  it('a key id that named another key', async () => {
    await (await open({ encryptionKeys: [{ ...randomKey(), id: 'k1' }] })).close();
    await expect(open({ encryptionKeys: [{ ...randomKey(), id: 'k1' }] })).rejects.toThrow('key id k1 named another key before');
  });

  it('a directory that others may enter', async () => {
    mkdirSync(dir, { recursive: true });
    chmodSync(dir, 0o755);
    await expect(open()).rejects.toThrow(`store directory ${dir} is open to other users (mode 755); run: chmod 700 ${dir}`);
    expect(readdirSync(dir)).toEqual([]);
  });

  it('a directory that cannot be made', async () => {
    writeFileSync(join(base, 'state'), 'a file');
    await expect(open()).rejects.toThrow(`store directory ${dir} cannot be made`);
  });

  it('a file that is no database, or a directory in its place, or of a newer version', async () => {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    writeFileSync(path(), 'this is certainly not a database, whatever its name says'.repeat(100));
    await expect(open()).rejects.toThrow(/turnpike\.db cannot be opened .*: it is damaged or not a database; restore it/);
    rmSync(path());
    mkdirSync(path());
    await expect(open()).rejects.toThrow(`${path()} cannot be opened for writing`);
    rmSync(path(), { recursive: true });
    const { DatabaseSync } = await import('node:sqlite');
    const newer = new DatabaseSync(path());
    newer.exec('PRAGMA user_version = 99');
    newer.close();
    await expect(open()).rejects.toThrow('was written by a newer Turnpike (schema 99');
    expect(existsSync(join(dir, KEY_FILE))).toBe(false);
  });

  it('a file that another process uses, and not once that one was killed', async () => {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const code = `
      const { SqliteStore } = await import(${JSON.stringify(new URL('./sqlite.ts', import.meta.url).href)});
      const { systemClock } = await import(${JSON.stringify(new URL('../core/clock.ts', import.meta.url).href)});
      const store = await SqliteStore.open(${JSON.stringify(path())}, systemClock);
      await store.set('a', 'x', Buffer.from('v'));
      process.stdout.write('open');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve, reject) => {
        child.stdout.once('data', resolve);
        child.once('exit', () => reject(new Error('the child ended')));
      });
      await expect(SqliteStore.open(path(), clock)).rejects.toThrow(/another process uses it; stop that one or set another store\.dir/);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      const store = await SqliteStore.open(path(), clock);
      expect((await store.get('a', 'x'))?.toString()).toBe('v');
      store.close();
    } finally {
      child.kill('SIGKILL');
    }
  });
});
