import { createHmac } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { deriveKey } from '../core/secret.ts';
import { decrypt, encrypt } from './aead.ts';
import type { Keyring, PurposeKey } from './keys.ts';
import { checkRow, checkSpace, MAX_VALUE_BYTES, type Row, type ScanOptions, type SetOptions, type Store, storableId } from './store.ts';

interface RowKeys {
  readonly id: string;
  readonly names: Buffer;
  readonly values: Buffer;
}

/**
 * Hides ids and values of another store (identity.md section 5): rows are named by HMAC-SHA-256 of the id, values are
 * AES-256-GCM with key id, space and row name as additional data, so that a row cannot pass for another. The expiry
 * is sealed in with the value: prolonging a row in the medium does not prolong it here.
 */
export class EncryptedStore implements Store {
  readonly #inner: Store;
  readonly #clock: Clock;
  readonly #keys: readonly [RowKeys, ...RowKeys[]];
  /** One step at a time per row while old keys are about, since a move to the new key is two steps of the medium. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(inner: Store, keys: Keyring, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
    const [first, ...others] = keys.derive('store');
    this.#keys = [rowKeys(first), ...others.map(rowKeys)];
  }

  get(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    return this.#inTurn(space, id, undefined, async () => {
      for (const key of this.#keys) {
        const name = nameOf(key, space, id);
        const sealed = await this.#inner.get(space, name, signal);
        if (sealed === undefined) continue;
        const opened = this.#open(key, space, name, sealed);
        if (opened === undefined) return undefined;
        if (key !== this.#keys[0]) await this.#move(key, space, id, opened);
        return opened.value;
      }
      return undefined;
    });
  }

  async set(space: string, id: string, value: Buffer, options: SetOptions = {}, signal?: AbortSignal): Promise<boolean> {
    checkRow(space, id, value, options.ttl);
    // What encryption adds must not carry a value over the limit of the medium.
    if (value.length > MAX_VALUE_BYTES - 256) throw new TurnpikeError('store/failed', undefined, { reason: `${space}: value is too large` });
    return this.#inTurn(space, id, false, async () => {
      const [current, ...old] = this.#keys;
      if (options.ifAbsent === true) {
        for (const key of old) if ((await this.#inner.get(space, nameOf(key, space, id), signal)) !== undefined) return false;
      }
      const expiresAt = options.ttl === undefined ? Number.POSITIVE_INFINITY : this.#clock.now() + options.ttl;
      const name = nameOf(current, space, id);
      const done = await this.#inner.set(space, name, seal(current, space, name, value, expiresAt), options, signal);
      if (done) for (const key of old) await this.#inner.delete(space, nameOf(key, space, id));
      return done;
    });
  }

  take(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    return this.#inTurn(space, id, undefined, async () => {
      for (const key of this.#keys) {
        const name = nameOf(key, space, id);
        const sealed = await this.#inner.take(space, name, signal);
        if (sealed !== undefined) return this.#open(key, space, name, sealed)?.value;
      }
      return undefined;
    });
  }

  delete(space: string, id: string, signal?: AbortSignal): Promise<boolean> {
    return this.#inTurn(space, id, false, async () => {
      let found = false;
      for (const key of this.#keys) found = (await this.#inner.delete(space, nameOf(key, space, id), signal)) || found;
      return found;
    });
  }

  /** Rows of keys that were dropped are left out: nobody can read them any more, they expire. */
  async scan(prefix: string, options: ScanOptions = {}, signal?: AbortSignal): Promise<readonly Row[]> {
    const rows: Row[] = [];
    for (const row of await this.#inner.scan(prefix, options, signal)) {
      const { id, name } = labelOf(row.value);
      const key = this.#keys.find((candidate) => candidate.id === id);
      const opened = key && this.#open(key, row.space, name, row.value);
      if (opened !== undefined) rows.push({ ...row, value: opened.value });
    }
    return rows;
  }

  #open(key: RowKeys, space: string, name: string, sealed: Buffer): { value: Buffer; expiresAt: number } | undefined {
    const label = labelOf(sealed);
    const plain = label.id === key.id && label.name === name ? decrypt(key.values, label.rest, additional(key.id, space, name)) : undefined;
    if (plain === undefined || plain.length < 8) {
      throw new TurnpikeError('store/failed', undefined, { reason: `a row of ${space} was damaged or changed outside Turnpike` });
    }
    const expiresAt = plain.readDoubleBE(0);
    return expiresAt > this.#clock.now() ? { value: plain.subarray(8), expiresAt } : undefined;
  }

  /** Rewrites a row of an old key under the current one. */
  async #move(old: RowKeys, space: string, id: string, { value, expiresAt }: { value: Buffer; expiresAt: number }): Promise<void> {
    const [current] = this.#keys;
    const name = nameOf(current, space, id);
    const ttl = Number.isFinite(expiresAt) ? { ttl: expiresAt - this.#clock.now() } : {};
    await this.#inner.set(space, name, seal(current, space, name, value, expiresAt), { ...ttl, ifAbsent: true });
    // Gone meanwhile: somebody removed the row through a scan, and it must not come back.
    if (!(await this.#inner.delete(space, nameOf(old, space, id)))) await this.#inner.delete(space, name);
  }

  async #inTurn<T>(space: string, id: string, missing: T, work: () => Promise<T>): Promise<T> {
    checkSpace(space);
    if (!storableId(id)) return missing;
    if (this.#keys.length === 1) return work();
    const row = `${space}\u0000${id}`;
    const turn = (this.#turns.get(row) ?? Promise.resolve()).then(work, work);
    this.#turns.set(row, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(row) === turn) this.#turns.delete(row);
    }
  }
}

function nameOf(key: RowKeys, space: string, id: string): string {
  return createHmac('sha256', key.names).update(`${space}\u0000${id}`).digest('base64url');
}

/** A sealed row: key id and row name, each behind its length, then nonce, ciphertext, tag. */
function seal(key: RowKeys, space: string, name: string, value: Buffer, expiresAt: number): Buffer {
  const plain = Buffer.alloc(8 + value.length);
  plain.writeDoubleBE(expiresAt, 0);
  value.copy(plain, 8);
  return Buffer.concat([withLength(key.id), withLength(name), encrypt(key.values, plain, additional(key.id, space, name))]);
}

function labelOf(sealed: Buffer): { id: string; name: string; rest: Buffer } {
  const idEnd = 1 + (sealed[0] ?? 0);
  const nameEnd = idEnd + 1 + (sealed[idEnd] ?? 0);
  return { id: sealed.toString('utf8', 1, idEnd), name: sealed.toString('utf8', idEnd + 1, nameEnd), rest: sealed.subarray(nameEnd) };
}

function rowKeys({ id, key }: PurposeKey): RowKeys {
  return { id, names: deriveKey(key, 'names'), values: deriveKey(key, 'values') };
}

function additional(id: string, space: string, name: string): Buffer {
  return Buffer.from(JSON.stringify([id, space, name]));
}

/** Key ids and row names have at most 64 bytes. */
function withLength(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}
