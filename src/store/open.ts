import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { sameDigest, sha256 } from '../core/secret.ts';
import { EncryptedStore } from './encrypted.ts';
import { type ConfiguredKey, KEY_FILE, type Keyring, loadKeys } from './keys.ts';
import { MemoryStore } from './memory.ts';
import { privateDirectory } from './private-file.ts';
import { SqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';

/** The `store` section of the configuration, as far as it concerns stores. */
export interface StoreConfig {
  readonly type: 'memory' | 'sqlite';
  /** For `sqlite`: holds the database and `turnpike.key`; made with mode 0700. */
  readonly dir?: string;
  readonly encryptionKeys?: readonly ConfiguredKey[];
}

export interface OpenStore extends AsyncDisposable {
  readonly store: Store;
  /** Where sealing, fingerprint and cookie keys are derived from. */
  readonly keys: Keyring;
  /** Throws `store/failed` when the store cannot be reached: for `/readyz`. */
  ping(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

export const DATABASE_FILE = 'turnpike.db';
/** Plain rows, one per key that ever encrypted here: key id → digest derived from the key. */
const KEY_MARKS = 'turnpike/keys';

/**
 * Opens the configured store. Memory needs no encryption; SQLite is always encrypted.
 * @throws `config/invalid` for keys that are configured badly; `store/failed` for the medium, naming path and fix.
 */
export async function openStore(config: StoreConfig, clock: Clock): Promise<OpenStore> {
  const configured = config.encryptionKeys ?? [];
  if (config.type === 'memory') {
    const memory = new MemoryStore(clock);
    return opened(memory, loadKeys({ configured }), async () => {}, memory);
  }
  const { dir } = config;
  if (dir === undefined) throw new TurnpikeError('config/invalid', 'store.dir is needed for store.type sqlite');
  privateDirectory(dir);
  const path = join(dir, DATABASE_FILE);
  const database = await SqliteStore.open(path, clock);
  try {
    // After the database: its lock decides which of two processes makes the key.
    const keys = loadKeys({ configured, dir });
    await checkMarks(database, keys, path);
    return opened(new EncryptedStore(database, keys, clock), keys, () => database.ping(), database);
  } catch (error) {
    database.close();
    throw error;
  }
}

function opened(store: Store, keys: Keyring, ping: () => Promise<void>, medium: { close(): void }): OpenStore {
  const close = async () => medium.close();
  return { store, keys, ping, close, [Symbol.asyncDispose]: close };
}

/** A lost or exchanged key must stop the start: with a wrong key every row would silently look absent. */
async function checkMarks(database: Store, keys: Keyring, path: string): Promise<void> {
  const marks = keys.derive('store/mark').map(({ id, key }) => ({ id, digest: sha256(key) }));
  let known = false;
  for (const { id, digest } of marks) {
    const mark = await database.get(KEY_MARKS, id);
    if (mark === undefined) continue;
    if (!sameDigest(mark, digest)) throw wrongKey(path, `key id ${id} named another key before`);
    known = true;
  }
  if (!known && (await database.scan(KEY_MARKS, { limit: 1 })).length > 0) throw wrongKey(path, 'none of the keys is one it was written with');
  const [current] = marks;
  if (current !== undefined) await database.set(KEY_MARKS, current.id, current.digest);
}

function wrongKey(path: string, fault: string): TurnpikeError {
  const message = `${path} cannot be decrypted: ${fault}; restore the key (${KEY_FILE} beside it, or store.encryptionKeys), or move the database away to start empty`;
  return new TurnpikeError('store/failed', message, { reason: message });
}
