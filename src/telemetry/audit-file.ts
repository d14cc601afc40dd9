import { mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../core/clock.ts';

/** The part of `fs.promises.FileHandle` that is used. */
export interface AuditHandle {
  write(bytes: Uint8Array, offset: number): Promise<{ readonly bytesWritten: number }>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  stat(): Promise<FileFacts>;
  chmod(mode: number): Promise<void>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileFacts {
  readonly size: number;
  readonly ino: number;
  readonly dev: number;
}

/** The part of `fs.promises` that is used: tests pass one that fails. */
export interface AuditFs {
  open(path: string, flags: string, mode: number): Promise<AuditHandle>;
  stat(path: string): Promise<FileFacts>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  mkdir(path: string, options: { recursive: true; mode: number }): Promise<unknown>;
}

const NODE_FS: AuditFs = { open, stat, rename, unlink, mkdir };

/** Takes whole lines. A chunk that was refused is offered again, the same buffer, until it is taken. */
export interface AuditSink {
  /** Makes ready to write; throws the cause when that cannot be. Idempotent. */
  open(): Promise<void>;
  /** Resolves when every byte is with the operating system; throws the cause when not. */
  write(chunk: Buffer): Promise<void>;
  close(): Promise<void>;
}

export interface AuditFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Bytes after which the file is rotated. */
  readonly maxBytes: number;
  /** Files kept, the current one included. */
  readonly files: number;
  /** Told when a rotation fails; writing goes on in the full file. */
  readonly onRotateError: (error: unknown) => void;
  readonly fs?: AuditFs;
}

/** How often the name is compared with the open file: it may have been moved or deleted under our hands. */
const CHECK_MS = 1000;
const ROTATE_RETRY_MS = 60_000;
const NEWLINE = 0x0a;
/** After these the handle itself is still good. */
const FULL: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EAGAIN', 'EINTR']);

interface OpenFile {
  readonly handle: AuditHandle;
  readonly ino: number;
  readonly dev: number;
  size: number;
  /** The file ends inside a line: of a process that died, or of a write that failed. */
  torn: boolean;
  checkedAt: number;
}

/** An append-only file of lines, 0600, rotated by size: `audit.jsonl`, `audit.jsonl.1` (the newest), … Never truncates. */
export class AuditFile implements AuditSink {
  readonly #options: AuditFileOptions;
  readonly #fs: AuditFs;
  #file: OpenFile | undefined;
  /** After a rotation that failed: not before (monotonic ms). */
  #rotateFrom = 0;
  /** How much of which chunk the open file holds already. */
  #partial: { readonly chunk: Buffer; readonly written: number } | undefined;

  constructor(options: AuditFileOptions) {
    this.#options = options;
    this.#fs = options.fs ?? NODE_FS;
  }

  async open(): Promise<void> {
    this.#file ??= await this.#open();
  }

  async write(chunk: Buffer): Promise<void> {
    const file = await this.#fileFor(chunk);
    try {
      if (file.torn) {
        await append(file, Buffer.from('\n'), 0);
        file.torn = false;
      }
      let written = this.#partial?.chunk === chunk ? this.#partial.written : 0;
      while (written < chunk.length) {
        written += await append(file, chunk, written);
        this.#partial = { chunk, written };
      }
      this.#partial = undefined;
    } catch (error) {
      if (!FULL.has(codeOf(error))) await this.#drop();
      throw error;
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    await file.handle.datasync().catch(() => undefined);
    await this.#drop();
  }

  /** The file the chunk goes to: opened, still under its name, and with room. */
  async #fileFor(chunk: Buffer): Promise<OpenFile> {
    await this.#check(CHECK_MS);
    this.#file ??= await this.#open();
    if (this.#isFull(chunk)) {
      // Another process may share the file and have rotated it just now.
      await this.#check(0);
      if (this.#isFull(chunk)) await this.#rotate();
      this.#file ??= await this.#open();
    }
    return this.#file;
  }

  #isFull(chunk: Buffer): boolean {
    const size = this.#file?.size ?? 0;
    const isBegun = this.#partial?.chunk === chunk;
    return !isBegun && size > 0 && size + chunk.length > this.#options.maxBytes && this.#options.clock.monotonic() >= this.#rotateFrom;
  }

  async #check(afterMs: number): Promise<void> {
    const file = this.#file;
    const now = this.#options.clock.monotonic();
    if (file === undefined || now - file.checkedAt < afterMs) return;
    file.checkedAt = now;
    const facts = await this.#fs.stat(this.#options.path).catch(() => undefined);
    if (facts === undefined || facts.ino !== file.ino || facts.dev !== file.dev) await this.#drop();
    else file.size = facts.size;
  }

  async #open(): Promise<OpenFile> {
    const { path, clock } = this.#options;
    await this.#fs.mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const handle = await this.#fs.open(path, 'a+', 0o600);
    try {
      await handle.chmod(0o600);
      const { size, ino, dev } = await handle.stat();
      return { handle, ino, dev, size, torn: size > 0 && !(await endsLine(handle, size)), checkedAt: clock.monotonic() };
    } catch (error) {
      await handle.close().catch(() => undefined);
      throw error;
    }
  }

  async #rotate(): Promise<void> {
    const { path, files, onRotateError } = this.#options;
    try {
      const names = [path, ...Array.from({ length: files - 1 }, (_, index) => `${path}.${index + 1}`)];
      await this.#fs.unlink(names.at(-1) ?? path).catch(ignoreMissing);
      for (let index = names.length - 2; index >= 0; index--) {
        await this.#fs.rename(names[index] ?? path, names[index + 1] ?? path).catch(ignoreMissing);
      }
      await this.#drop();
    } catch (error) {
      this.#rotateFrom = this.#options.clock.monotonic() + ROTATE_RETRY_MS;
      onRotateError(error);
    }
  }

  /** Lets the handle go. What it took of a chunk is written again, in full, to the next file: twice is better than not at all. */
  async #drop(): Promise<void> {
    const handle = this.#file?.handle;
    this.#file = undefined;
    this.#partial = undefined;
    await handle?.close().catch(() => undefined);
  }
}

/** Lines to a stream such as standard error (`telemetry.audit.file: "-"`). */
export class AuditStream implements AuditSink {
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  async open(): Promise<void> {}

  write(chunk: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** The stream is not ours to end. */
  async close(): Promise<void> {}
}

async function append(file: OpenFile, bytes: Buffer, offset: number): Promise<number> {
  const { bytesWritten } = await file.handle.write(bytes, offset);
  // A write of nothing that is no error would be tried for ever.
  if (bytesWritten === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' });
  file.size += bytesWritten;
  return bytesWritten;
}

async function endsLine(handle: AuditHandle, size: number): Promise<boolean> {
  const last = Buffer.alloc(1);
  await handle.read(last, 0, 1, size - 1);
  return last[0] === NEWLINE;
}

function ignoreMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
