import { stat } from 'node:fs/promises';
import { sha256 } from '../core/secret.ts';
import { MAX_FILE_BYTES } from './document.ts';
import type { ReadFile } from './references.ts';
import { readFileBounded } from './sources.ts';

/** What a file was when it was read. */
export interface ReadMark {
  /** As `signatureOf` gave it before the file was read: whatever is written later shows. */
  readonly signature: string;
  /** Of the content; that of a file that could not be read names the reason. Tells contents apart, and is never printed. */
  readonly digest: string;
}

/** The files that one load of the configuration read, those that were not there included. */
export class FileReads {
  readonly #marks = new Map<string, ReadMark>();
  readonly #readFile: ReadFile;

  /** @param readFile default: the file system */
  constructor(readFile: ReadFile = (path) => readFileBounded(path, MAX_FILE_BYTES)) {
    this.#readFile = readFile;
  }

  /** By path. */
  get marks(): ReadonlyMap<string, ReadMark> {
    return this.#marks;
  }

  /** Reads a file and remembers it; give it to `loadConfig`. Rejects as the file system does. */
  readonly read: ReadFile = async (path) => {
    const signature = await signatureOf(path);
    try {
      const bytes = await this.#readFile(path);
      this.#marks.set(path, { signature, digest: sha256(bytes).toString('base64url') });
      return bytes;
    } catch (error) {
      this.#marks.set(path, { signature, digest: `unreadable: ${codeOf(error)}` });
      throw error;
    }
  };
}

/** Files that hold something else than before, or were read by one load only. */
export function changedFiles(before: ReadonlyMap<string, ReadMark>, after: ReadonlyMap<string, ReadMark>): string[] {
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths].filter((path) => before.get(path)?.digest !== after.get(path)?.digest);
}

/**
 * What changes when somebody writes to the file, replaces it, or swaps a symbolic link anywhere on the way to it, as Kubernetes
 * does with ConfigMaps and Secrets. Never rejects: a file that cannot be seen has a signature, too.
 */
export async function signatureOf(path: string): Promise<string> {
  try {
    const facts = await stat(path, { bigint: true });
    // Pipes can be read once only: there is nothing to look for.
    if (!facts.isFile()) return 'no file';
    return [facts.dev, facts.ino, facts.size, facts.mtimeNs, facts.ctimeNs].join(' ');
  } catch (error) {
    return codeOf(error);
  }
}

function codeOf(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' ? code : 'unknown reason';
}
