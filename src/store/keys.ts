import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TurnpikeError } from '../core/errors.ts';
import { deriveKey, Secret, sha256 } from '../core/secret.ts';
import { checkPrivate } from './private-file.ts';

/** One entry of `store.encryptionKeys`. */
export interface ConfiguredKey {
  /** 1 to 64 letters, digits, `.`, `_`, `-`; stands readable beside what the key encrypted. */
  readonly id: string;
  /** 32 bytes in base64 or base64url. */
  readonly key: Secret;
}

/** A key derived for one purpose. */
export interface PurposeKey {
  readonly id: string;
  readonly key: Buffer;
}

export const KEY_FILE = 'turnpike.key';
const KEY_BYTES = 32;
const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;
const WEAK = 'encryption key must be 32 random bytes';

/** The master keys: the first encrypts, all decrypt. They are never used themselves, only what is derived from them. */
export class Keyring {
  readonly #keys: readonly { readonly id: string; readonly master: Buffer }[];

  /** @throws `config/invalid` on a bad or doubled id, or a weak key. */
  constructor(keys: readonly ConfiguredKey[]) {
    const seen = new Set<string>();
    this.#keys = keys.map(({ id, key }) => {
      if (!KEY_ID.test(id)) throw new TurnpikeError('config/invalid', 'encryption key id must be 1 to 64 letters, digits, `.`, `_` or `-`');
      if (seen.has(id)) throw new TurnpikeError('config/invalid', `encryption key id ${id} stands twice`);
      seen.add(id);
      const master = parseKey(key);
      if (master === undefined) throw new TurnpikeError('config/invalid', `${WEAK} (id ${id})`);
      return { id, master };
    });
    if (this.#keys.length === 0) throw new TurnpikeError('internal', undefined, { reason: 'keyring without a key' });
  }

  /** Keys for one purpose (HKDF-SHA-256), the current one first. Different purposes never share a key. */
  derive(purpose: string): readonly [PurposeKey, ...PurposeKey[]] {
    const [first, ...others] = this.#keys.map(({ id, master }) => ({ id, key: deriveKey(master, purpose) }));
    return [first as PurposeKey, ...others];
  }
}

/** The bytes of a key; undefined when it is not 32 strictly encoded bytes that look random (identity.md section 5). */
export function parseKey(key: Secret): Buffer | undefined {
  const text = key.reveal();
  const bytes = Buffer.from(text, 'base64');
  const canonical = [bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('base64').replace(/=+$/, '')];
  if (bytes.length !== KEY_BYTES || !canonical.includes(text)) return undefined;
  // 16 distinct values at least: rules out all zeros, repeated words and patterns; 32 random bytes have about 30.
  return new Set(bytes).size >= 16 ? bytes : undefined;
}

/** A new key with an id that names it, not what it contains. */
export function randomKey(): ConfiguredKey {
  for (;;) {
    const key = new Secret(randomBytes(KEY_BYTES).toString('base64'));
    const bytes = parseKey(key);
    if (bytes !== undefined) return { id: keyId(bytes), key };
  }
}

function keyId(bytes: Buffer): string {
  return `f${sha256(deriveKey(bytes, 'key-id')).toString('hex').slice(0, 12)}`;
}

export interface KeySource {
  readonly configured: readonly ConfiguredKey[];
  /** Where `turnpike.key` lies or is made when nothing is configured; absent: a random key that ends with the process. */
  readonly dir?: string;
}

/**
 * The keys of identity.md section 5. With configured keys, a `turnpike.key` from before still decrypts.
 * @throws `config/invalid` for what is configured; `store/failed` naming path and fix for the file.
 */
export function loadKeys({ configured, dir }: KeySource): Keyring {
  if (dir === undefined) return new Keyring(configured.length > 0 ? configured : [randomKey()]);
  const path = join(dir, KEY_FILE);
  const filed = readKeyFile(path);
  if (configured.length > 0) {
    const another = filed !== undefined && !configured.some(({ id }) => id === filed.id);
    return new Keyring(another ? [...configured, filed] : configured);
  }
  return new Keyring([filed ?? makeKeyFile(path)]);
}

function readKeyFile(path: string): ConfiguredKey | undefined {
  let handle: number;
  try {
    handle = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(path, error);
  }
  try {
    checkPrivate(path, fstatSync(handle).mode);
    const key = new Secret(readFileSync(handle, 'utf8').trim());
    const bytes = parseKey(key);
    if (bytes === undefined) {
      const message = `${path} is damaged: ${WEAK} in base64; restore it from a backup, or move it and the database away to start empty`;
      throw new TurnpikeError('store/failed', message, { reason: message });
    }
    return { id: keyId(bytes), key };
  } catch (error) {
    throw error instanceof TurnpikeError ? error : fileError(path, error);
  } finally {
    closeSync(handle);
  }
}

function makeKeyFile(path: string): ConfiguredKey {
  const made = randomKey();
  // Written whole under another name, then linked: whoever looks sees no key or all of it, and of two makers one wins.
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    const handle = openSync(draft, 'wx', 0o600);
    try {
      writeSync(handle, `${made.key.reveal()}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    try {
      linkSync(draft, path);
      return made;
    } catch (error) {
      const winner = (error as NodeJS.ErrnoException).code === 'EEXIST' ? readKeyFile(path) : undefined;
      if (winner === undefined) throw error;
      return winner;
    }
  } catch (error) {
    throw error instanceof TurnpikeError ? error : fileError(path, error);
  } finally {
    rmSync(draft, { force: true });
  }
}

function fileError(path: string, error: unknown): TurnpikeError {
  const cause = error instanceof Error ? error.message : String(error);
  const message = `${path} cannot be read or made (${cause}); make it and its directory accessible to the user that runs Turnpike, or set store.encryptionKeys`;
  return new TurnpikeError('store/failed', message, { reason: message, cause: error });
}
