import { statSync } from 'node:fs';
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { Clock, Timer } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { privateFile } from './private-file.ts';
import { checkRow, checkSpace, DEFAULT_SCAN_LIMIT, type Row, type ScanOptions, type SetOptions, type Store, storableId } from './store.ts';

const SCHEMA_VERSION = 1;
const SWEEP_INTERVAL = 60_000;
/** Rows per sweep statement: each blocks the loop. */
const SWEEP_ROWS = 500;

const SQL = {
  get: 'SELECT value FROM rows WHERE space = ? AND id = ? AND (expires IS NULL OR expires > ?)',
  set: 'INSERT INTO rows (space, id, value, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, expires = excluded.expires',
  setIfAbsent:
    'INSERT INTO rows (space, id, value, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, expires = excluded.expires WHERE rows.expires <= ?',
  take: 'DELETE FROM rows WHERE space = ? AND id = ? AND (expires IS NULL OR expires > ?) RETURNING value',
  delete: 'DELETE FROM rows WHERE space = ? AND id = ? AND (expires IS NULL OR expires > ?)',
  // '0' follows '/' in ASCII: everything below a prefix lies between the two.
  scan: "SELECT space, id, value, expires FROM rows WHERE (space = ?1 OR (space > ?1 || '/' AND space < ?1 || '0')) AND (space, id) > (?2, ?3) AND (expires IS NULL OR expires > ?4) ORDER BY space, id LIMIT ?5",
  sweep: 'DELETE FROM rows WHERE (space, id) IN (SELECT space, id FROM rows WHERE expires <= ? LIMIT ?)',
  ping: 'SELECT count(*) FROM (SELECT 1 FROM rows LIMIT 1)',
} as const;

/** A store in one SQLite file, for one process: a second one on the same file is refused (identity.md section 11). */
export class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #clock: Clock;
  /** Device and inode of the file that is open. */
  readonly #place: string;
  readonly #statements = new Map<string, StatementSync>();
  #sweep: Timer | undefined;

  /** Use `SqliteStore.open`. */
  private constructor(db: DatabaseSync, path: string, place: string, clock: Clock) {
    this.#db = db;
    this.#path = path;
    this.#place = place;
    this.#clock = clock;
  }

  /**
   * Opens or makes the database, mode 0600.
   * @throws `store/failed` naming the path and the fix: not writable, not a database, in use, from a newer version.
   */
  static async open(path: string, clock: Clock): Promise<SqliteStore> {
    privateFile(path);
    const { DatabaseSync } = await import('node:sqlite');
    let db: DatabaseSync | undefined;
    let place: string;
    try {
      db = new DatabaseSync(path);
      prepare(db, path);
      place = placeOf(path);
    } catch (error) {
      db?.close();
      throw error instanceof TurnpikeError ? error : openError(path, error);
    }
    const store = new SqliteStore(db, path, place, clock);
    store.#arm(SWEEP_INTERVAL);
    return store;
  }

  async get(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    signal?.throwIfAborted();
    checkSpace(space);
    if (!storableId(id)) return undefined;
    return bytes(this.#one('get', space, Buffer.from(id), this.#clock.now())?.value);
  }

  async set(space: string, id: string, value: Buffer, options: SetOptions = {}, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    checkRow(space, id, value, options.ttl);
    const now = this.#clock.now();
    const row = [space, Buffer.from(id), value, options.ttl === undefined ? null : Math.ceil(now + options.ttl)];
    return options.ifAbsent === true ? this.#change('setIfAbsent', ...row, now) : this.#change('set', ...row);
  }

  async take(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    signal?.throwIfAborted();
    checkSpace(space);
    if (!storableId(id)) return undefined;
    return bytes(this.#one('take', space, Buffer.from(id), this.#clock.now())?.value);
  }

  async delete(space: string, id: string, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    checkSpace(space);
    return storableId(id) && this.#change('delete', space, Buffer.from(id), this.#clock.now());
  }

  async scan(prefix: string, options: ScanOptions = {}, signal?: AbortSignal): Promise<readonly Row[]> {
    signal?.throwIfAborted();
    checkSpace(prefix);
    const [afterSpace = '', afterId = ''] = options.after?.position.split('\u0000') ?? [];
    const after = Buffer.from(afterId, 'base64url');
    const found = this.#guard(() =>
      this.#statement('scan').all(prefix, afterSpace, after, this.#clock.now(), Math.max(0, options.limit ?? DEFAULT_SCAN_LIMIT)),
    );
    return found.map(({ space, id, value, expires }) => {
      const name = String(space);
      const key = bytes(id) ?? Buffer.alloc(0);
      return {
        space: name,
        value: bytes(value) ?? Buffer.alloc(0),
        position: `${name}\u0000${key.toString('base64url')}`,
        remove: async () => this.#change('delete', name, key, this.#clock.now()),
        ...(typeof expires === 'number' ? { expiresAt: expires } : {}),
      };
    });
  }

  /** Throws `store/failed` when the file cannot be read, or is not the one that was opened: what is written to that is lost at the next start. */
  async ping(): Promise<void> {
    this.#guard(() => {
      if (placeOf(this.#path) !== this.#place) throw new Error('another file lies there now');
    });
    this.#one('ping');
  }

  /** Idempotent. */
  close(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#statements.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #statement(name: keyof typeof SQL): StatementSync {
    let statement = this.#statements.get(name);
    if (statement === undefined) {
      statement = this.#db.prepare(SQL[name]);
      this.#statements.set(name, statement);
    }
    return statement;
  }

  #one(name: keyof typeof SQL, ...values: SQLInputValue[]): Record<string, unknown> | undefined {
    return this.#guard(() => this.#statement(name).get(...values));
  }

  #change(name: keyof typeof SQL, ...values: SQLInputValue[]): boolean {
    return this.#guard(() => Number(this.#statement(name).run(...values).changes) > 0);
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new TurnpikeError('store/failed', undefined, { reason: `${this.#path}: ${text(error)}`, cause: error });
    }
  }

  #arm(ms: number): void {
    this.#sweep = this.#clock.after(ms, () => {
      let full = false;
      try {
        full = Number(this.#statement('sweep').run(this.#clock.now(), SWEEP_ROWS).changes) === SWEEP_ROWS;
      } catch {
        // Expired rows are invisible anyway; whoever reads or writes next reports what is wrong with the file.
      }
      this.#arm(full ? 100 : SWEEP_INTERVAL);
    });
  }
}

function placeOf(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

function prepare(db: DatabaseSync, path: string): void {
  // Exclusive: a second process on the file is refused; the lock ends with the process, whatever ends it.
  db.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
  db.exec('BEGIN IMMEDIATE');
  const version = Number(db.prepare('PRAGMA user_version').get()?.user_version);
  if (version > SCHEMA_VERSION) {
    const message = `${path} was written by a newer Turnpike (schema ${version}, this one knows ${SCHEMA_VERSION}); use that version, or another store.dir`;
    throw new TurnpikeError('store/failed', message, { reason: message });
  }
  db.exec(
    `CREATE TABLE IF NOT EXISTS rows (space TEXT NOT NULL, id BLOB NOT NULL, value BLOB NOT NULL, expires INTEGER, PRIMARY KEY (space, id)) STRICT, WITHOUT ROWID;
     CREATE INDEX IF NOT EXISTS rows_expires ON rows (expires) WHERE expires IS NOT NULL;
     PRAGMA user_version = ${SCHEMA_VERSION};
     COMMIT;`,
  );
}

function openError(path: string, error: unknown): TurnpikeError {
  const cause = text(error);
  const fix = /locked|busy/i.test(cause)
    ? 'another process uses it; stop that one or set another store.dir'
    : /not a database|malformed|corrupt/i.test(cause)
      ? 'it is damaged or not a database; restore it from a backup, or move it away to start empty'
      : 'make it and its directory writable for the user that runs Turnpike';
  const message = `store ${path} cannot be opened (${cause}): ${fix}`;
  return new TurnpikeError('store/failed', message, { reason: message, cause: error });
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function bytes(value: unknown): Buffer | undefined {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : undefined;
}
