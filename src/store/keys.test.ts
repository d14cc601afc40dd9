import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../core/secret.ts';
import { KEY_FILE, Keyring, loadKeys, parseKey, randomKey } from './keys.ts';

const configured = (id: string, bytes: Buffer | string) => ({ id, key: new Secret(typeof bytes === 'string' ? bytes : bytes.toString('base64')) });
const good = Buffer.from(Array.from({ length: 32 }, (_, at) => at));

describe('keyring', () => {
  it('refuses what is not 32 random bytes, strictly encoded', () => {
    const weak = [
      Buffer.alloc(32),
      Buffer.alloc(32, 'ab'),
      Buffer.from('passwordpasswordpasswordpassword'),
      good.subarray(1),
      Buffer.concat([good, good]),
      Buffer.from(Array.from({ length: 32 }, (_, at) => at % 15)),
    ];
    for (const bytes of weak) {
      expect(() => new Keyring([configured('k', bytes)])).toThrow('encryption key must be 32 random bytes');
    }
    for (const text of ['', `${good.toString('base64')}!`, ` ${good.toString('base64')}`, good.toString('hex')]) {
      expect(parseKey(new Secret(text))).toBeUndefined();
    }
    expect(parseKey(new Secret(good.toString('base64')))).toEqual(good);
    expect(parseKey(new Secret(good.toString('base64url')))).toEqual(good);
    expect(parseKey(configured('k', Buffer.from(Array.from({ length: 32 }, (_, at) => at % 16))).key)).toBeDefined();
  });

  it('refuses bad and doubled ids', () => {
    for (const id of ['', 'a b', '../x', 'x'.repeat(65)]) expect(() => new Keyring([configured(id, good)])).toThrow('encryption key id');
    expect(() => new Keyring([configured('k', good), configured('k', good)])).toThrow('encryption key id k stands twice');
  });

  it('derives another key per purpose and per master, the same every time, and shows none', () => {
    const keys = new Keyring([configured('k1', good), randomKey()]);
    const a = keys.derive('a');
    expect(a.map(({ id }) => id)[0]).toBe('k1');
    expect(a[0].key.length).toBe(32);
    expect(a[0].key).toEqual(keys.derive('a')[0].key);
    expect(new Set([a[0], a[1], keys.derive('b')[0]].map((each) => each?.key.toString('hex'))).size).toBe(3);
    expect(a[0].key).not.toEqual(good);
    expect(inspect(keys, { depth: 9, showHidden: true }) + JSON.stringify(keys)).not.toContain(good.toString('base64'));
  });
});

describe('loading keys', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'turnpike-keys-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const fingerprint = (keys: Keyring) => keys.derive('test').map(({ id, key }) => `${id} ${key.toString('hex')}`);

  it('makes a private file once, and reads it ever after', () => {
    const first = loadKeys({ configured: [], dir });
    expect(statSync(join(dir, KEY_FILE)).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toEqual([KEY_FILE]);
    expect(fingerprint(loadKeys({ configured: [], dir }))).toEqual(fingerprint(first));
  });

  it('makes no file when keys are configured, and keeps an earlier file as an old key', () => {
    expect(fingerprint(loadKeys({ configured: [configured('k1', good)], dir })).length).toBe(1);
    expect(existsSync(join(dir, KEY_FILE))).toBe(false);
    const before = fingerprint(loadKeys({ configured: [], dir }));
    const after = fingerprint(loadKeys({ configured: [configured('k1', good)], dir }));
    expect(after).toEqual([after[0], ...before]);
    expect(after[0]).toMatch(/^k1 /);
  });

  it('is random per process without a directory', () => {
    expect(fingerprint(loadKeys({ configured: [] }))).not.toEqual(fingerprint(loadKeys({ configured: [] })));
  });

  it('names path and fix of a file that is damaged, open to others, or not readable', () => {
    const path = join(dir, KEY_FILE);
    for (const content of ['', 'not a key', good.toString('base64').slice(1)]) {
      writeFileSync(path, content, { mode: 0o600 });
      expect(() => loadKeys({ configured: [], dir })).toThrow(
        `${path} is damaged: encryption key must be 32 random bytes in base64; restore it from a backup`,
      );
      expect(readFileSync(path, 'utf8')).toBe(content);
    }
    writeFileSync(path, good.toString('base64'));
    chmodSync(path, 0o640);
    expect(() => loadKeys({ configured: [], dir })).toThrow(`${path} is open to other users (mode 640); run: chmod 600 ${path}`);
    const missing = join(dir, 'missing');
    expect(() => loadKeys({ configured: [], dir: missing })).toThrow(`${join(missing, KEY_FILE)} cannot be read or made`);
  });
});
